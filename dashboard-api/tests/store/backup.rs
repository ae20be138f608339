//! Backups, of a program that runs and of one that does not.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use ecep_dashboard_api::store::{LEFT_OUT, SAVED_FILES, Store, StoreError};
use serde_json::json;

use crate::{
    assert_sound, backup, of_version_1,
    support::{
        Device, EMAIL, PASSWORD, Person,
        program::{Program, run, set_up},
        wamp::PATIENCE,
    },
    write,
};

fn file_in(folder: &Path) -> PathBuf {
    folder.join("backup")
}

fn take(folder: &Path) -> (bool, String) {
    run(&["backup", "--to", file_in(folder).to_str().unwrap()], &folder.join("data"))
}

/// A backup that is taken while four writers enrol devices is of one moment: each device in it has its key, and a use
/// of the token is spent for each. Everything that was answered before is in it. Restored elsewhere, the control
/// plane goes on with the same people, devices and keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_of_one_moment_and_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let (id, token) = maria.join_token(1_000).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (maria, token) = (maria.clone(), token.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let device = Device::new(1 + writer * 1_000 + number);
                    maria.post("/api/device/enrol", device.enrolment(&token, "Edge")).await;
                }
            })
        })
        .collect();
    let mut counts = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while counts.len() < 5 || counts.last() == Some(&0) {
        assert!(Instant::now() < deadline, "no device was enrolled in time: {counts:?}");
        let uses_left =
            maria.get("/api/tenants/acme/join-tokens").await.json()[0]["uses_left"].as_u64().unwrap();
        let (copied, copy) = (data.clone(), tokio::task::spawn_blocking);
        let copy = copy(move || backup(&copied)).await.unwrap();
        let row: serde_json::Value = serde_json::from_str(&copy.tables.rows("join_tokens")[&id]).unwrap();
        let left = row["uses_left"].as_u64().unwrap();
        let devices = copy.tables.rows("devices").len();
        assert_eq!(devices as u64 + left, 1_000, "it is of two moments");
        assert_eq!(copy.tables.rows("device_of_key").len(), devices);
        assert!(left <= uses_left, "what was answered is not in it");
        counts.push(devices);
    }
    writers.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(take(folder.path()).0);
    assert_eq!(std::fs::metadata(file_in(folder.path())).unwrap().permissions().mode() & 0o777, 0o600);
    let papers = std::fs::read(data.join("channel-ca.key")).unwrap();
    program.kill();

    let elsewhere = tempfile::tempdir().unwrap();
    let restored = elsewhere.path().join("data");
    let from = file_in(folder.path());
    let (done, said) = run(&["restore", "--from", from.to_str().unwrap()], &restored);
    assert!(done && said.contains("rows of"), "{said}");
    assert_sound(&restored);
    assert_eq!(std::fs::read(restored.join("channel-ca.key")).unwrap(), papers);
    assert_eq!(
        std::fs::metadata(restored.join("channel-ca.key")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let program = Program::start(elsewhere.path());
    let mut maria = Person { base: program.base.clone(), ..maria };
    assert_eq!(maria.get("/api/session").await.status, 401, "a login of before is not one of after");
    maria.login(EMAIL, PASSWORD).await;
    assert_eq!(maria.get("/api/tenants/acme/join-tokens").await.json()[0]["id"], json!(id));
}

/// Backups of the same data are the same whether the program runs or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_can_be_taken_of_a_program_that_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    set_up(&program, folder.path()).await;
    let data = folder.path().join("data");
    let running = backup(&data);
    program.kill();
    let stopped = backup(&data);
    assert_eq!((running.tables, running.files), (stopped.tables, stopped.files));
}

/// Whatever is wrong with it, a restore touches no data that is there, and leaves an empty folder empty.
#[test]
fn a_restore_goes_only_into_an_empty_folder_and_only_whole() {
    let folder = tempfile::tempdir().unwrap();
    Program::start(folder.path()).kill();
    assert!(take(folder.path()).0);
    let from = file_in(folder.path());
    let restore = |file: &Path, data: &Path| run(&["restore", "--from", file.to_str().unwrap()], data);
    let (done, said) = restore(&from, &folder.path().join("data"));
    assert!(!done && said.contains("restore into an empty folder"), "{said}");
    assert_sound(&folder.path().join("data"));

    let text = std::fs::read_to_string(&from).unwrap();
    let damaged = folder.path().join("damaged");
    let empty = folder.path().join("empty");
    for (content, hint) in [
        (text[..text.len() / 2].to_owned(), "not a whole backup"),
        (text.replacen("BEGIN", "BEGUN", 1), "checksum"),
        ("something else\n".to_owned(), "not a whole backup"),
        (text.replacen("\"ecep_backup\":1", "\"ecep_backup\":9", 1), "with the version that made it"),
    ] {
        std::fs::write(&damaged, content).unwrap();
        let (done, said) = restore(&damaged, &empty);
        assert!(!done && said.contains(hint), "{hint}: {said}");
        assert!(
            !empty.exists()
                || std::fs::read_dir(&empty).unwrap().all(|entry| entry.unwrap().file_name() == "lock")
        );
    }
    let (done, said) = restore(&from, &empty);
    assert!(done, "{said}");
}

/// A folder into which a restore was cut short must not be taken for a new installation.
#[test]
fn a_restore_that_was_cut_short_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    write(&of_version_1().tables, folder.path());
    std::fs::rename(folder.path().join("store"), folder.path().join("store.new")).unwrap();
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, StoreError::HalfRestored { .. }), "{refused}");
}

/// A backup that does not fit on its disk is told, leaves no half file, and the one before it as it was.
#[test]
fn a_full_disk_leaves_the_last_backup() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    assert!(take(folder.path()).0);
    let before = std::fs::read(file_in(folder.path())).unwrap();
    // A limit on the size of files is met at the same place as the end of the disk.
    let output = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"")
        .arg(env!("CARGO_BIN_EXE_ecep-dashboard-api"))
        .args(["backup", "--data"])
        .arg(folder.path().join("data"))
        .arg("--to")
        .arg(file_in(folder.path()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no backup was written"), "{said}");
    assert_eq!(std::fs::read(file_in(folder.path())).unwrap(), before);
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["backup", "data", "router-ticket"]);
    drop(program);
}

/// A file that somebody adds to the data folder must be saved, or be known to be worth nothing after a restore.
#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_data_folder_is_saved_or_left_out_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let data = folder.path().join("data");
    let copy = backup(&data);
    for name in SAVED_FILES {
        assert!(copy.files.contains_key(name), "{name}");
    }
    for entry in std::fs::read_dir(&data).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(SAVED_FILES.contains(&&*name) || LEFT_OUT.contains(&&*name), "{name} is in no backup");
    }
    let mode = std::fs::metadata(data.join("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "whoever can write to it can read everything");
    drop(program);
}

/// A process of another user gets nothing, even if the folder and the socket were opened to all.
#[test]
fn another_user_gets_no_backup() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let data = folder.path().join("data");
    for path in [folder.path(), &data, &data.join("admin.sock")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let copied = folder.path().join("program");
    // Not in this process: a program that a child of another test has open for writing cannot be run.
    let copy = Command::new("cp").arg(env!("CARGO_BIN_EXE_ecep-dashboard-api")).arg(&copied).status();
    assert!(copy.unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copied);
    let output = command
        .args(["backup", "--data"])
        .arg(&data)
        .arg("--to")
        .arg(file_in(folder.path()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no backup was written"), "{said}");
    let deadline = Instant::now() + PATIENCE;
    while !program.log.lock().unwrap().contains("user 65534 may not ask for it") {
        assert!(Instant::now() < deadline, "{}", program.log.lock().unwrap());
        std::thread::yield_now();
    }
}
