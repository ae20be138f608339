//! Every test of the project, part by part: what runs, in which surroundings, and how it is summed up. The parts are
//! other programs (cargo, npm); this file only starts them and reads what they print.

mod fuzz;
mod tally;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use tally::{Tally, tally};

use crate::lab::{self, Lab};
use crate::report::Report;
use crate::stack::{self, Programs, Stack};
use crate::{demo, interrupt, setup, workspace};

/// One device to run containers on, a second one for what takes two.
const DEVICES: u8 = 2;

/// Where the property tests' cases come from. Every run has the same ones, so that it fails by what was changed; with `all` they
/// are others each time, which is for finding what nobody has thought of.
const RANDOM_CASES: &str = "PROPTEST_RNG_SEED";
const SAME_CASES: &str = "1";

/// How often a running part is looked at for Ctrl-C.
const POLL: Duration = Duration::from_millis(50);

/// Sets the machine up, makes a lab and runs everything; the last line is `N passed, N failed`. `all` adds the tests
/// that are too long for every run (Rust's `#[ignore]`, the script `e2e:all` of the web application). Answers whether
/// nothing failed.
///
/// # Errors
/// The surroundings cannot be made, or somebody pressed Ctrl-C.
pub fn run(all: bool, data_root: &Path) -> Result<bool> {
    setup::run()?;
    eprintln!("test: starting a lab of {DEVICES} devices ...");
    let lab = Lab::create(&format!("test-{}", std::process::id()), data_root, DEVICES)?;
    let registry = lab.start_registry()?;
    lab::build_counter(lab.device(1))?;
    lab::push_image(lab::COUNTER_IMAGE, lab.device(1), &registry)?;
    let surroundings = [
        ("ECEP_TEST_DOCKER", lab.device(1).docker_socket().into_os_string()),
        ("ECEP_TEST_IMAGE", lab::COUNTER_IMAGE.into()),
        ("ECEP_TEST_REGISTRY", registry.address().to_string().into()),
        // The runtime's tests move containers between its devices.
        ("ECEP_TEST_LAB", lab.name().into()),
        ("ECEP_TEST_PYTHON", setup::python_interpreter().into_os_string()),
    ];
    let outcome = run_parts(parts(all)?, &surroundings);
    drop(registry);
    lab.destroy()?;
    let mut total = outcome?;
    total += run_on_stack(browser_parts(all)?, data_root)?;
    // A test that was killed may have left a lab of its own.
    lab::remove_orphans()?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{} passed, {} failed", total.passed, total.failed)?;
    Ok(total.failed == 0)
}

fn run_parts(parts: Vec<Part>, surroundings: &[(&str, OsString)]) -> Result<Tally> {
    let mut total = Tally::default();
    for part in parts {
        total += part.run(surroundings)?;
    }
    Ok(total)
}

/// Runs what needs the whole platform, on one of its own.
fn run_on_stack(parts: Vec<Part>, data_root: &Path) -> Result<Tally> {
    if parts.is_empty() {
        return Ok(Tally::default());
    }
    let name = format!("browser-{}", std::process::id());
    let mut report = Report::new();
    let started = Stack::start(&mut report, &name, data_root, DEVICES, Programs::build_with_tests)
        // The dashboard's tests want something that lives.
        .and_then(|stack| demo::start_sample(&stack).map(|_| stack));
    let stack = match started {
        Ok(stack) => stack,
        Err(error) => {
            interrupt::check()?;
            eprintln!("test: the platform for the browser does not come up: {error:#}");
            return Ok(Tally { passed: 0, failed: 1 });
        }
    };
    let kill_router = format!("kill -9 $(cat '{}')", stack.supervisor().pid_file(stack::ROUTER).display());
    let mut surroundings = stack.browsers_surroundings().to_vec();
    // It is started again at once.
    surroundings.push(("ECEP_RESTART_ROUTER", kill_router.into()));
    let outcome = run_parts(parts, &surroundings);
    stack.take_down()?;
    outcome
}

/// Something to run whose output tells how many tests ended how.
struct Part {
    name: String,
    command: Command,
    /// It checks or builds, and counts as one test.
    counts_as_one: bool,
}

fn parts(all: bool) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    // The control plane carries the built web application.
    parts.extend(npm("web: build", "build", true)?);
    parts.extend(npm("web: check", "check", true)?);
    parts.extend(npm("web: tests", "test", false)?);
    let mut command = cargo_test(&[]);
    if !all {
        command.env(RANDOM_CASES, SAME_CASES);
    }
    parts.push(Part { name: "rust and end to end".into(), command, counts_as_one: false });
    parts.extend(fuzz::parts(all)?);
    if all {
        let command = cargo_test(&["--", "--ignored"]);
        parts.push(Part { name: "long tests".into(), command, counts_as_one: false });
    }
    Ok(parts)
}

fn browser_parts(all: bool) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    // Against a control plane that only pretends: what would take a fleet and bad luck to see.
    parts.extend(npm("screens", "pretend", false)?);
    parts.extend(npm("browser", "e2e", false)?);
    if all {
        parts.extend(npm("long browser tests", "e2e:all", false)?);
    }
    Ok(parts)
}

/// A script of the web application, where there is one of that name.
fn npm(name: &str, script: &str, counts_as_one: bool) -> Result<Option<Part>> {
    let web = workspace().join("web");
    if !web_scripts(&web)?.iter().any(|known| known == script) {
        return Ok(None);
    }
    let mut command = Command::new("npm");
    command.args(["run", "--silent", script]).current_dir(web).env("NO_COLOR", "1").env("CI", "1");
    Ok(Some(Part { name: name.into(), command, counts_as_one }))
}

fn cargo_test(more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--workspace", "--no-fail-fast"]).args(more).current_dir(workspace());
    command
}

/// The names of the web application's scripts; none while there is no web application.
fn web_scripts(web: &Path) -> Result<Vec<String>> {
    let Ok(text) = fs::read(web.join("package.json")) else { return Ok(Vec::new()) };
    let package: serde_json::Value = serde_json::from_slice(&text).context("web/package.json is no JSON")?;
    Ok(package["scripts"].as_object().into_iter().flat_map(|scripts| scripts.keys().cloned()).collect())
}

impl Part {
    fn run(mut self, surroundings: &[(&str, OsString)]) -> Result<Tally> {
        eprintln!("test: {} ...", self.name);
        let start = Instant::now();
        self.command.envs(surroundings.iter().map(|(name, value)| (name, value)));
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = self.command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        let output = child.stdout.take().context("the part has no output")?;
        let reader = std::thread::spawn(move || {
            let mut sum = Tally::default();
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                sum += tally(&line);
                // Nobody may be reading any more, and the tests should end all the same.
                let _ = writeln!(std::io::stdout().lock(), "{line}");
            }
            sum
        });
        let succeeded = wait(&mut child)?;
        let mut sum = reader.join().unwrap_or_default();
        if self.counts_as_one {
            sum.passed = u64::from(succeeded);
        }
        // A part that did not get as far as counting (it did not compile, it was killed) has failed too.
        if !succeeded && sum.failed == 0 {
            sum.failed = 1;
        }
        let seconds = start.elapsed().as_secs();
        eprintln!("test: {}: {} passed, {} failed ({seconds} s)", self.name, sum.passed, sum.failed);
        Ok(sum)
    }
}

/// Waits for the end of a part and answers whether it succeeded; passes Ctrl-C on to it.
fn wait(child: &mut Child) -> Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if interrupt::wait(POLL) {
            // It has a process group of its own, with everything that it started.
            let _ = kill_process_group(Pid::from_child(child), Signal::TERM);
            child.wait()?;
            interrupt::check()?;
        }
    }
}
