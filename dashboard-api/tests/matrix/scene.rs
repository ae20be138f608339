//! The platform with two tenants, and everybody who may try something: people, tokens, devices.

use ecep_proto::api::{
    FleetHello, FleetReport, Home, PROCEDURES, Procedure, Server as ServedBy,
    container::{ContainerState, ContainerView},
    fleet::{Grants, Hello, Report, TenantContainer},
    name::{DeviceId, TenantSlug},
    realm,
    roles::Role,
    share::ShareReport,
};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Device, Person, Server, facts, now, router::TestRouter},
    wire::{Client, Outcome, Pass},
};

pub const ACME: &str = "acme";
pub const GLOBEX: &str = "globex";
/// A tenant that there is not.
pub const NOBODYS: &str = "nowhere";
/// A container of acme's.
pub const CONTAINER: &str = "acmes-container";

/// Somebody in a tenant's realm.
#[derive(Clone)]
pub struct Somebody {
    pub name: &'static str,
    pub role: Role,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Person(Person),
    /// Id and secret.
    Token(String, String),
}

/// A device as its key: whoever stole it has this.
pub struct Stolen {
    pub id: String,
    seed: u32,
}

pub struct Scene {
    pub router: TestRouter,
    pub server: Server,
    /// An administrator of the installation who belongs to no tenant.
    pub admin: Person,
    pub owner: Person,
    /// The owner of the other tenant.
    pub other: Person,
    /// Members and tokens of acme, the owner first.
    pub members: Vec<Somebody>,
    /// The same of the other tenant.
    pub others: Vec<Somebody>,
    /// A device of acme's that serves all that a device serves.
    pub device: Stolen,
    /// Another device of acme's.
    pub neighbour: Stolen,
    /// A device of the other tenant's.
    pub foreign: Stolen,
    number: std::sync::atomic::AtomicU64,
}

pub fn realm_of(tenant: &str) -> String {
    realm::of_tenant(&tenant.parse::<TenantSlug>().unwrap())
}

/// A URI of the catalogue, on this device.
pub fn on(uri: &str, device: &str) -> String {
    uri.replace(ecep_proto::api::DEVICE_PLACEHOLDER, device)
}

impl Scene {
    pub async fn start() -> Self {
        let router = TestRouter::start().await;
        let server = Server::start_with(&router.url(), None).await;
        let first = server.set_up().await;
        let tenant = json!({ "slug": GLOBEX, "name": "Globex" });
        assert_eq!(first.post("/api/tenants", tenant).await.status, 201);
        let member = async |email: &str, tenant: &str, role: &str| {
            server.add_person(&first, email, json!([{ "tenant": tenant, "role": role }])).await
        };
        let owner = member("olga@example.org", ACME, "owner").await;
        let other = member("otto@example.org", GLOBEX, "owner").await;
        let operator = member("omar@example.org", ACME, "operator").await;
        let viewer = member("vera@example.org", ACME, "viewer").await;
        // Whoever set the platform up owns what it made; from now on others do.
        for tenant in [ACME, GLOBEX] {
            let answer = first.post(&format!("/api/tenants/{tenant}/leave"), json!({})).await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
        let mut members = vec![
            Somebody { name: "owner", role: Role::Owner, way: Way::Person(owner.clone()) },
            Somebody { name: "operator", role: Role::Operator, way: Way::Person(operator) },
            Somebody { name: "viewer", role: Role::Viewer, way: Way::Person(viewer) },
        ];
        members.extend(tokens(&owner, ACME).await);
        let mut others =
            vec![Somebody { name: "other owner", role: Role::Owner, way: Way::Person(other.clone()) }];
        others.extend(tokens(&other, GLOBEX).await);
        let enrol = async |owner: &Person, tenant: &str, seed: u32| {
            let wanted = json!({ "uses": 1, "valid_seconds": 3_600 });
            let token = owner.post(&format!("/api/tenants/{tenant}/join-tokens"), wanted).await.json();
            let token = token["secret"].as_str().unwrap().to_owned();
            let enrolment = Device::new(seed).enrolment(&token, &format!("Edge {seed}"));
            let answer = server.visitor().post("/api/device/enrol", enrolment).await.json();
            Stolen { id: answer["device"].as_str().unwrap().to_owned(), seed }
        };
        let device = enrol(&owner, ACME, 1).await;
        let neighbour = enrol(&owner, ACME, 2).await;
        let foreign = enrol(&other, GLOBEX, 3).await;
        let number = std::sync::atomic::AtomicU64::new(0);
        let scene = Self {
            router,
            server,
            admin: first,
            owner,
            other,
            members,
            others,
            device,
            neighbour,
            foreign,
            number,
        };
        scene.joined().await;
        scene.serve().await;
        scene
    }

    /// Waits until the control plane serves every realm.
    async fn joined(&self) {
        let joined = async {
            while self.server.visitor().get("/healthz").await.json()["router"] != "joined" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::support::wamp::PATIENCE, joined).await.expect("the control plane joins");
    }

    /// Acme's device serves all that devices serve, in both realms, and reports a container.
    async fn serve(&self) {
        let mut control = self.join_control(&self.device).await;
        let report = Report {
            at: now(),
            problems: vec![],
            containers: vec![TenantContainer {
                tenant: ACME.parse().unwrap(),
                container: ContainerView {
                    id: CONTAINER.parse().unwrap(),
                    name: CONTAINER.parse().unwrap(),
                    application: "counter".parse().unwrap(),
                    image: "counter:1".to_owned(),
                    state: ContainerState::Running,
                    exit_code: None,
                    created_at: 1,
                    started_at: Some(2),
                    ports: vec![],
                    address: None,
                    version: None,
                    run_once: false,
                },
            }],
            facts: None,
            is_complete: true,
            migrations: vec![],
            network_revision: 0,
            stats: None,
            shares: ShareReport::default(),
        };
        let mut tenant = self.join_tenant(&mut control, ACME).await;
        let reported = control.call(FleetReport::URI, &serde_json::to_value(report).unwrap()).await;
        assert!(matches!(reported, Outcome::Done(_)), "{reported:?}");
        for procedure in PROCEDURES.iter().filter(|procedure| procedure.server == ServedBy::Device) {
            let session = if procedure.home == Home::Control { &mut control } else { &mut tenant };
            let registered = session.register(&on(procedure.uri, &self.device.id), "exact").await;
            assert!(matches!(registered, Outcome::Done(_)), "{}: {registered:?}", procedure.name);
        }
        tokio::spawn(control.serve());
        tokio::spawn(tenant.serve());
    }

    /// What the control plane answers to who asks as the device `id` with the key of `device`.
    pub async fn ask_session(&self, device: &Stolen, id: &str) -> Answer {
        let number = self.number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut nonce = [7; 16];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let request = Device::new(device.seed).session(id, now(), nonce);
        self.server.visitor().post("/api/device/session", request).await
    }

    /// A device's pass to the control realm.
    pub async fn control_pass(&self, device: &Stolen) -> Pass {
        let reply = self.ask_session(device, &device.id).await.json();
        let ticket = reply["ticket"].as_str().unwrap().to_owned();
        Pass { realm: realm::CONTROL.to_owned(), authid: device.id.clone(), ticket: Some(ticket) }
    }

    pub async fn join_control(&self, device: &Stolen) -> Client {
        Client::join(&self.router.url(), &self.control_pass(device).await).await.unwrap()
    }

    /// A device's pass to its tenant's realm, from what it is told on the control realm.
    pub async fn tenant_pass(&self, control: &mut Client, device: &str) -> Pass {
        let hello = serde_json::to_value(Hello { facts: facts() }).unwrap();
        let Outcome::Done(grants) = control.call(FleetHello::URI, &hello).await else { panic!("no grants") };
        let mut grants: Grants = serde_json::from_value(grants).unwrap();
        let grant = grants.tenants.remove(0);
        Pass { realm: grant.realm, authid: device.to_owned(), ticket: Some(grant.ticket) }
    }

    async fn join_tenant(&self, control: &mut Client, tenant: &str) -> Client {
        let pass = self.tenant_pass(control, &self.device.id).await;
        assert_eq!(pass.realm, realm_of(tenant));
        Client::join(&self.router.url(), &pass).await.unwrap()
    }

    /// A pass for this realm, whether or not it opens it.
    pub async fn pass(&self, somebody: &Somebody, own: &str, realm: &str) -> Pass {
        let (authid, ticket) = match &somebody.way {
            Way::Person(person) => {
                let answer = person.post("/api/wamp-ticket", json!({ "tenant": own })).await.json();
                let text = |key: &str| answer[key].as_str().unwrap().to_owned();
                (text("authid"), text("ticket"))
            }
            Way::Token(id, secret) => (id.clone(), secret.clone()),
        };
        Pass { realm: realm.to_owned(), authid, ticket: Some(ticket) }
    }

    /// Joins somebody's own realm.
    pub async fn join(&self, somebody: &Somebody, own: &str) -> Client {
        let pass = self.pass(somebody, own, &realm_of(own)).await;
        let client = Client::join(&self.router.url(), &pass).await.unwrap();
        assert_eq!(client.role, somebody.role.as_str());
        client
    }

    /// Everybody in acme's realm with a session, by name and role: its members, its tokens, and a device of its own.
    pub async fn inside(&self) -> Vec<(&'static str, Role, Client)> {
        let mut inside = Vec::new();
        for somebody in &self.members {
            inside.push((somebody.name, somebody.role, self.join(somebody, ACME).await));
        }
        let mut control = self.join_control(&self.neighbour).await;
        let pass = self.tenant_pass(&mut control, &self.neighbour.id).await;
        assert_eq!(pass.realm, realm_of(ACME));
        inside.push(("another device", Role::Device, Client::join(&self.router.url(), &pass).await.unwrap()));
        inside
    }

    /// A device id like those that there are, which none has.
    pub fn no_device(&self) -> DeviceId {
        "no-such-device".parse().unwrap()
    }
}

impl Somebody {
    /// As it is sent over HTTP, if it is a token.
    pub fn bearer(&self) -> Option<String> {
        match &self.way {
            Way::Token(id, secret) => Some(format!("{id}.{secret}")),
            Way::Person(_) => None,
        }
    }

    pub fn person(&self) -> Option<&Person> {
        match &self.way {
            Way::Person(person) => Some(person),
            Way::Token(..) => None,
        }
    }
}

async fn tokens(owner: &Person, tenant: &str) -> Vec<Somebody> {
    let mut tokens = Vec::new();
    let kinds = [
        ("operator's token", Role::Operator),
        ("viewer's token", Role::Viewer),
        ("telemetry token", Role::Telemetry),
    ];
    for (name, role) in kinds {
        let wanted = json!({ "name": name, "role": role.as_str(), "valid_seconds": 3_600 });
        let created: Value = owner.post(&format!("/api/tenants/{tenant}/api-tokens"), wanted).await.json();
        let text = |key: &str| created[key].as_str().unwrap().to_owned();
        tokens.push(Somebody { name, role, way: Way::Token(text("id"), text("secret")) });
    }
    tokens
}

fn to_deploy(container: &str, device: &str) -> Value {
    json!({ "application": container, "target": { "to": "devices", "devices": [device] } })
}

/// How requests name a container and a device.
type Rows = fn(&str, &str) -> Vec<Value>;

/// Every procedure that the control plane serves in tenants' realms, and how requests of it name a container and a device.
pub const CONTROL_PLANE_ROWS: &[(&str, Rows)] = &[
    // The first, since what a tenant asks below is written into its own log.
    ("AuditList", |_, _| vec![json!({})]),
    ("DeviceList", |_, _| vec![json!({})]),
    ("FleetContainerList", |_, _| vec![json!({})]),
    ("ContainerMigrate", |container, device| vec![json!({ "container": container, "destination": device })]),
    ("ContainerPreflight", |container, device| {
        vec![json!({ "container": container, "destination": device })]
    }),
    ("CheckpointCopy", |container, device| {
        let copy = |source: &str, destination: &str| json!({ "container": container, "name": "saved", "source": source, "destination": destination });
        vec![copy(device, "elsewhere"), copy("elsewhere", device)]
    }),
    ("MigrationCancel", |container, _| vec![json!({ "operation": container })]),
    ("MigrationHistory", |container, _| vec![json!({ "container": container })]),
    ("GeoSearch", |_, _| vec![json!({ "text": "munich" })]),
    ("StatsHistoryQuery", |container, device| {
        let of = |what: &str, id: &str| json!({ what: id, "from": now() - 600_000, "to": now() });
        vec![of("container", container), of("device", device)]
    }),
    ("AlertListing", |_, _| vec![json!({})]),
    ("AlertAcknowledge", |container, _| vec![json!({ "alert": container })]),
    ("ArtifactListing", |_, _| vec![json!({})]),
    ("ArtifactDelete", |_, _| vec![json!({ "digest": "ab".repeat(32) })]),
    ("ApplicationListing", |_, _| vec![json!({})]),
    // A reference that names nothing of anybody's.
    ("VersionAdd", |_, _| {
        vec![
            json!({ "application": "counter", "source": { "kind": "files", "artifact": "ab".repeat(32), "base": "debian:12" } }),
        ]
    }),
    ("VersionDelete", |container, _| vec![json!({ "application": container, "version": 1 })]),
    ("ApplicationDelete", |container, _| vec![json!({ "application": container })]),
    ("ApplicationPlace", |container, device| vec![to_deploy(container, device)]),
    ("ApplicationDeploy", |container, device| vec![to_deploy(container, device)]),
    ("ContainerUpdate", |container, _| vec![json!({ "container": container })]),
    ("RunListing", |_, _| vec![json!({})]),
];
