//! The socket: so many connections, so much patience, and an end that waits for what has begun.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutWriter;

/// Connections at once; more wait in the kernel's queue. A flood of them must not eat the descriptors that calls need.
const CONNECTIONS: usize = 256;
/// How long a connection may take to say what it wants, sit idle between two requests, and take nothing of its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long requests in progress may take once the host stops.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Between two tries to accept, when the machine is short of something.
const PAUSE: Duration = Duration::from_millis(200);

/// Why nobody can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("[http] listen = \"{address}\" cannot be used: {source}")]
    Listen {
        /// As it was configured.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens; nobody is served yet.
    pub async fn listen(address: SocketAddr) -> Result<Self, ServerError> {
        let fault = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop; then finishes what has begun, within ten seconds, and joins everything.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = told(&mut stop) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let served = serve_one(stream, router.clone(), stop.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(why) => {
                    tracing::warn!(%why, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(self.listener);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// Comes back when it is time to stop. A sender that is gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn serve_one(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(PATIENCE));
    let stream = Box::pin(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = served {
        tracing::debug!(%why, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_read_his_answers_is_let_go() {
        const ANSWER: usize = 1 << 20;
        let server = Server::listen("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = server.address();
        let router = Router::new().route("/big", get(|| async { vec![b'x'; ANSWER] }));
        let (_stop, stopped) = watch::channel(false);
        let served = tokio::spawn(server.serve(router, stopped));
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let asked = 64;
        let request = "GET /big HTTP/1.1\r\nHost: here\r\n\r\n".repeat(asked);
        client.write_all(request.as_bytes()).await.expect("it takes what is asked");
        tokio::time::sleep(3 * PATIENCE).await;
        // What the kernel holds is still there; the rest never comes.
        let mut read = Vec::new();
        let _ = client.read_to_end(&mut read).await;
        assert!(read.len() < asked * ANSWER, "the connection was kept: {} bytes came", read.len());
        served.abort();
    }
}
