//! Whether the rows fit each other: every index row has its row and the reverse, and nothing belongs to somebody who
//! is not there. Pure: it says what is wrong and what mends it.
//!
//! Whoever adds a table adds it to [`check`]; a test finds one that was forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use ecep_proto::api::{name::TenantSlug, roles::Role};
use serde::de::DeserializeOwned;

use super::{
    Account, ApiToken, Application, Artifact, Delivery, Device, Gone, Invitation, JoinToken, LastReport,
    Placement, Session, StoredAlert, StoredDeployment, StoredMigration, StoredRow, StoredRun, Tenant, Upload,
    Version,
    applications::{application_key, deployment_key, version_key},
    artifacts::{artifact_key, delivery_key, upload_key},
    audit::{self, Mark},
    orders::Order,
    runs::run_key,
    tables::Tables,
};

/// What is to be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing is lost by it: these rows are written, or removed where there is none, at the next start.
    Mend(Vec<Mend>),
    /// It does no harm, and somebody should look at it.
    Look,
    /// Any guess might be wrong: the control plane does not start with it.
    Refuse,
}

/// One row to be written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// In which table.
    pub table: &'static str,
    /// Under which key.
    pub key: String,
    /// The new row; none to remove it.
    pub row: Option<String>,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which table.
    pub table: &'static str,
    /// Under which key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What is to be done.
    pub remedy: Remedy,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, what, remedy } = self;
        write!(f, "{table}/{key}: {what}. ")?;
        match remedy {
            Remedy::Mend(_) => f.write_str("It is mended at the next start."),
            Remedy::Look => f.write_str("It does no harm; remove what is wrong when you know which it is."),
            Remedy::Refuse => write!(
                f,
                "Restore the last backup, or, if the row is worth nothing, remove it: check --remove '{table}/{key}'."
            ),
        }
    }
}

/// Looks at all rows.
///
/// `now` is written where a row says when something ended, in milliseconds since 1970.
pub fn check(tables: &Tables, now: u64) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let found = &mut findings;
    let accounts = found.read::<Account>(tables, "accounts");
    let emails = found.read::<String>(tables, "account_of_email");
    let sessions = found.read::<Session>(tables, "sessions");
    let tenants = found.read::<Tenant>(tables, "tenants");
    let memberships = found.read::<Role>(tables, "memberships");
    let devices = found.read::<Device>(tables, "devices");
    let keys = found.read::<String>(tables, "device_of_key");
    let join_tokens = found.read::<JoinToken>(tables, "join_tokens");
    let api_tokens = found.read::<ApiToken>(tables, "api_tokens");
    let reports = found.read::<LastReport>(tables, "reports");
    let placements = found.read::<Placement>(tables, "placements");
    let networks = found.read::<u32>(tables, "networks");
    let migrations = found.read::<StoredMigration>(tables, "migrations");
    let invitations = found.read::<Invitation>(tables, "invitations");
    let alerts = found.read::<StoredAlert>(tables, "alerts");
    let uploads = found.read::<Upload>(tables, "uploads");
    let artifacts = found.read::<Artifact>(tables, "artifacts");
    let deliveries = found.read::<Delivery>(tables, "deliveries");
    let applications = found.read::<Application>(tables, "applications");
    let versions = found.read::<Version>(tables, "versions");
    let deployments = found.read::<StoredDeployment>(tables, "deployments");
    let runs = found.read::<StoredRun>(tables, "runs");
    let entries = found.read::<audit::Row>(tables, "audit");
    let marks = found.read::<Mark>(tables, "audit_marks");
    let stored_files = found.read::<StoredRow>(tables, "stored_files");
    found.read::<Order>(tables, "orders");
    found.read::<Gone>(tables, "gone");
    found.read::<String>(tables, "keys");
    found.read::<u64>(tables, "meta");

    found.own_key("accounts", &accounts, |account| account.id.clone());
    found.own_key("tenants", &tenants, |tenant| tenant.slug.to_string());
    found.own_key("devices", &devices, |device| device.id.to_string());
    found.own_key("join_tokens", &join_tokens, |token| token.id.clone());
    found.own_key("api_tokens", &api_tokens, |token| token.id.clone());
    found.own_key("invitations", &invitations, |invitation| invitation.id.clone());
    found.own_key("alerts", &alerts, |alert| format!("{}/{}", alert.tenant, alert.view.id));
    found.own_key("stored_files", &stored_files, |row| format!("{}/{}", row.tenant, row.file.file));
    found.own_key("uploads", &uploads, |upload| upload_key(&upload.tenant, &upload.id));
    found.own_key("artifacts", &artifacts, |artifact| artifact_key(&artifact.tenant, &artifact.digest));
    found.own_key("deliveries", &deliveries, |one| delivery_key(&one.device, &one.tenant, &one.digest));
    found.own_key("applications", &applications, |one| application_key(&one.tenant, &one.name));
    found.own_key("versions", &versions, |one| version_key(&one.tenant, &one.application, one.number));
    found.own_key("deployments", &deployments, |one| deployment_key(&one.tenant, &one.operation));
    found.own_key("runs", &runs, run_key);
    found.own_key("placements", &placements, |placement| placement.container.to_string());
    found.index(("accounts", &accounts), ("account_of_email", &emails), |account| &account.email);
    found.index(("devices", &devices), ("device_of_key", &keys), |device| &device.public_key);

    for (key, _) in sessions.iter().filter(|(_, session)| !accounts.contains_key(&session.account)) {
        found.remove("sessions", key, "it is a login of an account that is not there");
    }
    for key in memberships.keys() {
        match key.split_once('/') {
            // Ids of accounts are never given again: it opens nothing to anybody.
            Some((account, _)) if !accounts.contains_key(account) => {
                found.remove("memberships", key, "its account is not there");
            }
            Some((_, tenant)) => found.of_tenant("memberships", key, tenant, &tenants),
            None => found.refuse("memberships", key, "the key must be an account and a tenant"),
        }
    }
    devices.iter().for_each(|(key, row)| found.tenant("devices", key, row.owner.as_str(), &tenants));
    for (key, row) in &join_tokens {
        found.of_tenant("join_tokens", key, row.tenant.as_str(), &tenants);
    }
    for (key, row) in &api_tokens {
        found.of_tenant("api_tokens", key, row.tenant.as_str(), &tenants);
    }
    for (key, row) in &invitations {
        if accounts.contains_key(&row.made_by) {
            found.of_tenant("invitations", key, row.tenant.as_str(), &tenants);
        } else {
            found.remove("invitations", key, "the account that made it is not there");
        }
    }
    networks.keys().for_each(|tenant| found.tenant("networks", tenant, tenant, &tenants));
    for (key, _) in reports.iter().filter(|(key, _)| !devices.contains_key(*key)) {
        found.remove("reports", key, "its device is not there");
    }
    for (key, _) in marks.iter().filter(|(key, _)| !devices.contains_key(*key)) {
        found.remove("audit_marks", key, "its device is not there");
    }
    for (key, what) in audit::broken(&entries) {
        found.add("audit", key, what, Remedy::Look);
    }
    for (key, row) in &migrations {
        if !tenants.contains_key(row.tenant.as_str()) {
            found.remove("migrations", key, "its tenant is not there");
        }
    }
    for (key, row) in &alerts {
        if !tenants.contains_key(row.tenant.as_str()) {
            found.remove("alerts", key, "its tenant is not there");
        }
    }
    for (key, row) in &stored_files {
        if tenants.get(row.tenant.as_str()).is_none_or(|tenant| tenant.deleted_at.is_some()) {
            found.remove("stored_files", key, "its tenant is not there");
        }
    }
    uploads.iter().for_each(|(key, row)| found.of_tenant("uploads", key, row.tenant.as_str(), &tenants));
    artifacts.iter().for_each(|(key, row)| found.of_tenant("artifacts", key, row.tenant.as_str(), &tenants));
    applications
        .iter()
        .for_each(|(key, row)| found.of_tenant("applications", key, row.tenant.as_str(), &tenants));
    versions.iter().for_each(|(key, row)| found.of_tenant("versions", key, row.tenant.as_str(), &tenants));
    deployments
        .iter()
        .for_each(|(key, row)| found.of_tenant("deployments", key, row.tenant.as_str(), &tenants));
    runs.iter().for_each(|(key, row)| found.of_tenant("runs", key, row.tenant.as_str(), &tenants));
    for (key, row) in &deliveries {
        if !devices.contains_key(row.device.as_str()) {
            found.remove("deliveries", key, "its device is not there");
        } else if !tenants.contains_key(row.tenant.as_str()) {
            found.remove("deliveries", key, "its tenant is not there");
        }
    }
    found.versions(&applications, &versions, &artifacts);
    let mut numbers = BTreeSet::new();
    for (tenant, number) in &networks {
        if !numbers.insert(number) {
            found.refuse("networks", tenant, &format!("another tenant has the network {number}, too"));
        }
    }
    found.placements(&placements, &tenants, &devices, now);
    findings.0
}

/// Artifacts whose bytes are not there, which a backup leaves out. Rows that cannot be read are for [`check`] to tell.
pub fn missing_bytes(tables: &Tables, is_there: impl Fn(&Artifact) -> bool) -> Vec<Finding> {
    let rows = tables.rows("artifacts").iter();
    let read = rows.filter_map(|(key, row)| Some((key, serde_json::from_str::<Artifact>(row).ok()?)));
    read.filter(|(_, artifact)| !is_there(artifact))
        .map(|(key, artifact)| Finding {
            table: "artifacts",
            key: key.clone(),
            what: format!(
                "the {} bytes of {:?} are not in the folder artifacts: copy that folder from where the backup was taken, or upload the file again",
                artifact.bytes, artifact.name
            ),
            remedy: Remedy::Look,
        })
        .collect()
}

/// The rows of a table that can be read.
type Read<T> = BTreeMap<String, T>;

struct Findings(Vec<Finding>);

impl Findings {
    fn read<T: DeserializeOwned>(&mut self, tables: &Tables, table: &'static str) -> Read<T> {
        let mut read = Read::new();
        for (key, row) in tables.rows(table) {
            match serde_json::from_str(row) {
                Ok(row) => {
                    read.insert(key.clone(), row);
                }
                Err(error) => self.refuse(table, key, &format!("the row cannot be read: {error}")),
            }
        }
        read
    }

    fn own_key<T>(&mut self, table: &'static str, rows: &Read<T>, own: impl Fn(&T) -> String) {
        for (key, row) in rows {
            let own = own(row);
            if own != *key {
                self.refuse(table, key, &format!("the row is that of {own}"));
            }
        }
    }

    /// An index says which row has a value that no other may have.
    fn index<T>(
        &mut self,
        (table, rows): (&'static str, &Read<T>),
        (index, entries): (&'static str, &Read<String>),
        value: impl Fn(&T) -> &String,
    ) {
        for (entry, key) in entries {
            if rows.get(key).is_none_or(|row| value(row) != entry) {
                self.remove(index, entry, &format!("no row of {table} has it"));
            }
        }
        let mut first = BTreeMap::new();
        for (key, row) in rows {
            let value = value(row);
            if let Some(other) = first.insert(value, key) {
                self.refuse(table, key, &format!("{other} has the same entry in {index}"));
            } else if entries.get(value).is_none_or(|entry| !rows.contains_key(entry)) {
                let row = serde_json::Value::from(key.as_str()).to_string();
                let mend = Mend { table: index, key: value.clone(), row: Some(row) };
                self.add(table, key, &format!("it is missing in {index}"), Remedy::Mend(vec![mend]));
            }
        }
    }

    /// What goes with its tenant. A deleted tenant's row stays, and its slug is not given again: what it left behind by
    /// mistake opens nothing to anybody.
    fn of_tenant(&mut self, table: &'static str, key: &str, tenant: &str, tenants: &Read<Tenant>) {
        if tenants.get(tenant).is_some_and(|tenant| tenant.deleted_at.is_some()) {
            self.remove(table, key, "its tenant was deleted");
        } else {
            self.tenant(table, key, tenant, tenants);
        }
    }

    fn tenant(&mut self, table: &'static str, key: &str, tenant: &str, tenants: &Read<Tenant>) {
        if !tenants.contains_key(tenant) {
            self.refuse(table, key, &format!("its tenant {tenant} is not there"));
        }
    }

    fn placements(
        &mut self,
        placements: &Read<Placement>,
        tenants: &Read<Tenant>,
        devices: &Read<Device>,
        now: u64,
    ) {
        let mut addresses: BTreeSet<(&TenantSlug, std::net::Ipv4Addr)> = BTreeSet::new();
        for (key, row) in placements {
            self.tenant("placements", key, row.tenant.as_str(), tenants);
            if !devices.contains_key(row.holding.holder.as_str()) {
                // Its device was removed: what it had went with it.
                let gone = serde_json::json!({ "generation": row.holding.generation, "at": now });
                let mend = vec![
                    Mend { table: "gone", key: key.clone(), row: Some(gone.to_string()) },
                    Mend { table: "placements", key: key.clone(), row: None },
                ];
                let what = format!("its device {} is not there", row.holding.holder);
                self.add("placements", key, &what, Remedy::Mend(mend));
            }
            if row.address.is_some_and(|address| !addresses.insert((&row.tenant, address))) {
                self.add("placements", key, "another container has the same address", Remedy::Look);
            }
        }
    }

    /// A version stays readable without its artifact; it cannot be deployed. Without its application nobody sees it.
    fn versions(
        &mut self,
        applications: &Read<Application>,
        versions: &Read<Version>,
        artifacts: &Read<Artifact>,
    ) {
        for (key, row) in versions {
            match applications.get(&application_key(&row.tenant, &row.application)) {
                None => self.remove("versions", key, "its application is not there"),
                Some(application) if row.number > application.last_version => self.refuse(
                    "versions",
                    key,
                    &format!("its application counts {} versions", application.last_version),
                ),
                Some(_) => {}
            }
            let artifact = row.source.artifact();
            if let Some(digest) =
                artifact.filter(|digest| !artifacts.contains_key(&artifact_key(&row.tenant, digest)))
            {
                self.add("versions", key, &format!("its artifact {digest} is not there"), Remedy::Look);
            }
        }
    }

    fn remove(&mut self, table: &'static str, key: &str, what: &str) {
        let mend = Mend { table, key: key.to_owned(), row: None };
        self.add(table, key, what, Remedy::Mend(vec![mend]));
    }

    fn refuse(&mut self, table: &'static str, key: &str, what: &str) {
        self.add(table, key, what, Remedy::Refuse);
    }

    fn add(&mut self, table: &'static str, key: &str, what: &str, remedy: Remedy) {
        self.0.push(Finding { table, key: key.to_owned(), what: what.to_owned(), remedy });
    }
}
