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
        Device, EMAIL, PASSWORD, Person, now,
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
const USES: u32 = 1_000;

/// People of a cycle. An address may try so many passwords at once.
const PEOPLE: u32 = 40;

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
/// done. Tokens, devices, addresses, people and passwords come and go meanwhile; the next start is killed, too.
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
    let passwords = Arc::new(Mutex::new(vec![PASSWORD.to_owned()]));
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
        let maria = log_in(Person { base: program.base.clone(), ..maria.clone() }, &passwords).await;
        let (token_id, token) = maria.join_token(USES).await;
        answered.tell("join_tokens", &token_id, Told::There);
        let (answered, passwords) = (answered.clone(), Arc::clone(&passwords));
        let cycle = Cycle { maria, answered: answered.clone(), passwords, kill, counts: Arc::default() };
        let drivers = [
            tokio::spawn(cycle.clone().tokens()),
            tokio::spawn(cycle.clone().devices(token)),
            tokio::spawn(cycle.clone().addresses(router.url(), agent_id.clone())),
            tokio::spawn(cycle.clone().people()),
            tokio::spawn(cycle.clone().passwords()),
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
        let devices = cycle.counts.lock().unwrap()[1];
        changes += cycle.counts.lock().unwrap().iter().sum::<u64>();

        assert_sound(&data);
        let tables = backup(&data).tables;
        compare(&tables, &answered);
        let (accounts, members) = (tables.rows("accounts").len(), tables.rows("memberships").len());
        assert_eq!(accounts, members, "an invitation makes an account and its membership together");
        let row = &tables.rows("join_tokens")[&token_id];
        let left = serde_json::from_str::<Value>(row).unwrap()["uses_left"].as_u64().unwrap();
        let spent = u64::from(USES) - left;
        assert!(spent == devices || spent == devices + 1, "{spent} uses are spent for {devices} devices");
    }
    eprintln!("{changes} changes were answered");
    // In three of four cycles, everybody once at least.
    assert!(changes >= u64::from(KILLS) / 4 * 3 * 5, "only {changes} changes were answered");
}

/// Logs in with the one password that is right: the last that was answered, or the one after it.
async fn log_in(mut maria: Person, passwords: &Mutex<Vec<String>>) -> Person {
    let may_be_right = passwords.lock().unwrap().clone();
    for password in &may_be_right {
        let answer = maria.post("/api/login", json!({ "email": EMAIL, "password": password })).await;
        if answer.status == 200 {
            maria.cookie = Some(answer.header("set-cookie").split(';').next().unwrap().to_owned());
            *passwords.lock().unwrap() = vec![password.clone()];
            return maria;
        }
    }
    panic!("none of {may_be_right:?} is right");
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
    /// The last that was answered, and the one that was asked for after it.
    passwords: Arc<Mutex<Vec<String>>>,
    kill: u32,
    /// Answered changes: tokens, devices, addresses, people, passwords.
    counts: Arc<Mutex<[u64; 5]>>,
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
        for number in 1..=USES {
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

    /// Invites people, who come in at once; as many as an address may.
    async fn people(self) {
        for number in 0..PEOPLE {
            let email = format!("p{}-{number}@example.org", self.kill);
            let wanted = json!({ "email": email, "role": "viewer" });
            let Some(made) = self.post("/api/tenants/acme/invitations", wanted).await else { return };
            let id = made["id"].as_str().unwrap();
            self.answered.tell("invitations", id, Told::Unknown);
            self.answered.tell("account_of_email", &email, Told::Unknown);
            let wanted = json!({ "secret": made["secret"], "password": PASSWORD });
            if self.post("/api/invitations/accept", wanted).await.is_none() {
                return;
            }
            self.answered.tell("invitations", id, Told::Gone);
            self.answered.tell("account_of_email", &email, Told::There);
            self.counts.lock().unwrap()[3] += 1;
        }
    }

    /// Changes the password again and again.
    async fn passwords(self) {
        for number in 0.. {
            let current = self.passwords.lock().unwrap()[0].clone();
            let new = format!("{PASSWORD} {}-{number}", self.kill);
            self.passwords.lock().unwrap().push(new.clone());
            let wanted = json!({ "current": current, "new": new });
            if self.post("/api/account/password", wanted).await.is_none() {
                return;
            }
            self.passwords.lock().unwrap().remove(0);
            self.counts.lock().unwrap()[4] += 1;
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
        if text.is_empty() { Some(Value::Null) } else { serde_json::from_str(&text).ok() }
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
