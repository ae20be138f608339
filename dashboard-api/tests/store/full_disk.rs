//! A full disk: a small one in memory, which only root can mount.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::{
    assert_sound,
    support::program::{Program, set_up},
};

/// A disk of this size, unmounted when the test ends.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// None where this user may not mount one.
    fn mount(folder: &'a Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "ecep-test"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Leaves this much room.
    fn fill(&self, left: u64) {
        let disk = rustix::fs::statvfs(self.0).unwrap();
        let take = disk.f_bavail * disk.f_frsize - left;
        std::fs::write(self.0.join("filler"), vec![0; take as usize]).unwrap();
    }

    fn make_room(&self) {
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
