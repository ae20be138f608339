//! What the runtime costs an ordinary container: creates and deletes containers by runc and by the runtime in turn, and
//! compares. As root:
//!
//! ```text
//! cargo build --release -p ecep-runtime --bins --examples
//! target/release/examples/overhead target/release/ecep-runtime 1000
//! ```
#![allow(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ecep_runtime::runc;
use serde_json::json;

struct Scene {
    bundle: PathBuf,
    state: PathBuf,
}

impl Scene {
    /// `create` only looks whether the program is there and executable; it is never started.
    fn make(folder: &Path, runtime: &Path) -> Result<Self, Box<dyn Error>> {
        let scene = Self { bundle: folder.join("bundle"), state: folder.join("state") };
        fs::create_dir_all(scene.bundle.join("rootfs/proc"))?;
        fs::copy(runtime, scene.bundle.join("rootfs/program"))?;
        let namespaces = ["pid", "mount", "network", "ipc", "uts"].map(|kind| json!({"type": kind}));
        let configuration = json!({
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["/program"], "user": {"uid": 0, "gid": 0}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": namespaces, "cgroupsPath": "/ecep-overhead"},
        });
        fs::write(scene.bundle.join("config.json"), serde_json::to_vec(&configuration)?)?;
        Ok(scene)
    }

    fn run(&self, program: &Path, words: &[&str]) -> Result<Duration, Box<dyn Error>> {
        let mut command = Command::new(program);
        command.arg("--root").arg(&self.state).args(words).stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.current_dir(&self.bundle).status()?;
        let elapsed = start.elapsed();
        if !status.success() {
            return Err(format!("{} {words:?}: {status}", program.display()).into());
        }
        Ok(elapsed)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, rounds] = words.as_slice() else { return Err("usage: overhead RUNTIME ROUNDS".into()) };
    let (runtime, rounds) = (fs::canonicalize(runtime)?, rounds.parse::<usize>()?);
    let runc = runc::find().ok_or("there is no runc")?;
    let folder = std::env::temp_dir().join(format!("ecep-overhead-{}", std::process::id()));
    let scene = Scene::make(&folder, &runtime)?;
    let programs = [("runc", &runc), ("ecep-runtime", &runtime)];
    let mut taken = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        // Turn about, and who begins changes, so that a busy moment hits both.
        for index in [round % 2, (round + 1) % 2] {
            taken[index].push(scene.run(programs[index].1, &["create", "overhead"])?);
            scene.run(&runc, &["delete", "--force", "overhead"])?;
        }
    }
    for ((name, _), taken) in programs.iter().zip(&mut taken) {
        taken.sort_unstable();
        let mean = taken.iter().sum::<Duration>() / u32::try_from(taken.len().max(1))?;
        let at = |part: usize| taken[(taken.len() - 1) * part / 100];
        println!("{name}: {} creates, median {:?}, mean {mean:?}, p99 {:?}", taken.len(), at(50), at(99));
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
