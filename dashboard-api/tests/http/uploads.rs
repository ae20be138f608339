//! Uploads by tus 1.0, as the stock client sends them.

use std::{path::PathBuf, time::Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use ecep_dashboard_api::store::KEEP_UPLOADS_MS;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{
    ARTIFACT_QUOTA, NO_ROUTER, Server, bearer, data_of, now, open_store,
    tus::{archive, digest},
    wamp::PATIENCE,
};

/// Every file below a folder of the data folder.
fn files(server_data: &std::path::Path, folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![server_data.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// From the first question to the artifact: each answer says how far it is, a part in the wrong place is refused, and whoever lost the last
/// answer finds out by asking.
#[tokio::test]
async fn an_upload_goes_by_parts_and_becomes_an_artifact() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let spoken = maria.tus(Method::OPTIONS, "/api/tenants/acme/uploads", &[], vec![]).await;
    assert_eq!(spoken.header("tus-version"), "1.0.0");
    assert_eq!(spoken.header("tus-extension"), "creation,expiration,checksum,termination");
    assert_eq!(spoken.header("tus-checksum-algorithm"), "sha256");
    assert_eq!(spoken.header("tus-max-size"), (4_u64 << 30).to_string());

    let bytes = archive("main.py", 3_000_000);
    let half = bytes.len() / 2;
    let upload = maria.upload("acme", bytes.len()).await;
    assert_eq!(upload.offset().await, 0);
    let first = upload.part(0, &bytes[..half]).await;
    assert_eq!((first.status, first.header("upload-offset")), (StatusCode::NO_CONTENT, &*half.to_string()));
    assert!(!first.header("upload-expires").is_empty());
    for wrong in [0, half - 1, half + 1] {
        let refused = upload.part(wrong, &bytes[half..]).await;
        assert!(refused.problem(409).contains(&format!("has {half} bytes")), "{refused:?}");
        assert_eq!(refused.header("upload-offset"), half.to_string());
    }
    assert_eq!(upload.offset().await, half);
    assert_eq!(upload.view().await["received"], half);
    let last = upload.part(half, &bytes[half..]).await;
    let artifact = digest(&bytes);
    assert_eq!((last.status, last.header("ecep-artifact")), (StatusCode::NO_CONTENT, &*artifact));

    let head = upload.head().await;
    assert_eq!(
        (head.header("ecep-artifact"), head.header("upload-offset")),
        (&*artifact, &*bytes.len().to_string())
    );
    assert_eq!(upload.view().await["artifact"], json!(artifact));
    let again = upload.part(bytes.len(), &[]).await;
    assert_eq!(again.header("ecep-artifact"), artifact, "the answer to the last part may be lost");
    let kept = data_of(&server.folder).join("artifacts").join(&artifact[..2]).join(&artifact);
    assert_eq!(std::fs::read(kept).unwrap(), bytes);
    assert_eq!(files(&data_of(&server.folder), "uploads"), Vec::<PathBuf>::new());
}

/// Two parts at once would mix their bytes; and what came of a part whose connection breaks is kept.
#[tokio::test(flavor = "multi_thread")]
async fn two_parts_at_once_and_a_broken_connection() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let bytes = archive("main.py", 1_000_000);
    let upload = maria.upload("acme", bytes.len()).await;
    let first = upload.begin_part(0, bytes.len(), &bytes[..500_000]);
    let deadline = Instant::now() + PATIENCE;
    while upload.view().await["received"] == 0 {
        assert!(Instant::now() < deadline, "the first part does not arrive");
    }
    assert!(upload.part(0, &bytes).await.problem(423).contains("Another request"));
    drop(first);
    let arrived = loop {
        let head = upload.head().await;
        if head.status == StatusCode::OK {
            break head.header("upload-offset").parse::<usize>().unwrap();
        }
        assert!(Instant::now() < deadline, "{head:?}");
    };
    assert_eq!(arrived, 500_000, "all that was sent has arrived");
    assert_eq!(upload.part(arrived, &bytes[arrived..]).await.header("ecep-artifact"), digest(&bytes));
}

/// A part that arrives damaged is dropped whole; and a client that tells its file's digest hears of damage at the end.
#[tokio::test]
async fn checksums_are_compared() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let bytes = archive("main.py", 600_000);
    let checksum = |bytes: &[u8]| format!("sha256 {}", STANDARD.encode(Sha256::digest(bytes)));
    let upload = maria.upload("acme", bytes.len()).await;
    assert_eq!(upload.part(0, &bytes[..1_000]).await.status, 204);
    let wrong = upload.checked_part(1_000, &bytes[1_000..400_000], Some(&checksum(b"other"))).await;
    assert!(wrong.problem(460).contains("send it again"), "{wrong:?}");
    assert_eq!(upload.offset().await, 1_000);
    let right = upload.checked_part(1_000, &bytes[1_000..], Some(&checksum(&bytes[1_000..]))).await;
    assert_eq!(right.header("ecep-artifact"), digest(&bytes), "{right:?}");

    let begun = maria.ask_to_upload("acme", bytes.len(), Some(&digest(b"other"))).await;
    let other = crate::support::tus::Upload { person: maria, path: begun.header("location").to_owned() };
    let refused = other.part(0, &bytes).await.problem(422);
    assert!(refused.contains(&digest(b"other")) && refused.contains("Upload the file again"), "{refused}");
}

/// What must not be kept is refused with a sentence, which is told again to whoever asks again; nothing is kept of it, nor counted.
#[tokio::test]
async fn a_hostile_archive_is_refused() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for (bytes, says) in [
        (archive("../evil", 1_000_000), "leads out of the archive"),
        (archive("/etc/passwd", 10), "absolute path"),
        (b"PK\x03\x04 a zip".repeat(10_000), "tar"),
        (archive("main.py", 100_000)[..60_000].to_vec(), "ends in the middle"),
    ] {
        let upload = maria.upload("acme", bytes.len()).await;
        let refused = upload.part(0, &bytes).await.problem(422);
        assert!(refused.contains(says), "{refused}");
        assert_eq!(upload.part(bytes.len(), &[]).await.problem(422), refused);
        assert_eq!(upload.view().await["error"], json!(refused));
        assert_eq!(upload.head().await.status, StatusCode::GONE);
    }
    for folder in ["uploads", "artifacts"] {
        assert_eq!(files(&data_of(&server.folder), folder), Vec::<PathBuf>::new(), "{folder}");
    }
    // All of the quota is left.
    maria.upload("acme", ARTIFACT_QUOTA as usize).await;
}

/// The quota is held when an upload begins, so nobody sends gigabytes in vain; what is given up is free again.
#[tokio::test]
async fn the_quota_is_stated_up_front() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let quota = ARTIFACT_QUOTA as usize;
    let refused = maria.ask_to_upload("acme", quota + 1, None).await.problem(413);
    assert!(refused.contains(&format!("{quota} of the tenant's {quota} bytes are left")), "{refused}");
    let bytes = archive("main.py", 1_000_000);
    maria.upload_whole("acme", &bytes).await;
    let open = maria.upload("acme", quota - bytes.len()).await;
    assert!(maria.ask_to_upload("acme", 1, None).await.problem(413).contains("0 of"));
    assert_eq!(open.give_up().await.status, StatusCode::NO_CONTENT);
    assert_eq!(open.head().await.status, StatusCode::NOT_FOUND);
    open.part(0, b"x").await.problem(404);
    maria.upload("acme", quota - bytes.len()).await;
    assert!(
        maria.ask_to_upload("acme", (4 << 30) + 1, None).await.problem(413).contains("an upload may have")
    );
}

/// Two tenants with the same file share its bytes; each sends all of it and pays for it, and neither is told of the other.
#[tokio::test]
async fn two_tenants_with_the_same_file_share_its_bytes() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let gus =
        server.add_person(&maria, "gus@example.org", json!([{ "tenant": "globex", "role": "owner" }])).await;
    let bytes = archive("main.py", 2_000_000);
    let artifact = maria.upload_whole("acme", &bytes).await;
    let upload = gus.upload("globex", bytes.len()).await;
    assert_eq!(upload.offset().await, 0, "it travels whole");
    assert_eq!(upload.view().await["artifact"], json!(null));
    let kept = files(&data_of(&server.folder), "artifacts");
    assert_eq!(upload.part(0, &bytes).await.header("ecep-artifact"), artifact);
    assert_eq!(files(&data_of(&server.folder), "artifacts"), kept);
    // An upload of another tenant looks as one that there is not.
    let stranger = crate::support::tus::Upload { path: upload.path.replace("globex", "acme"), person: maria };
    stranger.part(0, &bytes).await.problem(404);
    assert_eq!(stranger.head().await.status, StatusCode::NOT_FOUND);
    let left = ARTIFACT_QUOTA as usize - bytes.len();
    gus.ask_to_upload("globex", left + 1, None).await.problem(413);

    let data = data_of(&server.folder);
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
    let digest = artifact.parse().unwrap();
    assert!(store.remove_artifact(&acme, &digest).await.unwrap());
    drop(store);
    let server = Server::start_in(folder, NO_ROUTER, None).await;
    assert_eq!(files(&data, "artifacts"), kept, "the other tenant has it still");
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    assert!(store.remove_artifact(&globex, &digest).await.unwrap());
    drop(store);
    let _server = Server::start_in(folder, NO_ROUTER, None).await;
    assert_eq!(files(&data, "artifacts"), Vec::<PathBuf>::new(), "nobody has it any more");
}

/// What was begun and left is forgotten after a day, with its bytes.
#[tokio::test]
async fn an_upload_that_was_left_ends_after_a_day() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let upload = maria.upload("acme", 100_000).await;
    upload.part(0, &[7; 1_000]).await;
    let data = data_of(&server.folder);
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    assert!(store.sweep_uploads(now() + KEEP_UPLOADS_MS - 60_000).await.unwrap().is_empty());
    assert_eq!(store.sweep_uploads(now() + KEEP_UPLOADS_MS).await.unwrap().len(), 1);
    drop(store);
    let server = Server::start_in(folder, NO_ROUTER, None).await;
    let upload = crate::support::tus::Upload {
        person: crate::support::Person { base: server.base.clone(), ..upload.person },
        path: upload.path,
    };
    assert_eq!(upload.head().await.status, StatusCode::NOT_FOUND);
    assert_eq!(files(&data, "uploads"), Vec::<PathBuf>::new());
}

/// Who may upload: owners, operators and operators' tokens; and only by tus.
#[tokio::test]
async fn uploads_are_for_those_who_may_change_things() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let viewer =
        server.add_person(&maria, "vera@example.org", json!([{ "tenant": "acme", "role": "viewer" }])).await;
    viewer.ask_to_upload_plainly().await.problem(403);
    let (_, token) = maria.api_token("acme", "operator").await;
    let by_token = bearer(&server, Method::POST, "/api/tenants/acme/uploads", &token).await;
    assert!(by_token.problem(412).contains("Tus-Resumable"), "{by_token:?}");
    assert_eq!(by_token.header("tus-version"), "1.0.0");
    let untyped = maria.upload("acme", 10).await;
    let sent = maria.tus(Method::PATCH, &untyped.path, &[("upload-offset", "0")], vec![1; 10]).await;
    sent.problem(415);
    assert!(untyped.part(0, &[0; 11]).await.problem(413).contains("length of 10 bytes"));
}

impl crate::support::Person {
    async fn ask_to_upload_plainly(&self) -> crate::support::Answer {
        self.send(Method::POST, "/api/tenants/acme/uploads", None).await
    }
}
