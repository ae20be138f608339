//! What the router counts, and how it is written for Prometheus.
//!
//! Counting is one relaxed addition for each message; gauges are asked for when somebody looks.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use ecep_proto::message::*;

/// Every message type, with its name in the specification.
const TYPES: [(u64, &str); 24] = [
    (Hello::CODE, "HELLO"),
    (Welcome::CODE, "WELCOME"),
    (Abort::CODE, "ABORT"),
    (Challenge::CODE, "CHALLENGE"),
    (Authenticate::CODE, "AUTHENTICATE"),
    (Goodbye::CODE, "GOODBYE"),
    (Error::CODE, "ERROR"),
    (Publish::CODE, "PUBLISH"),
    (Published::CODE, "PUBLISHED"),
    (Subscribe::CODE, "SUBSCRIBE"),
    (Subscribed::CODE, "SUBSCRIBED"),
    (Unsubscribe::CODE, "UNSUBSCRIBE"),
    (Unsubscribed::CODE, "UNSUBSCRIBED"),
    (Event::CODE, "EVENT"),
    (Call::CODE, "CALL"),
    (Cancel::CODE, "CANCEL"),
    (CallResult::CODE, "RESULT"),
    (Register::CODE, "REGISTER"),
    (Registered::CODE, "REGISTERED"),
    (Unregister::CODE, "UNREGISTER"),
    (Unregistered::CODE, "UNREGISTERED"),
    (Invocation::CODE, "INVOCATION"),
    (Interrupt::CODE, "INTERRUPT"),
    (Yield::CODE, "YIELD"),
];

/// One more than the largest type.
const CODES: usize = Yield::CODE as usize + 1;

/// Why the router ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expelled {
    /// It did not read what it was sent.
    SlowReader,
    /// It was too slow to send a message for which others wanted the room, or had no room for one.
    NoRoom,
    /// It gave no sign of life.
    Silent,
    /// It broke the protocol.
    Violation,
    /// Its access was taken away or has ended.
    AccessEnded,
    /// Another session asked for it.
    Killed,
}

impl Expelled {
    const ALL: [(Self, &'static str); 6] = [
        (Self::SlowReader, "slow_reader"),
        (Self::NoRoom, "no_room"),
        (Self::Silent, "silent"),
        (Self::Violation, "violation"),
        (Self::AccessEnded, "access_ended"),
        (Self::Killed, "killed"),
    ];
}

/// Messages in one direction, by their type.
#[derive(Debug)]
struct ByType([AtomicU64; CODES]);

impl ByType {
    fn add(&self, code: u64) {
        if let Some(counter) = self.0.get(code as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write(&self, text: &mut String, name: &str, help: &str) {
        head(text, name, "counter", help);
        for (code, message) in TYPES {
            let count = self.0[code as usize].load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}{{type=\"{message}\"}} {count}");
        }
    }
}

/// Counters of the whole router.
#[derive(Debug)]
pub(crate) struct Metrics {
    received: ByType,
    sent: ByType,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    refused: AtomicU64,
    too_large_events: AtomicU64,
    expelled: [AtomicU64; Expelled::ALL.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        let by_type = || ByType([const { AtomicU64::new(0) }; CODES]);
        Self {
            received: by_type(),
            sent: by_type(),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            too_large_events: AtomicU64::new(0),
            expelled: [const { AtomicU64::new(0) }; Expelled::ALL.len()],
        }
    }
}

/// What is asked for when somebody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) connections: usize,
    pub(crate) queue_bytes: usize,
}

/// What a realm says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RealmReport {
    pub(crate) sessions: usize,
    pub(crate) pending_calls: usize,
    pub(crate) retained_events: usize,
    pub(crate) retained_bytes: usize,
}

impl RealmReport {
    /// Counts another realm together with this one.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { sessions, pending_calls, retained_events, retained_bytes } = other;
        self.sessions += sessions;
        self.pending_calls += pending_calls;
        self.retained_events += retained_events;
        self.retained_bytes += retained_bytes;
    }
}

impl Metrics {
    /// A message of a session has come.
    pub(crate) fn received(&self, code: u64) {
        self.received.add(code);
    }

    /// Bytes have come, of whatever message.
    pub(crate) fn received_bytes(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A message of that many bytes waits for a client's socket.
    pub(crate) fn sent(&self, code: u64, bytes: usize) {
        self.sent.add(code);
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A client was not let in.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An EVENT was not sent to one of its receivers, which takes no message of that size.
    pub(crate) fn too_large_event(&self) {
        self.too_large_events.fetch_add(1, Ordering::Relaxed);
    }

    /// The router has ended a session.
    pub(crate) fn expelled(&self, why: Expelled) {
        self.expelled[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All of it, as Prometheus reads it.
    pub(crate) fn write(&self, gauges: Gauges, realms: &[(String, RealmReport)]) -> String {
        let mut text = String::new();
        of_realms(&mut text, "ecep_router_sessions", "Sessions that have joined.", realms, |realm| {
            realm.sessions
        });
        let help = "Calls that wait for their answer.";
        of_realms(&mut text, "ecep_router_pending_calls", help, realms, |realm| realm.pending_calls);
        let help = "Events that are kept for whoever subscribes later.";
        of_realms(&mut text, "ecep_router_retained_events", help, realms, |realm| realm.retained_events);
        let help = "Bytes of the events that are kept, about.";
        of_realms(&mut text, "ecep_router_retained_bytes", help, realms, |realm| realm.retained_bytes);
        let Gauges { connections, queue_bytes } = gauges;
        let single = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (name, kind, help, value) in [
            ("ecep_router_connections", "gauge", "Open connections.", connections as u64),
            (
                "ecep_router_queue_bytes",
                "gauge",
                "Bytes that wait for clients, and of messages that have come in part.",
                queue_bytes as u64,
            ),
            (
                "ecep_router_refused_total",
                "counter",
                "Clients that were told why not.",
                single(&self.refused),
            ),
            (
                "ecep_router_too_large_events_total",
                "counter",
                "EVENTs not sent to a receiver that takes no message of that size.",
                single(&self.too_large_events),
            ),
            (
                "ecep_router_received_bytes_total",
                "counter",
                "Bytes of messages.",
                single(&self.received_bytes),
            ),
            (
                "ecep_router_sent_bytes_total",
                "counter",
                "Bytes of messages to sessions.",
                single(&self.sent_bytes),
            ),
        ] {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        self.received.write(&mut text, "ecep_router_received_total", "Messages of sessions.");
        self.sent.write(
            &mut text,
            "ecep_router_sent_total",
            "Messages to sessions; EVENT once for each receiver.",
        );
        let name = "ecep_router_expelled_total";
        head(&mut text, name, "counter", "Sessions that the router ended.");
        for (why, reason) in Expelled::ALL {
            let count = single(&self.expelled[why as usize]);
            let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
        }
        text
    }
}

fn of_realms(
    text: &mut String,
    name: &str,
    help: &str,
    realms: &[(String, RealmReport)],
    value: impl Fn(&RealmReport) -> usize,
) {
    head(text, name, "gauge", help);
    for (realm, report) in realms {
        let _ = writeln!(text, "{name}{{realm=\"{}\"}} {}", escaped(realm), value(report));
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
