//! What else a move promises: it goes through the cloud where the devices cannot reach each other; it can be cancelled; two
//! at once are one; cold works; and what stands in the way is said before anything is touched. Real engines; needs root and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use ecep_proto::api::MigrationCancel;
use ecep_proto::api::container::{CreateContainer, PortMapping, Protocol, VolumeMount};
use ecep_proto::api::migration::{MigrationMode, MigrationRef, MigrationState, Verdict};
use ecep_proto::api::name::{ContainerId, OperationId};
use xtask::report::Report;
use xtask::stack::{Counting, Programs, Stack, WampError, ask_counter};
use xtask::{lab, shell, wait};

const LIMIT: Duration = Duration::from_secs(120);
const PORT: u16 = 8080;

fn order(name: &str) -> CreateContainer {
    CreateContainer::new(name.parse().unwrap(), lab::COUNTER_IMAGE)
}

fn ask(address: Ipv4Addr, path: &str) -> Result<u64> {
    ask_counter(address, path, LIMIT)
}

fn count(address: Ipv4Addr) -> u64 {
    wait::until("the counter answers", LIMIT, || ask(address, "/count").map(Some)).unwrap()
}

fn refusal(error: &anyhow::Error) -> &WampError {
    error.downcast_ref::<WampError>().unwrap_or_else(|| panic!("not an ERROR: {error:#}"))
}

/// One stack for all, since one takes its time to come up.
#[test]
fn what_else_a_move_promises() {
    let name = format!("moves-{}", std::process::id());
    let mut report = Report::new();
    let root = lab::default_data_root();
    let stack = Stack::start(&mut report, &name, &root, 2, Programs::build_with_tests).unwrap();
    let _route = stack.route_through(1).unwrap();
    let (counter, address) = stack.create(1, &order("counter"), LIMIT).unwrap();
    stack.await_movable(&counter, 2, LIMIT).unwrap();

    through_the_cloud(&stack, &counter, address);
    two_at_once_are_one(&stack, &counter);
    cancelled(&stack, &counter, address);
    cold(&stack);
    what_stands_in_the_way(&stack, &counter);
    stack.take_down().unwrap();
}

/// Devices that cannot reach each other directly; the connection from outside goes on all the same.
fn through_the_cloud(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let device = stack.lab().device(2);
    let rule = ["-p", "tcp", "--dport", "7443", "-j", "REJECT"];
    shell::output(device.command("iptables").args(["-I", "INPUT"]).args(rule)).unwrap();
    let client = Counting::start(address, PORT).unwrap();
    client.wait_on(LIMIT).unwrap();
    stack.move_to(counter, 2, MigrationMode::Live, LIMIT).unwrap();
    client.wait_on(LIMIT).unwrap();
    client.stop().unwrap();
    shell::output(device.command("iptables").args(["-D", "INPUT"]).args(rule)).unwrap();
    let log = std::fs::read_to_string(stack.lab().device(1).data_dir().join("agent-1.log")).unwrap();
    assert!(log.contains("is_relayed=true"), "it did not go through the cloud");
    stack.move_to(counter, 1, MigrationMode::Live, LIMIT).unwrap();
}

/// Orders a move to the second device as soon as the one before is over at both ends.
fn order_when_possible(stack: &Stack, counter: &ContainerId) -> OperationId {
    wait::until("a move can be ordered", LIMIT, || {
        stack.order_move(counter, stack.id(2), MigrationMode::Live).map(Some)
    })
    .unwrap()
}

/// A second order while one is under way must not make two destinations.
fn two_at_once_are_one(stack: &Stack, counter: &ContainerId) {
    let first = order_when_possible(stack, counter);
    let second = stack.order_move(counter, stack.id(2), MigrationMode::Live).unwrap_err();
    let uri = &refusal(&second).uri;
    assert!(uri.ends_with("conflict") || uri.ends_with("preflight"), "{second:#}");
    assert_eq!(stack.await_move(&first, LIMIT).unwrap().state, MigrationState::Done);
    stack.move_to(counter, 1, MigrationMode::Live, LIMIT).unwrap();
}

/// Before the freeze a person can stop it, and nothing has happened.
fn cancelled(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let before = count(address);
    let operation = order_when_possible(stack, counter);
    let cancel = MigrationRef { operation: operation.clone() };
    let answer = stack.operator().ask::<MigrationCancel>(&cancel);
    let ended = stack.await_move(&operation, LIMIT).unwrap();
    match ended.state {
        MigrationState::Failed => {
            assert_eq!(ended.error.as_deref(), Some("cancelled"), "{answer:?}");
            assert_eq!(stack.placed(counter).unwrap().device, *stack.id(1));
        }
        // It was too late: the freeze came first.
        _ => drop(stack.move_to(counter, 1, MigrationMode::Live, LIMIT).unwrap()),
    }
    assert_eq!(count(address), before);
    let again = stack.operator().ask::<MigrationCancel>(&cancel).unwrap_err();
    assert!(refusal(&again).uri.ends_with("conflict"), "{again:#}");
}

/// Cold: files and volume arrive, memory does not, and the address stays.
fn cold(stack: &Stack) {
    let mut wanted = order("cold");
    wanted.volumes =
        vec![VolumeMount { volume: "data".parse().unwrap(), target: "/data".into(), read_only: false }];
    let (container, address) = stack.create(1, &wanted, LIMIT).unwrap();
    ask(address, "/count").ok();
    wait::until("it answers", LIMIT, || ask(address, "/add").map(Some)).unwrap();
    let volume = |number: u8| {
        let place = ["volume", "inspect", "--format", "{{.Mountpoint}}", "ecep_acme_data"];
        stack.lab().device(number).run_docker(place)
    };
    let here = volume(1).unwrap();
    std::fs::write(format!("{here}/kept"), "what was written").unwrap();
    stack.move_to(&container, 2, MigrationMode::Cold, LIMIT).unwrap();
    assert_eq!(count(address), 0, "it was started anew");
    let there = volume(2).unwrap();
    assert_eq!(std::fs::read_to_string(format!("{there}/kept")).unwrap(), "what was written");
    wait::until("the source has no volume left", LIMIT, || Ok(volume(1).is_err().then_some(()))).unwrap();
    stack.delete(2, &container).unwrap();
}

/// Said before anything is touched, with what to do about it.
fn what_stands_in_the_way(stack: &Stack, counter: &ContainerId) {
    let (rival, _) = stack.create(2, &order("counter"), LIMIT).unwrap();
    let mut with_port = order("ported");
    with_port.ports = vec![PortMapping { container: PORT, host: Some(8095), protocol: Protocol::Tcp }];
    let (ported, _) = stack.create(1, &with_port, LIMIT).unwrap();
    let mut other = with_port.clone();
    other.name = "holder".parse().unwrap();
    let (holder, _) = stack.create(2, &other, LIMIT).unwrap();
    for (container, words) in
        [(counter, "the name counter is taken here"), (&ported, "port 8095 is taken here")]
    {
        let preflight = stack.preflight(container, stack.id(2)).unwrap();
        assert_eq!(preflight.verdict, Verdict::Refused);
        assert!(preflight.checks[0].text.contains(words), "{:?}", preflight.checks);
        let error = stack.order_move(container, stack.id(2), MigrationMode::Live).unwrap_err();
        assert!(refusal(&error).uri.ends_with("preflight"), "{error:#}");
        assert!(refusal(&error).message.contains(words), "{error:#}");
    }
    let same = stack.preflight(counter, stack.id(1)).unwrap_err();
    assert!(refusal(&same).uri.ends_with("conflict"), "{same:#}");
    stack.delete(2, &rival).unwrap();
    stack.delete(2, &holder).unwrap();
    stack.delete(1, &ported).unwrap();
}
