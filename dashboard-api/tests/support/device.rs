//! A device whose agent runs in this process, on a simulated engine or a real one.

use std::{sync::Arc, time::Instant};

use ecep_agent::{
    agent::{self, Settings},
    cloud,
    engine::{Engine, sim::SimEngine},
    facts,
    identity::{self, DeviceKey, Enrolled, Identity},
};
use ecep_link::Trust;
use ecep_proto::api::{Procedure, error::ErrorKind};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Person, Server,
    wamp::{PATIENCE, Refused, Session},
};

/// What the router answers where a device is in no session.
pub const NO_PROCEDURE: &str = "wamp.error.no_such_procedure";

/// A device of `acme` whose agent runs in this process.
pub struct RealDevice<E = SimEngine> {
    pub id: String,
    pub engine: Arc<E>,
    pub data: TempDir,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl RealDevice {
    pub async fn start(server: &Server, owner: &Person) -> Self {
        Self::start_on(server, owner, SimEngine::default()).await
    }
}

impl<E: Engine> RealDevice<E> {
    pub async fn start_on(server: &Server, owner: &Person, engine: E) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (_, token) = owner.join_token(1).await;
        let key = DeviceKey::load_or_create(data.path()).unwrap();
        let engine = Arc::new(engine);
        let about = facts::gather(engine.facts().await);
        let reply =
            cloud::enrol(&server.base, &Trust::system(), &token, &key, "Edge 1", Some("Munich"), about)
                .await
                .unwrap();
        let enrolled = Enrolled {
            device: reply.device.clone(),
            cloud: server.base.clone(),
            engine: "unix:///nowhere".to_owned(),
            pinned: false,
        };
        identity::store(data.path(), &enrolled).unwrap();
        let mut device = Self { id: reply.device.to_string(), engine, data, running: None };
        device.run();
        device
    }

    pub fn run(&mut self) {
        let identity = Identity::load(self.data.path()).unwrap();
        let settings = Settings {
            data: self.data.path().to_owned(),
            channel_listen: "127.0.0.1:0".parse().unwrap(),
            runtime: "/nonexistent/ecep-runtime".into(),
        };
        let (engine, stop) = (Arc::clone(&self.engine), CancellationToken::new());
        let stopping = stop.clone();
        let task =
            tokio::spawn(async move { agent::run(identity, engine, settings, stopping).await.unwrap() });
        self.running = Some((stop, task));
    }

    pub async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    pub fn on<P: Procedure>(&self) -> String {
        P::on(&self.id.parse().unwrap())
    }

    /// Calls a procedure of the device, again while it is not in this realm.
    pub async fn ask<P: Procedure>(&self, session: &mut Session, order: Value) -> Result<Value, Refused> {
        let (uri, deadline) = (self.on::<P>(), Instant::now() + PATIENCE);
        loop {
            match session.call(&uri, order.clone()).await {
                Err(refused) if is_between_sessions(&refused) && Instant::now() < deadline => {
                    tokio::task::yield_now().await;
                }
                answer => return answer,
            }
        }
    }

    /// Gives an order that has an id, and asks how it is until it has ended: a slow device answers before.
    pub async fn order<P: Procedure>(&self, session: &mut Session, order: Value) -> Result<Value, Refused> {
        assert!(order["operation"].is_string(), "each would be another order: {order}");
        until("the order to end", async || {
            let answer = self.ask::<P>(session, order.clone()).await;
            let is_under_way = answer.as_ref().is_ok_and(|reply| reply["state"] == "running");
            (!is_under_way).then_some(answer)
        })
        .await
    }
}

/// The device has just left the realm, or has not heard of its share yet.
fn is_between_sessions(refused: &Refused) -> bool {
    refused.uri == NO_PROCEDURE
        || refused.uri == "wamp.error.canceled"
        || refused.uri == ErrorKind::Unavailable.uri()
}

/// Asks until the answer is as wanted.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited for {what}");
    }
}
