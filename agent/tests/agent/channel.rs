//! The cloud's end of a device's channel: it keeps the files that the device brings, as often as it brings them, and opens what
//! somebody wants to look at.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_channel::{
    authority::Authority,
    channel::{Channel, ChannelStream, Offer},
    header::{Header, Refusal, RefusalCode},
    tls::Tls,
    transfer::{Inbox, receive},
};
use ecep_proto::api::fleet::ChannelPapers;
use ed25519_dalek::VerifyingKey;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{cloud::DEVICE, within};

/// More than any file of these tests.
const MAX_BYTES: u64 = 1 << 20;

struct State {
    folder: tempfile::TempDir,
    /// By the files' ids; each is whole.
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The device's newest channel.
    channel: watch::Sender<Option<Channel>>,
}

pub struct CloudChannel {
    pub papers: ChannelPapers,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for CloudChannel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CloudChannel {
    /// For the device with this key.
    pub async fn listen(key: &VerifyingKey) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let authority = Authority::load_or_create(folder.path(), now).expect("an authority");
        let tls = Tls::new(&authority.cloud(now).expect("an identity")).expect("good papers");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let device = DEVICE.parse().expect("a name");
        let papers = ChannelPapers {
            certificate: authority.issue(&device, key, now).expect("a certificate"),
            authority: authority.certificate().to_owned(),
            grant_key: STANDARD_NO_PAD.encode(key.to_bytes()),
            cloud: Some(listener.local_addr().expect("an address").to_string()),
        };
        let state = Arc::new(State { folder, files: Mutex::default(), channel: watch::Sender::new(None) });
        let serving = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&serving), tcp, tls.clone()));
            }
        });
        Self { papers, state, task }
    }

    /// A file that was brought.
    pub fn file(&self, id: &str) -> Option<Vec<u8>> {
        self.state.files.lock().expect("nobody panicked with it").get(id).cloned()
    }

    /// Opens something at the device.
    pub async fn open(&self, header: &Header) -> ChannelStream {
        let mut channels = self.state.channel.subscribe();
        let there = channels.wait_for(|channel| channel.as_ref().is_some_and(|one| !one.is_ended()));
        let channel = within("the channel", there).await.expect("it lives").clone().expect("it is there");
        channel.open(header).await.expect("the device opens it")
    }
}

async fn serve(state: Arc<State>, tcp: tokio::net::TcpStream, tls: Tls) {
    tcp.set_nodelay(true).expect("a socket");
    // A device that was killed is no news.
    let Ok((channel, mut incoming)) = Channel::accept(tcp, &tls).await else { return };
    state.channel.send_replace(Some(channel));
    while let Some(offer) = incoming.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move { keep(&state, offer).await });
    }
}

async fn keep(state: &State, offer: Offer) {
    let Header::Store { file, .. } = offer.header.clone() else {
        drop(offer.refuse(Refusal::new(RefusalCode::Unsupported, "not in this test")).await);
        return;
    };
    let id = file.file.to_string();
    if state.files.lock().expect("nobody panicked with it").contains_key(&id) {
        drop(offer.refuse(Refusal::new(RefusalCode::AlreadyDone, "it is stored")).await);
        return;
    }
    let folder: &Path = state.folder.path();
    let inbox = Inbox::open(&folder.join(&id), MAX_BYTES).expect("a folder");
    let Ok(stream) = offer.take().await else { return };
    if let Ok(received) = receive(stream, &inbox, &mut |_| {}).await {
        let content = std::fs::read(&received[0].path).expect("it is there");
        state.files.lock().expect("nobody panicked with it").insert(id, content);
    }
}
