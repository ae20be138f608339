//! Sends artifacts to the devices that were ordered to run them. A device gets what a tenant that has a share in it has ordered there lately
//! and nothing else: it may be another tenant's, or stolen.

use ecep_channel::{
    channel::Offer,
    header::{Refusal, RefusalCode},
    transfer::{Item, Options, Source, Throttle, send},
};
use ecep_proto::api::{artifact::ArtifactDigest, name::TenantSlug};

use super::Channels;
use crate::{clock::unix_ms, fleet_view::shares, store::StoreError};

/// What the one item of the transfer is called.
const ITEM: &str = "artifact";

impl Channels {
    /// Answers a device that wants an artifact.
    pub(super) async fn send_artifact(&self, offer: Offer, tenant: &TenantSlug, digest: &ArtifactDigest) {
        let peer = offer.peer.clone();
        let refused = match self.may_have(&offer, tenant, digest) {
            Ok(true) => self.send_allowed(offer, tenant, digest).await,
            Ok(false) => {
                let text = format!(
                    "this device has no order of tenant {tenant} to run artifact {digest}; deploy the application again"
                );
                drop(offer.refuse(Refusal::new(RefusalCode::Forbidden, text)).await);
                Err("it has no order for it".to_owned())
            }
            Err(error) => {
                let text = "the control plane cannot reach its data now; try again later";
                drop(offer.refuse(Refusal::new(RefusalCode::Busy, text)).await);
                Err(error.to_string())
            }
        };
        match refused {
            Ok(sent) => tracing::info!(%peer, %tenant, %digest, bytes = sent, "artifact sent"),
            Err(error) => tracing::info!(%peer, %tenant, %digest, error, "artifact not sent"),
        }
    }

    fn may_have(
        &self,
        offer: &Offer,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> Result<bool, StoreError> {
        let Some(device) = offer.peer.device() else { return Ok(false) };
        let row = self.store.device(device)?;
        let is_shared = row.is_some_and(|row| shares::tenants(&row).any(|one| one == tenant));
        Ok(is_shared && self.store.may_fetch(unix_ms(), device, tenant, digest)?)
    }

    async fn send_allowed(
        &self,
        offer: Offer,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> Result<u64, String> {
        let artifact = self.store.artifact(tenant, digest).map_err(|error| error.to_string())?;
        if !artifact.is_some_and(|artifact| self.artifacts.has_bytes(&artifact)) {
            let text = format!("artifact {digest} was deleted; upload the file again and deploy it anew");
            drop(offer.refuse(Refusal::new(RefusalCode::Failed, text)).await);
            return Err("its bytes are not here".to_owned());
        }
        let Ok(_place) = self.sending.try_acquire() else {
            let text = "too many devices fetch artifacts at this moment; come again in some seconds";
            drop(offer.refuse(Refusal::new(RefusalCode::Busy, text)).await);
            return Err("too many at once".to_owned());
        };
        let name = ITEM.parse().map_err(|error| format!("{error}"))?;
        let item = Item { name, source: Source::File(self.artifacts.path(digest)) };
        let stream = offer.take().await.map_err(|error| error.to_string())?;
        // Compressed already, most often.
        let options = Options { compress: false, throttle: Throttle::new(None) };
        let sent = send(stream, &[item], &options, &mut |_| {}).await;
        sent.map(|sent| sent.moved).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    use ecep_channel::{
        channel::{Channel, ChannelError, ChannelStream},
        header::Header,
        identity::Identity,
        peer::Peer,
        tls::Tls,
        transfer::{Inbox, receive},
    };
    use ecep_proto::api::artifact::ArtifactKind;
    use ed25519_dalek::SigningKey;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        artifacts::Artifacts,
        secret::SecretHash,
        store::{Account, Artifact, DELIVER_WITHIN_MS, Delivery, Device, JoinToken, Store, Tenant, Upload},
        stored::StoredFiles,
    };

    const CONTENT: &[u8] = b"what a tenant has uploaded";

    fn device(key: &SigningKey) -> Device {
        let facts = serde_json::from_value(serde_json::json!({
            "agent_version": "", "architecture": "x86_64", "kernel": "", "cores": 1, "memory_total_bytes": 1,
            "engine": { "kind": "sim", "reachable": true, "version": null, "api_version": null, "live_restore": null, "problems": [] },
            "hostname": "", "addresses": [],
        }));
        Device {
            id: "edge".parse().unwrap(),
            name: "Edge".to_owned(),
            place: None,
            owner: "acme".parse().unwrap(),
            public_key: STANDARD_NO_PAD.encode(key.verifying_key().as_bytes()),
            enrolled_at: 0,
            facts: facts.unwrap(),
            location: None,
            old_key: None,
            key_since: None,
            rotation_ordered: false,
            shares: vec![],
        }
    }

    /// A tenant with this artifact, and its bytes.
    async fn tenant_with(store: &Store, artifacts: &Artifacts, slug: &str, digest: &ArtifactDigest) {
        let tenant: TenantSlug = slug.parse().unwrap();
        let row = Tenant { slug: tenant.clone(), name: slug.to_owned(), created_at: 0, deleted_at: None };
        store.add_tenant(&row, "maria").await.unwrap();
        let bytes = CONTENT.len() as u64;
        let upload = Upload {
            id: format!("u{slug}"),
            tenant: tenant.clone(),
            name: "app.tar".to_owned(),
            bytes,
            digest: None,
            begun_at: 0,
            end: None,
        };
        store.begin_upload(&upload, 1_000).await.unwrap();
        let artifact = Artifact {
            tenant,
            digest: digest.clone(),
            name: "app.tar".to_owned(),
            kind: ArtifactKind::Files,
            bytes,
            unpacked_bytes: bytes,
            architectures: vec![],
            uploaded_at: 0,
        };
        store.end_upload(&upload, &artifact).await.unwrap();
        let path = artifacts.path(digest);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, CONTENT).unwrap();
    }

    /// A device gets an artifact while it is ordered to run it for that tenant: not without an order, nor another tenant's by the same
    /// digest, nor for one that has no share in it, nor a day later.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_device_gets_what_it_was_ordered_to_run_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let artifacts = Artifacts::open(folder.path(), store.clone(), 1_000).unwrap();
        let digest = ArtifactDigest::from_bytes([7; 32]);
        let maria = Account::maria();
        store.add_account(&maria, &[]).await.unwrap();
        for slug in ["acme", "globex"] {
            tenant_with(&store, &artifacts, slug, &digest).await;
        }
        let key = SigningKey::from_bytes(&[9; 32]);
        let row = device(&key);
        let token = JoinToken {
            id: "t".to_owned(),
            tenant: "acme".parse().unwrap(),
            secret: SecretHash::of("t"),
            uses_left: 1,
            expires_at: u64::MAX,
            device: None,
        };
        store.add_join_token(&token, "maria").await.unwrap();
        store.enrol(1, "t", &row).await.unwrap();
        let stored = StoredFiles::open(folder.path(), store.clone(), 1_000).unwrap();
        let channels = Arc::new(
            Channels::load(folder.path(), store.clone(), Arc::clone(&artifacts), None, stored).unwrap(),
        );
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(Arc::clone(&channels).serve(socket, stop.clone()));
        let papers = channels.papers(&row.id, &key.verifying_key()).unwrap();
        let identity = Identity::device(&papers.certificate, &key, &papers.authority).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (channel, _incoming) =
            Channel::connect(stream, &Tls::new(&identity).unwrap(), &Peer::Cloud).await.unwrap();
        let ask = async |slug: &str| -> Result<ChannelStream, ChannelError> {
            channel.open(&Header::Artifact { tenant: slug.parse().unwrap(), digest: digest.clone() }).await
        };
        let refused = |answer: Result<ChannelStream, ChannelError>| match answer {
            Err(ChannelError::Refused(refusal)) => refusal.code,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was sent"),
        };
        assert_eq!(refused(ask("acme").await), RefusalCode::Forbidden);
        let order = |slug: &str, at: u64| Delivery {
            device: row.id.clone(),
            tenant: slug.parse().unwrap(),
            digest: digest.clone(),
            at,
        };
        let old = unix_ms() - DELIVER_WITHIN_MS;
        store.put_deliveries(&[order("acme", old), order("globex", unix_ms())]).await.unwrap();
        assert_eq!(refused(ask("acme").await), RefusalCode::Forbidden, "the order is a day old");
        assert_eq!(refused(ask("globex").await), RefusalCode::Forbidden, "it has no share in the device");
        store.put_deliveries(&[order("acme", unix_ms())]).await.unwrap();
        let inbox = Inbox::open(&folder.path().join("inbox"), 1_000).unwrap();
        let received = receive(ask("acme").await.unwrap(), &inbox, &mut |_| {}).await.unwrap();
        assert_eq!(std::fs::read(&received[0].path).unwrap(), CONTENT);
        store.remove_artifact(&"acme".parse().unwrap(), &digest).await.unwrap();
        assert_eq!(refused(ask("acme").await), RefusalCode::Failed, "it is the tenant's no more");
        stop.cancel();
    }
}
