//! A host without telephones: its versions, its HTTP interface, and packages made of a few lines.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zvonar_api::{Server, Token, TokenHash, callbacks, router};
use zvonar_desk::{Presence, Status};
use zvonar_dialer::conversation::Scene;
use zvonar_dialer::deployments::{Deployments, TenantSetup, Use};
use zvonar_dialer::operators::{DeskControl, DeskView, Staff, StoredDesk, Waiting, WhatHeDoes};
use zvonar_dialer::{DialerError, Grant, Heard, Tables, TextNews};
use zvonar_gateways::smsc::{Callback, Secret};
use zvonar_ledger::PriceList;
use zvonar_model::{AttemptId, OperatorId, ScenarioName, TenantId, UnixMillis};
use zvonar_scenario::{Engine, EngineConfig, Package, Registry, archive};
use zvonar_store::{MemoryStore, SharedStore};

/// The time at which everything happens: 2026-03-02T10:00:00Z.
pub(crate) const NOW: UnixMillis = UnixMillis(1_772_445_600_000);

/// One sandbox for all tests; what is compiled once is compiled for all.
fn engine() -> Engine {
    static ENGINE: OnceLock<(TempDir, Engine)> = OnceLock::new();
    let (_, engine) = ENGINE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("modules");
        let engine = Engine::new(&EngineConfig { max_sessions: 8, ..EngineConfig::new(cache) }).unwrap();
        (folder, engine)
    });
    engine.clone()
}

/// A component that returns at once; `mark` makes another one of it.
pub(crate) fn component(mark: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "memory") 1)
                (func (export "run") (result i32) (i32.const 0))
                (func (export "mark") (result i32) (i32.const {mark})))
            (core instance $i (instantiate $m))
            (func (export "run") (result (result (error string)))
                (canon lift (core func $i "run") (memory $i "memory"))))"#
    );
    wat::parse_str(text).unwrap()
}

/// The folder of a package.
pub(crate) fn write_package(folder: &Path, manifest: &str, component: &[u8]) -> Package {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("scenario.toml"), manifest).unwrap();
    fs::write(folder.join("menu.wasm"), component).unwrap();
    Package::open(folder).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(crate) fn manifest(name: &str, version: u32) -> String {
    format!("name = \"{name}\"\nversion = \"{version}\"\ncomponent = \"menu.wasm\"\n")
}

/// Version `version` of a scenario as one file.
pub(crate) fn archive_of(name: &str, version: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    archive::pack(&write_package(folder.path(), &manifest(name, version), &component(version))).unwrap()
}

/// Keeps the text messages of tenant `a`, of which there is one, number 7; and what it was told of it.
#[derive(Default)]
pub(crate) struct Texts {
    pub(crate) told: Mutex<Vec<String>>,
    /// The store is out of order.
    pub(crate) broken: AtomicBool,
}

#[async_trait::async_trait]
impl TextNews for Texts {
    fn secret(&self, of: &TenantId) -> Option<Secret> {
        (*of == tenant("a")).then(|| Secret::new("слово").unwrap())
    }

    async fn news(&self, _: &TenantId, news: &Callback) -> zvonar_dialer::Result<Heard> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(DialerError::Bug("the disk is full".into()));
        }
        let id = news.id.map_or(0, zvonar_gateways::SmsId::get);
        self.told.lock().unwrap().push(format!("{id}:{}:{}", news.phone, news.status));
        Ok(if id == 7 { Heard::Taken } else { Heard::Unknown })
    }
}

/// Asks until it is so; what is not so within a minute will not be.
pub(crate) async fn soon(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), asked).await;
    assert!(told.is_ok(), "a minute has gone by, and it is not so that {what}");
}

/// A running host.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) scenes: Arc<Registry<Scene>>,
    pub(crate) deployments: Deployments,
    pub(crate) store: SharedStore,
    /// What goes on at the desk of `a`.
    pub(crate) going_on: GoingOn,
    pub(crate) texts: Arc<Texts>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

/// The token of a tenant.
pub(crate) fn token(tenant: &str) -> Token {
    let mut chance = [0; 32];
    chance[..tenant.len()].copy_from_slice(tenant.as_bytes());
    Token::of(chance)
}

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub(crate) fn tables(store: &SharedStore, id: &str) -> Tables {
    Tables::new(SharedStore::clone(store), Arc::new(PriceList::default()), tenant(id))
}

impl Host {
    /// Two tenants, `a` and `b`; a project of `a` runs `used` with the setting `repeats`.
    pub(crate) async fn start(store: SharedStore, grant: Grant) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenes = Arc::new(Registry::default());
        let used = Use {
            whose: "project spring".into(),
            scenario: ScenarioName::new("used").unwrap(),
            settings: BTreeMap::from([("repeats".into(), "2".into())]),
        };
        let setup = |id: &str| TenantSetup {
            tables: tables(&store, id),
            grant,
            uses: if id == "a" { vec![used.clone()] } else { Vec::new() },
        };
        let deployments = Deployments::new(
            engine(),
            Arc::clone(&scenes),
            ["a", "b"].map(setup).into(),
            Arc::new(|| NOW),
            folder.path().join("unpacked"),
            None,
            None,
        )
        .unwrap();
        deployments.restore().await.unwrap();
        let tokens: Vec<(TenantId, TokenHash)> =
            ["a", "b"].iter().map(|id| (tenant(id), token(id).hash("ci").unwrap())).collect();
        let server = Server::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let address = server.address();
        let going_on = GoingOn::default();
        let staff = ["a", "b"].map(|id| {
            let stored = StoredDesk::new(tables(&store, id), Arc::new(|| NOW));
            let going_on = if id == "a" { going_on.clone() } else { GoingOn::default() };
            let desk = Arc::new(PretendDesk { stored, going_on });
            let staff = Staff::new(tables(&store, id), 3, "zvonar", desk, [7; 32]);
            (tenant(id), staff)
        });
        let texts = Arc::new(Texts::default());
        let routes = router(deployments.clone(), &staff.into(), tokens, Arc::new(|| NOW));
        let routes = routes.merge(callbacks(texts.clone(), Arc::new(|| NOW)));
        let keeper = {
            let (deployments, stopped) = (deployments.clone(), stopped.clone());
            tokio::spawn(async move { deployments.keep(stopped).await })
        };
        let tasks = vec![tokio::spawn(server.serve(routes, stopped)), keeper];
        Self { address, scenes, deployments, store, going_on, texts, stop, tasks, _folder: folder }
    }

    pub(crate) async fn fresh() -> Self {
        Self::start(Arc::new(MemoryStore::new()), Grant::default()).await
    }

    /// Ends it as a host ends; what it has stored stays.
    pub(crate) async fn end(self) -> SharedStore {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.deployments.close().await;
        self.store
    }

    /// As a tenant.
    pub(crate) fn of<'h>(&'h self, id: &str) -> Asker<'h> {
        Asker { host: self, head: format!("Authorization: Bearer {}\r\n", token(id).reveal()) }
    }

    /// As nobody.
    pub(crate) fn anonymous(&self) -> Asker<'_> {
        Asker { host: self, head: String::new() }
    }
}

/// What a desk would tell: calls without telephones.
#[derive(Clone, Default)]
pub(crate) struct GoingOn(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    doing: BTreeMap<OperatorId, WhatHeDoes>,
    /// The calls of their last talks.
    last: BTreeMap<OperatorId, AttemptId>,
    queue: Vec<Waiting>,
}

impl GoingOn {
    pub(crate) fn does(&self, operator: &str, what: WhatHeDoes) {
        let operator = OperatorId::new(operator).unwrap();
        let mut told = self.0.lock().unwrap();
        if let WhatHeDoes::Talks { caller, .. } = &what {
            told.last.insert(operator.clone(), caller.attempt.clone());
        }
        told.doing.insert(operator, what);
    }

    pub(crate) fn waits(&self, waiting: Waiting) {
        self.0.lock().unwrap().queue.push(waiting);
    }
}

/// A desk that knows of calls what a test says, and of operators what is stored.
struct PretendDesk {
    stored: StoredDesk,
    going_on: GoingOn,
}

#[async_trait::async_trait]
impl DeskControl for PretendDesk {
    async fn status(
        &self,
        tenant: &TenantId,
        operator: &OperatorId,
        status: Status,
    ) -> zvonar_dialer::Result<Presence> {
        self.stored.status(tenant, operator, status).await
    }

    async fn view(&self, tenant: &TenantId) -> zvonar_dialer::Result<DeskView> {
        let mut view = self.stored.view(tenant).await?;
        let told = self.going_on.0.lock().unwrap();
        for one in &mut view.operators {
            one.doing = told.doing.get(&one.operator).cloned().unwrap_or_default();
            one.last = told.last.get(&one.operator).cloned();
        }
        view.queue.clone_from(&told.queue);
        Ok(view)
    }

    async fn operator_changed(&self, tenant: &TenantId, operator: &OperatorId) -> zvonar_dialer::Result<()> {
        self.stored.operator_changed(tenant, operator).await
    }
}

/// Somebody who asks, with what he sends as headers.
pub(crate) struct Asker<'h> {
    host: &'h Host,
    pub(crate) head: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// Wants a success.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Asker<'_> {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, body.as_ref()).await
    }

    /// A JSON body.
    pub(crate) async fn json(&self, path: &str, body: &str) -> Answer {
        let head = format!("{}Content-Type: application/json\r\n", self.head);
        Asker { host: self.host, head }.post(path, body).await
    }

    /// An edit.
    pub(crate) async fn patch(&self, path: &str, body: &str) -> Answer {
        let head = format!("{}Content-Type: application/json\r\n", self.head);
        Asker { host: self.host, head }.send("PATCH", path, body.as_bytes()).await
    }

    /// Any other method, with a JSON body.
    pub(crate) async fn other(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!("{}Content-Type: application/json\r\n", self.head);
        Asker { host: self.host, head }.send(method, path, body.as_bytes()).await
    }

    async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}", self.head);
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        self.raw(&[format!("{head}{length}").as_bytes(), body].concat()).await
    }

    /// Bytes as they are.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.host.address).await.unwrap();
        // A refusal may come, and the connection be closed, before all is sent.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let text = if head.to_lowercase().contains("transfer-encoding: chunked") {
            joined(text)
        } else {
            text.into()
        };
        Answer { status, head: head.into(), text }
    }
}

/// The pieces of a chunked body.
fn joined(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole += &rest[..size];
        text = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
