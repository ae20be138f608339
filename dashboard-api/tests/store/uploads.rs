//! Uploads under a SIGKILL at any moment, and on a full disk.

use std::{path::Path, process::Command, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    assert_sound,
    full_disk::Disk,
    support::{
        Person,
        program::{Program, run, set_up},
        tus::{Upload, archive, digest},
    },
};

/// Bytes of a part.
const PART: usize = 300_000;
/// How often it is killed at least.
const KILLS: u32 = 12;

fn again(upload: &Upload, program: &Program) -> Upload {
    let person = Person { base: program.base.clone(), ..upload.person.clone() };
    Upload { person, path: upload.path.clone() }
}

/// Sends parts until the kill; how far the last answer was.
async fn send(upload: Upload, bytes: Vec<u8>, from: usize) -> usize {
    let mut answered = from;
    while answered < bytes.len() {
        let end = bytes.len().min(answered + PART);
        let request = upload
            .person
            .client
            .patch(format!("{}{}", upload.person.base, upload.path))
            .header("cookie", upload.person.cookie.as_ref().unwrap())
            .header("x-ecep-csrf", "1")
            .header("tus-resumable", "1.0.0")
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", answered.to_string())
            .body(bytes[answered..end].to_vec());
        let Ok(response) = request.send().await else { break };
        assert_eq!(response.status(), 204);
        answered = response.headers()["upload-offset"].to_str().unwrap().parse().unwrap();
    }
    answered
}

/// After a kill at any moment an upload goes on where it was, at least as far as was answered, and what it becomes is what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_kill() {
    let seed = std::env::var("ECEP_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("ECEP_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let bytes = archive("main.py", 30_000_000);
    let mut upload = maria.upload("acme", bytes.len()).await;
    let mut running = program;
    let (mut kills, mut answered) = (0, 0);
    while kills < KILLS {
        upload = again(&upload, &running);
        let head = upload.head().await;
        if !head.header("ecep-artifact").is_empty() {
            assert_eq!(head.header("ecep-artifact"), digest(&bytes));
            // It came to its end meanwhile: another one.
            upload = upload.person.upload("acme", bytes.len()).await;
            answered = 0;
        }
        let offset = upload.offset().await;
        assert!(offset >= answered, "{offset} bytes are there, and {answered} were answered");
        let sending = tokio::spawn(send(again(&upload, &running), bytes.clone(), offset));
        tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
        running.kill();
        answered = sending.await.unwrap();
        kills += 1;
        assert_sound(&folder.path().join("data"));
        running = Program::start(folder.path());
    }
    let upload = again(&upload, &running);
    let offset = upload.offset().await;
    assert!(offset >= answered);
    assert_eq!(send(again(&upload, &running), bytes.clone(), offset).await, bytes.len());
    assert_eq!(upload.view().await["artifact"], digest(&bytes));
    running.kill();
    assert_sound(&folder.path().join("data"));
}

/// A program that was killed between the last byte and its judgement judges when it is asked. A part whose checksum was not compared yet
/// counts for nothing; bytes that nobody has are removed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_has_left_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let bytes = archive("main.py", 1_000_000);
    let upload = maria.upload("acme", bytes.len()).await;
    assert_eq!(upload.part(0, &bytes[..500_000]).await.status, 204);
    program.kill();
    let id = upload.path.rsplit('/').next().unwrap();
    let file = data.join("uploads").join(id);
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(file.with_extension("unchecked"), "500000").unwrap();
    let stray = |name: &str| {
        let path = data.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "left behind").unwrap();
        path
    };
    let strays = [
        stray("uploads/nobodys"),
        stray("artifacts/.coming-nobodys"),
        stray(&format!("artifacts/ab/{}", "ab".repeat(32))),
    ];
    let program = Program::start(folder.path());
    assert!(strays.iter().all(|path| !path.exists()), "{strays:?}");
    assert_eq!(again(&upload, &program).offset().await, 500_000);
    program.kill();
    std::fs::write(&file, &bytes).unwrap();
    let program = Program::start(folder.path());
    assert_eq!(again(&upload, &program).head().await.header("ecep-artifact"), digest(&bytes));
}

/// A disk that fills up stops an upload with a sentence, long before the store has no room; nothing that has come is lost, and it goes on
/// once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_an_upload_and_loses_nothing() {
    const KEEP_FREE: u64 = 24 << 20;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(disk) = Disk::mount(&data, 128) else {
        eprintln!("skipped: this user cannot mount a small disk");
        return;
    };
    let mut command = Program::command(folder.path());
    command.args(["--keep-free", &KEEP_FREE.to_string()]);
    let program = Program::spawn(command);
    let maria = set_up(&program, folder.path()).await;
    let bytes = archive("main.py", 20_000_000);
    let refused = maria.ask_to_upload("acme", 120 << 20, None).await.problem(507);
    assert!(refused.contains("disk is full"), "{refused}");
    let upload = maria.upload("acme", bytes.len()).await;
    assert_eq!(upload.part(0, &bytes[..1_000_000]).await.status, 204);
    disk.fill(KEEP_FREE + 5_000_000);
    let refused = upload.part(1_000_000, &bytes[1_000_000..]).await.problem(507);
    assert!(refused.contains("What has arrived is kept"), "{refused}");
    let arrived = upload.offset().await;
    assert!((1_000_000..7_000_000).contains(&arrived), "{arrived}");
    // The store goes on: what is left is more than it needs.
    maria.join_token(1).await;
    disk.make_room();
    assert_eq!(upload.part(arrived, &bytes[arrived..]).await.header("ecep-artifact"), digest(&bytes));
    program.kill();
    assert_sound(&data);
}

/// A backup says what it leaves out and where that is; a restored control plane says what it lacks, and has it again once the folder is
/// copied.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_tells_of_the_artifacts_that_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let bytes = archive("main.py", 100_000);
    let artifact = maria.upload_whole("acme", &bytes).await;
    let file = folder.path().join("backup");
    let file = file.to_str().unwrap();
    let (done, said) = run(&["backup", "--to", file], &data);
    assert!(done && said.contains("1 artifacts are not in it") && said.contains("data/artifacts"), "{said}");
    program.kill();
    let elsewhere = tempfile::tempdir().unwrap();
    let restored = elsewhere.path().join("data");
    let (done, said) = run(&["restore", "--from", file], &restored);
    assert!(done && said.contains("1 artifacts were not in the backup"), "{said}");
    let (sound, said) = run(&["check"], &restored);
    assert!(!sound && said.contains(&artifact) && said.contains("upload the file again"), "{said}");
    copy(&data.join("artifacts"), &restored.join("artifacts"));
    assert_sound(&restored);
    let program = Program::start(elsewhere.path());
    assert!(restored.join("artifacts").join(&artifact[..2]).join(&artifact).exists());
    program.kill();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}
