//! SIGKILL at any moment.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ecep_dashboard_api::store::Tables;
use ecep_proto::api::{AddressAssign, Procedure, realm};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    assert_sound, backup,
    support::{
        Device, Person, now,
        program::{Program, set_up},
        router::TestRouter,
        wamp::{PATIENCE, Session},
    },
};

/// How often it is killed.
const KILLS: u32 = 52;
/// The longest time that it is driven before a kill, after everybody has been answered once.
const DRIVEN_MS: u64 = 150;
/// Uses of a cycle's join token.
const USES: u64 = 1_000;

/// What must be true of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// Somebody was told that it is there.
    There,
    /// Somebody was told that it is gone.
    Gone,
    /// The kill came before the answer.
    Unknown,
}

/// What has been answered, by table and key.
#[derive(Clone, Default)]
struct Answered(Arc<Mutex<BTreeMap<(&'static str, String), Told>>>);

impl Answered {
    fn tell(&self, table: &'static str, key: &str, told: Told) {
        self.0.lock().unwrap().insert((table, key.to_owned()), told);
    }

    fn there(&self, table: &'static str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        let there = all.iter().filter(|((of, _), told)| *of == table && **told == Told::There);
        there.map(|((_, key), _)| key.clone()).collect()
    }
}

/// Every change that anybody was told of, over HTTP or WAMP, is there after a kill at any moment, and nothing is half
/// done. Tokens, devices and addresses come and go meanwhile; the next start is killed, too.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_taken_back_by_a_kill() {
    let seed =
        std::env::var("ECEP_SEED").map_or_else(|_| rand::rng().next_u64(), |seed| seed.parse().unwrap());
    eprintln!("ECEP_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let router = TestRouter::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let answered = Answered::default();
    let start = || Program::spawn(Program::command_with(&router.url(), folder.path()));

    let program = start();
    let maria = set_up(&program, folder.path()).await;
    let (_, token) = maria.join_token(1).await;
    let agent = Device::new(0);
    let enrolled = maria.post("/api/device/enrol", agent.enrolment(&token, "Agent")).await.json();
    let agent_id = enrolled["device"].as_str().unwrap().to_owned();
    program.kill();

    let mut changes = 0;
    for kill in 0..KILLS {
        if kill % 4 == 3 {
            let mut child = Program::command_with(&router.url(), folder.path()).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
            child.kill().unwrap();
            child.wait().unwrap();
            assert_sound(&data);
            continue;
        }
        let program = start();
        let maria = Person { base: program.base.clone(), ..maria.clone() };
        let (token_id, token) = maria.join_token(USES as u32).await;
        answered.tell("join_tokens", &token_id, Told::There);
        let cycle = Cycle { maria, answered: answered.clone(), kill, counts: Arc::default() };
        let drivers = [
            tokio::spawn(cycle.clone().tokens()),
            tokio::spawn(cycle.clone().devices(token)),
            tokio::spawn(cycle.clone().addresses(router.url(), agent_id.clone())),
        ];
        let deadline = Instant::now() + PATIENCE;
        while cycle.counts.lock().unwrap().contains(&0) {
            assert!(Instant::now() < deadline, "not everybody was answered: {:?}", cycle.counts);
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..DRIVEN_MS))).await;
        program.kill();
        for driver in drivers {
            driver.await.unwrap();
        }
        let [_, devices, _] = *cycle.counts.lock().unwrap();
        changes += cycle.counts.lock().unwrap().iter().sum::<u64>();

        assert_sound(&data);
        let tables = backup(&data).tables;
        compare(&tables, &answered);
        let row = &tables.rows("join_tokens")[&token_id];
        let left = serde_json::from_str::<Value>(row).unwrap()["uses_left"].as_u64().unwrap();
        let spent = USES - left;
        assert!(spent == devices || spent == devices + 1, "{spent} uses are spent for {devices} devices");
    }
    eprintln!("{changes} changes were answered");
    assert!(changes >= u64::from(KILLS) * 5, "only {changes} changes were answered");
}

/// Compares what was answered with what is there; what was not answered is known from now on.
fn compare(tables: &Tables, answered: &Answered) {
    for ((table, key), told) in answered.0.lock().unwrap().iter_mut() {
        let is_there = tables.rows(table).contains_key(key);
        match told {
            Told::There => assert!(is_there, "{table}/{key} was answered and is lost"),
            Told::Gone => assert!(!is_there, "{table}/{key} was deleted and is there"),
            Told::Unknown => *told = if is_there { Told::There } else { Told::Gone },
        }
    }
}

/// Who changes things until the kill.
#[derive(Clone)]
struct Cycle {
    maria: Person,
    answered: Answered,
    kill: u32,
    /// Answered changes: tokens, devices, addresses.
    counts: Arc<Mutex<[u64; 3]>>,
}

impl Cycle {
    /// Makes API tokens, and deletes some.
    async fn tokens(self) {
        let path = "/api/tenants/acme/api-tokens";
        loop {
            let wanted = json!({ "name": "p", "role": "viewer", "valid_seconds": 3_600 });
            let Some(made) = self.post(path, wanted).await else { return };
            self.answered.tell("api_tokens", made["id"].as_str().unwrap(), Told::There);
            self.counts.lock().unwrap()[0] += 1;
            for id in self.answered.there("api_tokens").iter().take(2) {
                if !self.delete("api_tokens", id, &format!("{path}/{id}")).await {
                    return;
                }
            }
        }
    }

    /// Enrols devices, and removes some.
    async fn devices(self, token: String) {
        for number in 1.. {
            let device = Device::new(self.kill * 10_000 + number);
            let Some(made) = self.post("/api/device/enrol", device.enrolment(&token, "Edge")).await else {
                return;
            };
            let id = made["device"].as_str().unwrap();
            self.answered.tell("devices", id, Told::There);
            self.answered.tell("device_of_key", &device.public_key(), Told::There);
            self.counts.lock().unwrap()[1] += 1;
            if number % 3 == 0 {
                self.answered.tell("device_of_key", &device.public_key(), Told::Unknown);
                if !self.delete("devices", id, &format!("/api/tenants/acme/devices/{id}")).await {
                    return;
                }
                self.answered.tell("device_of_key", &device.public_key(), Told::Gone);
            }
        }
    }

    /// Asks for addresses over WAMP, as an agent that creates containers.
    async fn addresses(self, router: String, agent: String) {
        let mut nonce = [0; 16];
        rand::rng().fill_bytes(&mut nonce);
        let mut open = async || {
            nonce[0] = nonce[0].wrapping_add(1);
            self.post("/api/device/session", Device::new(0).session(&agent, now(), nonce)).await
        };
        let mut session = loop {
            let Some(opened) = open().await else { return };
            // Until the control plane has joined, nobody is let in.
            let ticket = opened["ticket"].as_str().unwrap();
            if let Ok(session) = Session::join(&router, realm::CONTROL, &agent, ticket).await {
                break session;
            }
        };
        let mut number = 0;
        loop {
            let container = format!("c{}-{number}", self.kill);
            self.answered.tell("placements", &container, Told::Unknown);
            let wanted = json!({ "tenant": "acme", "container": container, "name": container });
            if session.call(AddressAssign::URI, wanted).await.is_ok() {
                self.answered.tell("placements", &container, Told::There);
                self.counts.lock().unwrap()[2] += 1;
                number += 1;
            } else if number > 0 || open().await.is_none() {
                return;
            }
        }
    }

    /// The answer, unless the kill came before it.
    async fn post(&self, path: &str, body: Value) -> Option<Value> {
        let mut request =
            self.maria.client.post(format!("{}{path}", self.maria.base)).header("x-ecep-csrf", "1");
        request = request.header("cookie", self.maria.cookie.as_ref().unwrap()).json(&body);
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).ok()
    }

    /// Whether it was answered.
    async fn delete(&self, table: &'static str, key: &str, path: &str) -> bool {
        self.answered.tell(table, key, Told::Unknown);
        let request =
            self.maria.client.delete(format!("{}{path}", self.maria.base)).header("x-ecep-csrf", "1");
        let response = request.header("cookie", self.maria.cookie.as_ref().unwrap()).send().await;
        let is_done = response.is_ok_and(|response| response.status() == 204);
        if is_done {
            self.answered.tell(table, key, Told::Gone);
        }
        is_done
    }
}
