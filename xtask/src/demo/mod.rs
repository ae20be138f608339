//! The demonstration: the whole platform on this machine, to play with or to be walked through by a scripted tour whose
//! every step is proved by evidence from outside the platform.

mod lifecycle;
mod moving;
mod refusals;
mod survival;
mod telemetry;
mod traces;
mod workload;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ecep_proto::api::roles::Role;

use workload::{Workload, counter};

use crate::interrupt;
use crate::lab::COUNTER_IMAGE;
use crate::report::Report;
use crate::stack::{Programs, Stack, agent_name};

const DEVICES: u8 = 2;

/// The sample application, and the port at which its device serves it.
const SAMPLE: (&str, u16) = ("counter", 8080);

/// How long the tour waits for something that happens within a second or two on an idle machine.
const EVENT_LIMIT: Duration = Duration::from_secs(60);

/// How often the keeper looks up from waiting; a signal wakes it at once.
const KEEP: Duration = Duration::from_secs(3600);

/// Brings the platform up, says what to try, and stays until Ctrl-C.
///
/// # Errors
/// What stands in the way.
pub fn stay(name: &str, data_root: &Path) -> Result<()> {
    let mut report = Report::new();
    let stack = Stack::start(&mut report, name, data_root, DEVICES, Programs::build)?;
    let sample = report.step("sample application", || create_sample(&stack, 1))?;
    eprintln!("{}", invitation(&stack, &sample));
    while !interrupt::wait(KEEP) {}
    eprintln!("taking everything down ...");
    stack.take_down()
}

/// Brings the platform up, walks the tour, takes everything down, and looks for what is left. What failed is in the report.
pub fn tour(name: &str, data_root: &Path, build: fn() -> Result<Programs>) -> Report {
    let mut report = Report::new();
    let before = traces::Host::look();
    let mut words = Vec::new();
    let outcome = walk(&mut report, name, data_root, build, &mut words);
    if let (Err(error), true) = (outcome, report.is_ok()) {
        // It failed between two steps.
        let _ = report.step("tour", || Err::<((), String), _>(error));
    }
    if !words.is_empty() {
        let _ = report.step("nothing is left", || traces::expect_none(&words, &before));
    }
    report
}

fn walk(
    report: &mut Report,
    name: &str,
    data_root: &Path,
    build: fn() -> Result<Programs>,
    words: &mut Vec<String>,
) -> Result<()> {
    let stack = Stack::start(report, name, data_root, DEVICES, build)?;
    words.extend(traces::words(stack.lab()));
    let outcome = visit(report, &stack);
    let down =
        report.step("take-down", || Ok((stack.take_down()?, "every program ended when asked to".into())));
    outcome.and(down)
}

fn visit(report: &mut Report, stack: &Stack) -> Result<()> {
    let short = stack.cloud().make_api_token(stack.tenant(), "short", Role::Viewer, refusals::SHORT_LIFE)?;
    for number in 1..=DEVICES {
        lifecycle::walk(report, stack, number)?;
    }
    let sample = report.step("sample application", || create_sample(stack, 1))?;
    telemetry::show(report, stack, &sample)?;
    survival::prove(report, stack, &sample, 1)?;
    refusals::prove(report, stack, &sample, 1, &short)?;
    moving::prove(report, stack, &sample)?;
    report.step("the agent's log names the caller", || named_caller(stack, 1))?;
    report.step("nothing crashed", || {
        let ended = stack.supervisor().ended();
        if !ended.is_empty() {
            bail!("{}", ended.join("\n"));
        }
        Ok(((), "every program lived until it was killed".into()))
    })
}

/// Creates the sample application on the first device; answers its page's address.
///
/// # Errors
/// The platform refuses, or it does not run.
pub fn start_sample(stack: &Stack) -> Result<String> {
    Ok(create_sample(stack, 1)?.0.url())
}

fn create_sample(stack: &Stack, number: u8) -> Result<(Workload<'_>, String)> {
    let (name, port) = SAMPLE;
    let (sample, _, _) = Workload::create(stack, number, &counter(name, COUNTER_IMAGE, port, true)?)?;
    sample.expect("running")?;
    let count = sample.count()?;
    let detail = format!("{name} runs on edge-{number}; {} answers {count}", sample.url());
    Ok((sample, detail))
}

fn named_caller(stack: &Stack, number: u8) -> Result<((), String)> {
    let log = stack.lab().device(number).data_dir().join(format!("{}.log", agent_name(number)));
    let text = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let line = text.lines().find(|line| line.contains(&stack.operator().authid));
    let line = line.with_context(|| format!("{} never names {}", log.display(), stack.operator().authid))?;
    Ok(((), line.into()))
}

fn invitation(stack: &Stack, sample: &Workload) -> String {
    let (operator, python) = (stack.operator(), crate::setup::python_interpreter());
    let root = crate::workspace();
    let options = |client: &crate::stack::Client| client.options().join(" ");
    format!(
        "
ECEP is up: the cloud and {devices} edge devices, each with an engine of its own.

  dashboard   {dashboard}
  login       {email}   password {password}
  WAMP        {wamp}   realm {realm}
  API token   {authid}   secret in {ticket}
  devices     {ids}
  counter     {url}

Try:
  open the dashboard, log in, create a container of image {image} on edge-1
  curl '{url}burn?ms=10000' and watch its CPU on the chart
  live telemetry by a stock WAMP client:
    {python} {root}/examples/telemetry-python/telemetry.py {watch}
  call a device as a third party:
    {python} {root}/examples/call-python/call.py {call} {list}
  kill -9 $(cat {router_pid}), the router; it is started again, and nothing is lost
  docker on a device: cargo xtask lab exec --name {lab} 1 -- docker ps

Ctrl-C takes everything down.
",
        devices = stack.devices().len(),
        dashboard = stack.cloud().url(),
        email = stack.login().email,
        password = stack.login().password,
        wamp = stack.wamp_url(),
        realm = operator.realm,
        authid = operator.authid,
        ticket = operator.ticket_file.display(),
        ids = stack.devices().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        url = sample.url(),
        image = COUNTER_IMAGE,
        python = python.display(),
        root = root.display(),
        watch = options(stack.telemetry()),
        call = options(operator),
        list = <ecep_proto::api::ContainerList as ecep_proto::api::Procedure>::on(stack.id(1)),
        router_pid = stack.supervisor().pid_file(crate::stack::ROUTER).display(),
        lab = stack.lab().name(),
    )
}
