//! `ecep-runtime`: runc, except for containers whose restore is ordered. Everything else becomes runc by exec, so that
//! file descriptors, signals and exit codes are runc's own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use ecep_runtime::invocation::Invocation;
use ecep_runtime::order::Orders;
use ecep_runtime::{probe, restore, runc};

/// A shell's code for a program that cannot be found.
const NO_RUNC: u8 = 127;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if probe::is_workload(arguments.first()) {
        return match probe::workload() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(None, &format!("probe: {error}")),
        };
    }
    let Some(runc) = runc::find() else {
        eprintln!(
            "ecep-runtime: there is no runc on the PATH; install it, or name it in {}",
            runc::RUNC_VARIABLE
        );
        return ExitCode::from(NO_RUNC);
    };
    let orders = Orders::from_environment();
    match Invocation::parse(&arguments) {
        Invocation::Create(create) if orders.concerns(&create.id) => {
            match restore::create(&create, &orders, &runc) {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => fail(create.log.as_deref(), &reason),
            }
        }
        Invocation::Start(start) if orders.concerns(&start.id) => match restore::start(&start, &orders) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => become_runc(&runc, &arguments),
            Err(reason) => fail(start.log.as_deref(), &reason),
        },
        _ => become_runc(&runc, &arguments),
    }
}

fn become_runc(runc: &Path, arguments: &[OsString]) -> ExitCode {
    let error = Command::new(runc).args(arguments).exec();
    eprintln!("ecep-runtime: cannot run {}: {error}", runc.display());
    ExitCode::from(NO_RUNC)
}

fn fail(log: Option<&Path>, reason: &str) -> ExitCode {
    restore::tell_engine(log, reason);
    eprintln!("ecep-runtime: {reason}");
    ExitCode::FAILURE
}
