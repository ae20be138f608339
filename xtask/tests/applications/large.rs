//! A log of two gigabytes from a container to whoever asked for it, with the memory of every program on its way.

use std::fs;
use std::io::{self, Write};
use std::time::Instant;

use ecep_proto::api::FileFetch;
use ecep_proto::api::application::{Settings, Source};
use ecep_proto::api::file::FetchFile;
use xtask::stack::{DASHBOARD_API, ROUTER, agent_name};

use super::{LIMIT, NUMBER, Scene, command};

/// Bytes of the small log and of the large one.
const BYTES: [u64; 2] = [1 << 20, 2 << 30];
/// What the large one may take beyond what the small one took, in each program: what buffers hold.
const MORE: u64 = 32 << 20;

/// Counts, and keeps nothing.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The largest memory that a program has had, in bytes (`proc_pid_status(5)`, `VmHWM`).
fn peak(scene: &Scene, name: &str) -> u64 {
    let (pid, _) = scene.stack.supervisor().pid(name).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The memory of agent, control plane and router does not grow with what is fetched.
///
/// `cargo test --release -p xtask --test applications -- --ignored --nocapture`, in some minutes, with ten gigabytes free on the disk.
#[test]
#[ignore = "takes minutes and gigabytes"]
fn a_log_of_two_gigabytes_is_fetched_in_flat_memory() {
    let scene = Scene::start();
    let programs = [agent_name(NUMBER), DASHBOARD_API.to_owned(), ROUTER.to_owned()];
    let settings = Settings { ..command(&["sleep", "6000"]) };
    scene.add("writer", Source::Image { image: scene.base.clone() }, settings);
    let container = scene.deploy("writer");
    let engines = scene.engine_has(&container);
    let engines = engines.split(' ').next().unwrap();
    let device = scene.stack.lab().device(NUMBER);
    let mut peaks = Vec::new();
    for bytes in BYTES {
        let make = format!("dd if=/dev/urandom of=/app.log bs=1048576 count={} 2>/dev/null", bytes >> 20);
        device.run_docker(["exec", engines, "sh", "-c", &make]).unwrap();
        let start = Instant::now();
        let order = FetchFile { container: container.clone(), path: "/app.log".into(), operation: None };
        let fetched = scene
            .stack
            .operator()
            .order_timed::<FileFetch>(scene.stack.id(NUMBER), &order, LIMIT * 5)
            .unwrap();
        let stored = start.elapsed();
        let path =
            format!("/api/tenants/{}/files/{}/content", scene.stack.tenant(), fetched.answer.operation);
        let mut counted = Counted(0);
        let cloud = scene.stack.cloud().reached_at(scene.stack.cloud().url(), LIMIT * 5);
        cloud.download(&path, &mut counted).unwrap();
        assert_eq!(counted.0, bytes);
        let now: Vec<u64> = programs.iter().map(|name| peak(&scene, name)).collect();
        println!("{} MiB: stored after {stored:?}, read after {:?}", bytes >> 20, start.elapsed());
        peaks.push(now);
    }
    for (at, name) in programs.iter().enumerate() {
        let (small, large) = (peaks[0][at], peaks[1][at]);
        println!("{name}: {} MiB, then {} MiB", small >> 20, large >> 20);
        assert!(large <= small + MORE, "{name} had {} MiB and then {} MiB", small >> 20, large >> 20);
    }
    scene.stack.take_down().unwrap();
}
