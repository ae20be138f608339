//! Takes pictures of the dashboard on a platform of its own, and from one of them the README's. What is on them is up to `web/e2e/shots.mjs`.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::report::Report;
use crate::stack::{Programs, Stack, http_client};
use crate::{demo, interrupt, wait, workspace};

/// Two devices, so that there is something to tell apart.
const DEVICES: u8 = 2;
/// How long the sample works at a time, and rests: the chart has something to show.
const WORK: Duration = Duration::from_millis(1_500);
/// See [`WORK`].
const REST: Duration = Duration::from_millis(2_500);
/// The sample answers once it has worked; a busy machine takes longer.
const LIMIT: Duration = Duration::from_secs(30);
/// All pictures, in both themes and widths.
const SHOTS_LIMIT: Duration = Duration::from_secs(600);

/// Takes the pictures into `web/e2e/shots`, and the README's into `readme`.
///
/// # Errors
/// The platform does not come up, a page is not as it should be, or somebody pressed Ctrl-C.
pub fn run(data_root: &Path, readme: &Path) -> Result<()> {
    let name = format!("shots-{}", std::process::id());
    let stack = Stack::start(&mut Report::new(), &name, data_root, DEVICES, Programs::build)?;
    let sample = demo::start_sample(&stack)?;
    let is_over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| keep_busy(&sample, &is_over));
        let outcome = take(&stack, readme);
        is_over.store(true, Ordering::Release);
        outcome
    });
    stack.take_down()?;
    outcome
}

fn take(stack: &Stack, readme: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", "shots"]).current_dir(workspace().join("web"));
    npm.envs(stack.browsers_surroundings()).env("ECEP_SHOT", readme);
    let mut child = npm.spawn()?;
    let status = wait::until("the pictures are taken", SHOTS_LIMIT, || Ok(child.try_wait()?));
    if status.is_err() {
        child.kill()?;
        child.wait()?;
    }
    ensure!(status?.success(), "a picture could not be taken; what is said above tells which");
    Ok(())
}

fn keep_busy(sample: &str, is_over: &AtomicBool) {
    let client = http_client(LIMIT);
    while !is_over.load(Ordering::Acquire) && interrupt::check().is_ok() {
        // A picture without this load is a picture, too.
        let _ = client.get(format!("{sample}burn?ms={}", WORK.as_millis())).call();
        interrupt::wait(REST);
    }
}
