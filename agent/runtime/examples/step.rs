//! One step of a migration by hand, on the device itself; the tests use it to get into a lab's device, and so can a
//! person. Prints what there is to say as JSON.
//!
//! ```text
//! step cut PID | reconnect PID | freeze PID | thaw PID | look PID
//! step dump EXEC_ROOT ID PID FOLDER      makes FOLDER/images and FOLDER/work
//! step probe RUNTIME FOLDER              FOLDER must not exist
//! ```
#![allow(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ecep_runtime::dump::{Folders, Request, RestoredBy, dump};
use ecep_runtime::probe::{Trial, probe};
use ecep_runtime::{freezer, network, runc};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let start = Instant::now();
    match step(&words) {
        Ok(mut said) => {
            said["microseconds"] = json!(start.elapsed().as_micros());
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("step: {error}");
            ExitCode::FAILURE
        }
    }
}

fn step(words: &[&str]) -> Result<Value, Box<dyn Error>> {
    let runc = runc::find().ok_or("there is no runc")?;
    Ok(match words {
        ["cut", pid] => network::cut(pid.parse()?).map(|()| json!({}))?,
        ["reconnect", pid] => network::reconnect(pid.parse()?).map(|()| json!({}))?,
        ["freeze", pid] => freezer::freeze(pid.parse()?).map(|()| json!({}))?,
        ["thaw", pid] => freezer::thaw(pid.parse()?).map(|()| json!({}))?,
        ["look", pid] => {
            let pid = pid.parse()?;
            json!({"cut": network::is_cut(pid)?, "frozen": freezer::is_frozen(pid)?})
        }
        ["dump", exec_root, id, pid, folder] => {
            let root = runc::find_root(Path::new(exec_root), id).ok_or("runc knows no such container")?;
            let folders = Folders::create(Path::new(folder))?;
            let report = dump(&Request {
                runc: &runc,
                root: &root,
                id,
                pid: pid.parse()?,
                images: &folders.images,
                work: &folders.work,
                criu: None,
                is_cut: true,
                restored_by: RestoredBy::Us,
                limit: LIMIT,
            })?;
            json!({"bytes": report.bytes})
        }
        ["probe", runtime, folder] => {
            let trial =
                Trial { runtime: Path::new(runtime), runc: &runc, criu: None, folder: Path::new(folder) };
            let capability = probe(&trial)?;
            json!({
                "dump_microseconds": capability.dump.elapsed.as_micros(),
                "restore_microseconds": capability.restore.as_micros(),
            })
        }
        _ => return Err("see the top of examples/step.rs".into()),
    })
}
