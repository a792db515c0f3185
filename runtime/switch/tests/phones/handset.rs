//! A telephone played by hand: a socket, a password, and no will of its own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use zvonar_sip::digest::{Answer, Challenge, Credentials};
use zvonar_sip::message::{Message, Method, Name, Writer, read};
use zvonar_sip::{Flow, Transport};

pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) struct Handset {
    pub(crate) socket: UdpSocket,
    pub(crate) near: SocketAddr,
    pub(crate) credentials: Credentials,
    /// Where it wants to hear.
    pub(crate) port: u16,
    /// Where it says that it is.
    pub(crate) says: String,
    answer: Option<Answer>,
    cseq: u32,
    tag: String,
    /// By what requests are told apart: what the host says again, because this machine was slow to answer, is no news.
    heard: RefCell<HashSet<String>>,
}

/// A call of a handset's: what its requests repeat.
pub(crate) struct Talk {
    call_id: String,
    uri: String,
    from: String,
    to: String,
    cseq: u32,
    /// What the host said of its sound.
    pub(crate) description: String,
}

impl Handset {
    pub(crate) async fn new(near: SocketAddr, user: &str, password: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let credentials = Credentials { username: user.into(), password: password.into() };
        let tag = format!("t{}", socket.local_addr().expect("bound").port());
        // What a phone behind an address translator says: nobody can reach it there.
        let says = "10.255.0.1:5999".to_owned();
        let heard = RefCell::default();
        Self { socket, near, credentials, port: 4000, says, answer: None, cseq: 0, tag, heard }
    }

    fn here(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    pub(crate) fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.credentials.username, self.says)
    }

    pub(crate) fn sdp(&self, direction: &str) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n{direction}",
            port = self.port
        )
    }

    pub(crate) async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.near).await.expect("sent");
    }

    /// The next message, whatever it is, but for requests that were heard before; `None`: none came in this time.
    pub(crate) async fn hear_within(&self, time: Duration) -> Option<Message> {
        let wait = async {
            let mut buffer = vec![0; 65_535];
            loop {
                let length = self.socket.recv(&mut buffer).await.expect("received");
                let message = read(&buffer[..length], Transport::Udp).expect("a sound message");
                if !message.is_request() || self.is_news(&message) {
                    return message;
                }
            }
        };
        timeout(time, wait).await.ok()
    }

    fn is_news(&self, request: &Message) -> bool {
        let branch = request.via().and_then(|via| via.branch().map(str::to_owned)).expect("a branch");
        self.heard.borrow_mut().insert(format!("{branch} {}", request.method().text()))
    }

    /// The next request of this method; others are passed over.
    pub(crate) async fn hear(&self, method: &str) -> Message {
        loop {
            let message = self.hear_within(SOON).await.unwrap_or_else(|| panic!("no {method} came"));
            if message.is_request() && message.method().text() == method {
                return message;
            }
        }
    }

    /// The next final response to this method.
    pub(crate) async fn response(&self, method: &str) -> Message {
        loop {
            let message =
                self.hear_within(SOON).await.unwrap_or_else(|| panic!("no answer to {method} came"));
            if !message.is_request() && message.method().text() == method && message.code() >= 200 {
                return message;
            }
        }
    }

    /// Sends a request outside a call and gives the final response; answers one challenge, or two that are stale.
    async fn ask(
        &mut self,
        method: &str,
        uri: &str,
        call_id: &str,
        extra: &[(Name, String)],
        sdp: &str,
    ) -> Message {
        for _ in 0..3 {
            self.cseq += 1;
            let mut writer = Writer::request(method, uri);
            let (user, here) = (&self.credentials.username, self.here());
            let to = if method == "REGISTER" { format!("<sip:{user}@zvonar>") } else { format!("<{uri}>") };
            writer
                .header(
                    Name::Via,
                    format_args!("SIP/2.0/UDP 10.255.0.1:5999;rport;branch=z9hG4bK{here}{}", self.cseq),
                )
                .header(Name::From, format_args!("<sip:{user}@zvonar>;tag={}", self.tag))
                .header(Name::To, to)
                .header(Name::CallId, call_id)
                .header(Name::CSeq, format_args!("{} {method}", self.cseq))
                .header(Name::MaxForwards, 70)
                .header(Name::UserAgent, "Handset/1");
            for (name, value) in extra {
                writer.header(*name, value);
            }
            if let Some(answer) = &mut self.answer {
                writer.header(
                    Name::Authorization,
                    answer.header(&self.credentials, method, uri, sdp.as_bytes()),
                );
            }
            let bytes = if sdp.is_empty() {
                writer.finish()
            } else {
                writer.finish_typed("application/sdp", sdp.as_bytes())
            };
            self.send(&bytes).await;
            let response = self.response(method).await;
            if method == "INVITE" && response.code() >= 300 {
                let ack = self.acknowledgement(&response, uri, call_id);
                self.send(&ack).await;
            }
            if response.code() != 401 {
                return response;
            }
            let challenge = Challenge::first(response.headers(Name::WwwAuthenticate)).expect("a challenge");
            if self.answer.is_some() && !challenge.stale {
                self.answer = None;
                return response;
            }
            self.answer = Some(Answer::new(challenge, "c0ffee".into()));
        }
        panic!("challenged again and again");
    }

    /// The ACK to a refusal.
    fn acknowledgement(&self, response: &Message, uri: &str, call_id: &str) -> Vec<u8> {
        let mut writer = Writer::request("ACK", uri);
        writer
            .header(
                Name::Via,
                format_args!("SIP/2.0/UDP 10.255.0.1:5999;rport;branch=z9hG4bK{}{}", self.here(), self.cseq),
            )
            .header(Name::From, response.header(Name::From).expect("From"))
            .header(Name::To, response.header(Name::To).expect("To"))
            .header(Name::CallId, call_id)
            .header(Name::CSeq, format_args!("{} ACK", self.cseq));
        writer.finish().to_vec()
    }

    pub(crate) async fn register(&mut self, expires: u32) -> Message {
        let contact = self.contact();
        self.register_as(&[(Name::Contact, format!("{contact};expires={expires}"))]).await
    }

    pub(crate) async fn register_as(&mut self, headers: &[(Name, String)]) -> Message {
        let call_id = format!("register-{}", self.tag);
        self.ask("REGISTER", "sip:zvonar", &call_id, headers, "").await
    }

    /// Calls; the 200 is acknowledged.
    pub(crate) async fn call(&mut self, uri: &str, extra: &[(Name, String)]) -> Result<Talk, u16> {
        let mut headers = vec![(Name::Contact, self.contact())];
        headers.extend_from_slice(extra);
        let call_id = format!("call-{}-{}", self.tag, self.cseq);
        let sdp = self.sdp("");
        let ok = self.ask("INVITE", uri, &call_id, &headers, &sdp).await;
        if ok.code() >= 300 {
            return Err(ok.code());
        }
        let mut talk = Talk {
            call_id,
            uri: ok.contact().expect("a contact").uri.to_owned(),
            from: ok.header(Name::From).expect("From").to_owned(),
            to: ok.header(Name::To).expect("To").to_owned(),
            cseq: self.cseq,
            description: String::from_utf8_lossy(ok.body()).into_owned(),
        };
        self.request(&mut talk, "ACK", &[], "", "").await;
        Ok(talk)
    }

    /// Answers a request of the host's.
    pub(crate) async fn reply(&self, request: &Message, code: u16, sdp: &str) {
        let flow = Flow { transport: Transport::Udp, local: self.here(), remote: self.near };
        let mut writer = Writer::response_to(request, &flow, code, "", Some(&self.tag));
        if *request.method() == Method::Invite {
            writer.header(Name::Contact, self.contact());
        }
        let bytes = if sdp.is_empty() {
            writer.finish()
        } else {
            writer.finish_typed("application/sdp", sdp.as_bytes())
        };
        self.send(&bytes).await;
    }

    /// Picks up.
    pub(crate) async fn pick_up(&self, invite: &Message) -> Talk {
        self.reply(invite, 200, &self.sdp("")).await;
        self.hear("ACK").await;
        Talk {
            call_id: invite.call_id().to_owned(),
            uri: invite.contact().expect("a contact").uri.to_owned(),
            from: format!("{};tag={}", invite.header(Name::To).expect("To"), self.tag),
            to: invite.header(Name::From).expect("From").to_owned(),
            cseq: 0,
            description: String::from_utf8_lossy(invite.body()).into_owned(),
        }
    }

    /// Sends a request inside a call.
    pub(crate) async fn request(
        &self,
        talk: &mut Talk,
        method: &str,
        extra: &[(Name, String)],
        kind: &str,
        body: &str,
    ) {
        if method != "ACK" {
            talk.cseq += 1;
        }
        let mut writer = Writer::request(method, &talk.uri);
        writer
            .header(
                Name::Via,
                format_args!(
                    "SIP/2.0/UDP 10.255.0.1:5999;rport;branch=z9hG4bKd{method}{}{}",
                    self.here(),
                    talk.cseq
                ),
            )
            .header(Name::From, &talk.from)
            .header(Name::To, &talk.to)
            .header(Name::CallId, &talk.call_id)
            .header(Name::CSeq, format_args!("{} {method}", talk.cseq))
            .header(Name::Contact, self.contact());
        for (name, value) in extra {
            writer.header(*name, value);
        }
        let bytes =
            if body.is_empty() { writer.finish() } else { writer.finish_typed(kind, body.as_bytes()) };
        self.send(&bytes).await;
    }

    /// Offers another description inside a call: hold, or back.
    pub(crate) async fn offer(&self, talk: &mut Talk, direction: &str) -> Message {
        self.request(talk, "INVITE", &[], "application/sdp", &self.sdp(direction)).await;
        let ok = self.response("INVITE").await;
        self.request(talk, "ACK", &[], "", "").await;
        ok
    }
}

impl Talk {
    /// The call as a `Replaces` of its far end names it.
    pub(crate) fn replaces(&self) -> String {
        let tag = |text: &str| text.rsplit_once(";tag=").expect("a tag").1.to_owned();
        format!("{};to-tag={};from-tag={}", self.call_id, tag(&self.to), tag(&self.from))
    }
}
