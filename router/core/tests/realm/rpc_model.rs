//! Random calls between a few clients, against a model that is too simple to be wrong: it keeps everything in plain
//! lists, and lets the router choose a callee as long as the choice is allowed.

mod expect;
mod run;
mod state;

use proptest::prelude::*;

use run::Run;

/// What may happen. Numbers name clients, procedures and so on by their place in a list.
#[derive(Clone, Debug)]
enum Operation {
    Register {
        client: usize,
        pattern: usize,
        policy: usize,
        concurrency: Option<usize>,
    },
    Unregister {
        client: usize,
        pattern: usize,
    },
    /// The client takes a registration away from another, or from itself.
    Revoke {
        client: usize,
        pattern: usize,
        victim: usize,
    },
    Call {
        client: usize,
        procedure: usize,
        timeout: u64,
        receive_progress: bool,
        progress: bool,
    },
    /// Sends more of the client's oldest call that comes in pieces, whether or not it has ended.
    Continue {
        client: usize,
        progress: bool,
    },
    /// Answers the oldest, or the newest, invocation that the client has not answered.
    Yield {
        client: usize,
        newest: bool,
        progress: bool,
    },
    Fail {
        client: usize,
        newest: bool,
        unavailable: bool,
    },
    Cancel {
        client: usize,
        newest: bool,
        mode: usize,
    },
    Advance {
        milliseconds: u64,
    },
    /// The client goes, and comes back as another session.
    Reconnect {
        client: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let client = || 0..state::CLIENTS;
    let pattern = || 0..state::PATTERNS.len();
    let concurrency = prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
    let timeout = prop_oneof![3 => Just(0_u64), 1 => Just(50), 1 => Just(100)];
    prop_oneof![
        6 => (client(), pattern(), 0..2_usize, concurrency).prop_map(|(client, pattern, policy, concurrency)| {
            Operation::Register { client, pattern, policy, concurrency }
        }),
        1 => (client(), pattern()).prop_map(|(client, pattern)| Operation::Unregister { client, pattern }),
        12 => (client(), 0..state::PROCEDURES.len(), timeout, any::<bool>(), any::<bool>()).prop_map(
            |(client, procedure, timeout, receive_progress, progress)| {
                Operation::Call { client, procedure, timeout, receive_progress, progress }
            }
        ),
        6 => (client(), any::<bool>()).prop_map(|(client, progress)| Operation::Continue { client, progress }),
        8 => (client(), any::<bool>(), any::<bool>())
            .prop_map(|(client, newest, progress)| Operation::Yield { client, newest, progress }),
        6 => (client(), any::<bool>(), any::<bool>())
            .prop_map(|(client, newest, unavailable)| Operation::Fail { client, newest, unavailable }),
        3 => (client(), any::<bool>(), 0..3_usize)
            .prop_map(|(client, newest, mode)| Operation::Cancel { client, newest, mode }),
        2 => (1..60_u64).prop_map(|milliseconds| Operation::Advance { milliseconds }),
        1 => (client(), pattern(), client())
            .prop_map(|(client, pattern, victim)| Operation::Revoke { client, pattern, victim }),
        1 => client().prop_map(|client| Operation::Reconnect { client }),
    ]
}

/// Bytes as operations, for a fuzzer.
pub fn run_bytes(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    run_all(std::iter::from_fn(|| read(&mut bytes)));
}

fn run_all(operations: impl IntoIterator<Item = Operation>) {
    let mut run = Run::new();
    for operation in operations {
        run.apply(operation);
    }
    run.end();
}

fn read(bytes: &mut impl Iterator<Item = u8>) -> Option<Operation> {
    let kind = bytes.next()? % 12;
    let mut below = |bound: usize| Some(usize::from(bytes.next()?) % bound);
    let client = below(state::CLIENTS)?;
    Some(match kind {
        0 | 1 => {
            let (pattern, policy, concurrency) = (below(state::PATTERNS.len())?, below(2)?, below(3)?);
            Operation::Register {
                client,
                pattern,
                policy,
                concurrency: (concurrency > 0).then_some(concurrency),
            }
        }
        2 => Operation::Unregister { client, pattern: below(state::PATTERNS.len())? },
        3 | 4 => {
            let (procedure, timeout) = (below(state::PROCEDURES.len())?, 50 * below(3)? as u64);
            let (receive_progress, progress) = (below(2)? == 0, below(2)? == 0);
            Operation::Call { client, procedure, timeout, receive_progress, progress }
        }
        5 => Operation::Continue { client, progress: below(2)? == 0 },
        6 => Operation::Yield { client, newest: below(2)? == 0, progress: below(2)? == 0 },
        7 => Operation::Fail { client, newest: below(2)? == 0, unavailable: below(2)? == 0 },
        8 => Operation::Cancel { client, newest: below(2)? == 0, mode: below(3)? },
        9 => Operation::Advance { milliseconds: 1 + below(60)? as u64 },
        10 => Operation::Revoke {
            client,
            pattern: below(state::PATTERNS.len())?,
            victim: below(state::CLIENTS)?,
        },
        _ => Operation::Reconnect { client },
    })
}

/// What the fuzzer runs works without it, too.
#[test]
fn bytes_are_operations() {
    crate::histories::run_each(run_bytes);
}

proptest! {
    /// Every call goes where it may go, and gets exactly one answer, and it is its own.
    #[test]
    fn agrees_with_the_model(operations in prop::collection::vec(operation(), 1..150)) {
        run_all(operations);
    }
}
