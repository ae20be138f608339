//! A full disk: a small one in memory, which only root can mount.

use std::{path::Path, process::Command, time::Instant};

use serde_json::{Value, json};

use crate::{
    assert_sound, backup,
    support::{
        Device,
        program::{Program, set_up},
        wamp::PATIENCE,
    },
};

/// A disk of this size, unmounted when the test ends.
pub struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// None where this user may not mount one.
    pub fn mount(folder: &'a Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "ecep-test"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Leaves this much room.
    pub fn fill(&self, left: u64) {
        let disk = rustix::fs::statvfs(self.0).unwrap();
        let take = disk.f_bavail * disk.f_frsize - left;
        std::fs::write(self.0.join("filler"), vec![0; take as usize]).unwrap();
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// While the disk is full a change is refused with a sentence that says so and what is stored can be read; once there
/// is room all goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(disk) = Disk::mount(&data, 64) else {
        eprintln!("skipped: this user cannot mount a small disk");
        return;
    };
    let program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let token = json!({ "uses": 1, "valid_seconds": 600 });
    let path = "/api/tenants/acme/join-tokens";
    assert_eq!(maria.post(path, token.clone()).await.status, 201);

    disk.fill(1024 * 1024);
    let refused = maria.post(path, token.clone()).await.problem(503);
    assert!(refused.contains("disk is full"), "{refused}");
    assert_eq!(maria.get(path).await.json().as_array().unwrap().len(), 1);
    let health = maria.get("/healthz").await;
    assert!(health.status == 200 && health.text.contains("disk is full"), "{health:?}");

    disk.make_room();
    assert_eq!(maria.post(path, token).await.status, 201);
    assert!(maria.get("/healthz").await.text.contains("\"store\":\"good\""));
    program.kill();
    assert_sound(&data);
}

/// Room for some changes before a write fails.
const ROOM: u64 = 256 * 1024;

/// A write that fails all the same: changes are refused, the program ends with a sentence since there is room, and the
/// next one has everything that was answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_ends_the_program_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let plain = Program::command(folder.path());
    // The end of the largest file is met as that of a disk is; the program is not killed for it.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    command.env_remove("RUST_LOG").stderr(std::process::Stdio::piped());
    let mut program = Program::spawn(command);
    let maria = set_up(&program, folder.path()).await;
    let (_, token) = maria.join_token(1_000).await;
    let longest = std::fs::metadata(data.join("store/db")).unwrap().len();
    let process = program.child.id().to_string();
    let limited =
        Command::new("prlimit").arg(format!("--fsize={}", longest + ROOM)).args(["--pid", &process]).status();
    assert!(limited.unwrap().success());

    let mut answered = Vec::new();
    for number in 1.. {
        let enrolment = Device::new(number).enrolment(&token, "Edge");
        let request = maria.client.post(format!("{}/api/device/enrol", maria.base)).json(&enrolment);
        let Ok(response) = request.send().await else { break };
        if !response.status().is_success() {
            let told = response.text().await.unwrap();
            assert!(told.contains("takes no more changes until it is started again"), "{told}");
            break;
        }
        let Ok(reply) = response.json::<Value>().await else { break };
        answered.push(reply["device"].as_str().unwrap().to_owned());
    }
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = program.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it goes on: {}", program.log.lock().unwrap());
        tokio::task::yield_now().await;
    };
    assert!(!status.success() && !answered.is_empty(), "{status}, {} answered", answered.len());
    while !program.log.lock().unwrap().contains("there is room on its disk now") {
        assert!(Instant::now() < deadline, "{}", program.log.lock().unwrap());
        tokio::task::yield_now().await;
    }
    Program::spawn(plain).kill();
    assert_sound(&data);
    let devices = backup(&data).tables;
    for device in &answered {
        assert!(devices.rows("devices").contains_key(device), "{device} was answered and is lost");
    }
}
