//! Does an operation to the realm and to the model, and compares.

use std::time::Duration;

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::Feature;

use super::Operation;
use super::expect::Expected;
use super::state::{
    CLIENTS, Call as Known, Invoked, PATTERNS, PROCEDURES, Registration, Seat, State, features, has,
};
use crate::world::{World, dict};

const MODES: [&str; 3] = ["skip", "kill", "killnowait"];
const CANCELED: &str = "wamp.error.canceled";
const NO_AVAILABLE_CALLEE: &str = "wamp.error.no_available_callee";

pub struct Run {
    world: World,
    state: State,
    /// The messages that must come now, by client.
    expected: Vec<(usize, Expected)>,
    mark: i64,
    seats: u64,
    /// The session ids of the clients.
    sessions: Vec<u64>,
}

fn name(client: usize) -> String {
    format!("client{client}")
}

fn number(payload: &Payload) -> i64 {
    match payload.args() {
        [Value::Int(number)] => *number,
        other => panic!("{other:?}"),
    }
}

impl Run {
    pub fn new() -> Self {
        let mut world = World::new();
        let sessions = (0..CLIENTS).map(|client| world.join_able(&name(client), &features(client))).collect();
        Self { world, state: State::default(), expected: Vec::new(), mark: 0, seats: 0, sessions }
    }

    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Register { client, pattern, policy, concurrency } => {
                self.register(client, pattern, policy, concurrency);
            }
            Operation::Unregister { client, pattern } => self.unregister(client, pattern),
            Operation::Revoke { client, pattern, victim } => self.revoke(client, pattern, victim),
            Operation::Call { client, procedure, timeout, receive_progress, progress } => {
                self.call(client, procedure, timeout, receive_progress, progress);
            }
            Operation::Continue { client, progress } => self.continue_call(client, progress),
            Operation::Yield { client, newest, progress } => self.answer(client, newest, progress),
            Operation::Fail { client, newest, unavailable } => self.fail(client, newest, unavailable),
            Operation::Cancel { client, newest, mode } => self.cancel(client, newest, MODES[mode]),
            Operation::Advance { milliseconds } => self.advance(milliseconds),
            Operation::Reconnect { client } => self.reconnect(client),
        }
        self.compare();
    }

    /// In the end, whoever still waits gets its answer.
    pub fn end(&mut self) {
        while let Some(client) = self.state.calls.iter().find_map(|call| call.invoked).map(|to| to.client) {
            self.answer(client, false, false);
            self.compare();
        }
        // What still waits, waits for callees that work on what nobody wants any more.
        for client in 0..CLIENTS {
            self.reconnect(client);
            self.compare();
        }
        assert!(self.state.calls.is_empty());
    }

    fn next_mark(&mut self) -> i64 {
        // Leaves numbers for pieces.
        self.mark += 1000;
        self.mark
    }

    fn expect(&mut self, client: usize, expected: Expected) {
        self.expected.push((client, expected));
    }

    fn register(&mut self, client: usize, pattern: usize, policy: usize, concurrency: Option<usize>) {
        let (procedure, kind, policies) = PATTERNS[pattern];
        let policy = policies[policy];
        let mut options = dict(&[("match", kind.name().into()), ("invoke", policy.into())]);
        options.extend(concurrency.map(|most| ("concurrency".to_owned(), Value::from(most as u64))));
        let request = self.world.request();
        self.world.send(&name(client), Register { request, options, procedure: procedure.into() });
        let known = self.state.registrations.get(&pattern);
        let fits = known.is_none_or(|known| {
            known.policy == policy
                && policy != "single"
                && known.seats.iter().all(|seat| seat.client != client)
        });
        match self.world.receive(&name(client)) {
            Message::Registered(registered) => {
                assert!(fits);
                self.seats += 1;
                let id = registered.registration;
                let known = self.state.registrations.entry(pattern);
                let known = known.or_insert_with(|| Registration { id, policy, seats: Vec::new() });
                assert_eq!(known.id, id);
                known.seats.push(Seat { number: self.seats, client, concurrency });
            }
            Message::Error(error) => {
                assert!(!fits);
                assert_eq!(error.error, "wamp.error.procedure_already_exists");
            }
            other => panic!("{other:?}"),
        }
    }

    fn unregister(&mut self, client: usize, pattern: usize) {
        let Some(registration) = self.state.registrations.get(&pattern) else { return };
        if registration.seats.iter().all(|seat| seat.client != client) {
            return;
        }
        let (request, registration) = (self.world.request(), registration.id);
        self.world.send(&name(client), Unregister { request, registration });
        assert_eq!(self.world.receive(&name(client)), Unregistered::answer(request).into());
        self.lose_seat(client, pattern);
    }

    fn revoke(&mut self, client: usize, pattern: usize, victim: usize) {
        let Some(registration) = self.state.registrations.get(&pattern) else { return };
        let has_seat = registration.seats.iter().any(|seat| seat.client == victim);
        let args = vec![Value::from(registration.id.get()), Value::from(self.sessions[victim])];
        let payload = Payload::new(args, Dict::new());
        let procedure = "wamp.registration.remove_callee";
        let request = self.world.call(&name(client), procedure, Dict::new(), payload);
        let done = Expected::Done { request };
        let failed = Expected::Failed { request, error: "wamp.error.no_such_session" };
        self.expect(client, if has_seat { done } else { failed });
        self.lose_seat(victim, pattern);
    }

    fn lose_seat(&mut self, client: usize, pattern: usize) {
        let Some(registration) = self.state.registrations.get_mut(&pattern) else { return };
        registration.seats.retain(|seat| seat.client != client);
        if registration.seats.is_empty() {
            self.state.registrations.remove(&pattern);
        }
        self.end_hopeless();
    }

    /// Calls that wait, and that nobody can take any more.
    fn end_hopeless(&mut self) {
        let is_hopeless =
            |call: &&Known| call.invoked.is_none() && self.state.candidates(call).next().is_none();
        let hopeless: Vec<i64> = self.state.calls.iter().filter(is_hopeless).map(|call| call.mark).collect();
        for mark in hopeless {
            let call = self.remove(mark);
            self.expect(call.caller, Expected::Failed { request: call.request, error: NO_AVAILABLE_CALLEE });
        }
    }

    fn remove(&mut self, mark: i64) -> Known {
        let at = self.state.calls.iter().position(|call| call.mark == mark).unwrap();
        let call = self.state.calls.remove(at);
        if call.is_open {
            self.state.late_pieces.push(call.clone());
        }
        call
    }

    fn call(
        &mut self,
        client: usize,
        procedure: usize,
        timeout: u64,
        receive_progress: bool,
        progress: bool,
    ) {
        let progress = progress && has(client, Feature::CallerProgressiveInvocations);
        let mark = self.next_mark();
        let options = dict(&[
            ("timeout", timeout.into()),
            ("receive_progress", receive_progress.into()),
            ("progress", progress.into()),
        ]);
        let request = self.world.call(&name(client), PROCEDURES[procedure], options, Payload::of(mark));
        let Some(pattern) = self.state.best(procedure) else {
            self.expect(client, Expected::Failed { request, error: "wamp.error.no_such_procedure" });
            return;
        };
        let call = Known {
            mark,
            caller: client,
            request,
            procedure,
            registration: self.state.registrations[&pattern].id,
            wants_progress: receive_progress && has(client, Feature::CallerProgressiveResults),
            is_open: progress,
            pieces: vec![mark],
            timeout,
            deadline: (timeout > 0).then_some(self.state.now + timeout),
            tried: Vec::new(),
            invoked: None,
            can_move: false,
            has_begun: false,
            takes_progress: false,
            is_canceled: false,
        };
        if self.state.candidates(&call).next().is_none() {
            self.expect(client, Expected::Failed { request, error: "wamp.error.feature_not_supported" });
        } else {
            self.state.calls.push(call);
        }
    }

    fn continue_call(&mut self, client: usize, progress: bool) {
        let is_open = |call: &&mut Known| call.caller == client && call.is_open;
        let options = dict(&[("progress", progress.into())]);
        if let Some(call) = self.state.calls.iter_mut().find(is_open) {
            self.mark += 1;
            let payload = Payload::of(self.mark);
            call.is_open = progress;
            call.pieces.push(self.mark);
            let (request, procedure) = (call.request, PROCEDURES[call.procedure].to_owned());
            call.has_begun |= call.invoked.is_some();
            self.world.send(&name(client), Call { request, options, procedure, payload });
        } else if let Some(at) = self.state.late_pieces.iter().position(|call| call.caller == client) {
            let call = &self.state.late_pieces[at];
            let (request, procedure) = (call.request, PROCEDURES[call.procedure].to_owned());
            self.world.send(&name(client), Call { request, options, procedure, payload: Payload::of(0_i64) });
            if !progress {
                self.state.late_pieces.remove(at);
            }
        }
    }

    /// Something that the client has got and not answered; with the call, if somebody waits for it.
    fn invoked(&self, client: usize, newest: bool) -> Option<(Invoked, Option<i64>)> {
        let calls = self.state.calls.iter().filter_map(|call| Some((call.invoked?, Some(call.mark))));
        let others = self.state.ghosts.iter().chain(&self.state.late_answers).map(|late| (*late, None));
        let mut all: Vec<_> = calls.chain(others).filter(|(to, _)| to.client == client).collect();
        all.sort_by_key(|(to, _)| to.invocation);
        if newest { all.pop() } else { all.into_iter().next() }
    }

    fn answered_late(&mut self, invoked: Invoked) {
        self.state.ghosts.retain(|ghost| *ghost != invoked);
        self.state.late_answers.retain(|late| *late != invoked);
    }

    fn answer(&mut self, client: usize, newest: bool, progress: bool) {
        let Some((invoked, mark)) = self.invoked(client, newest) else { return };
        let answer = self.next_mark();
        let options = dict(&[("progress", progress.into())]);
        let message = Yield { request: invoked.invocation, options, payload: Payload::of(answer) };
        self.world.send(&name(client), message);
        match (mark, progress) {
            (None, true) => {}
            (None, false) => self.answered_late(invoked),
            (Some(mark), false) => {
                let Known { caller, request, .. } = self.remove(mark);
                self.expect(caller, Expected::Result { request, mark: answer, progress });
            }
            (Some(mark), true) => {
                let now = self.state.now;
                let call = self.state.calls.iter_mut().find(|call| call.mark == mark).unwrap();
                if call.takes_progress {
                    call.has_begun = true;
                    call.deadline = call.deadline.map(|_| now + call.timeout);
                    let (caller, request) = (call.caller, call.request);
                    self.expect(caller, Expected::Result { request, mark: answer, progress });
                }
            }
        }
    }

    fn fail(&mut self, client: usize, newest: bool, unavailable: bool) {
        let Some((invoked, mark)) = self.invoked(client, newest) else { return };
        let error = if unavailable { "wamp.error.unavailable" } else { "com.failed" };
        self.world.fail(&name(client), invoked.invocation, error, Payload::default());
        let Some(mark) = mark else { return self.answered_late(invoked) };
        let call = self.state.calls.iter_mut().find(|call| call.mark == mark).unwrap();
        if !unavailable || call.is_canceled || call.has_begun {
            let Known { caller, request, .. } = self.remove(mark);
            self.expect(caller, Expected::Failed { request, error });
            return;
        }
        call.tried.push(invoked.seat);
        call.invoked = None;
        call.pieces = vec![mark];
        if !call.can_move {
            let Known { caller, request, .. } = self.remove(mark);
            self.expect(caller, Expected::Failed { request, error: NO_AVAILABLE_CALLEE });
        }
        self.end_hopeless();
    }

    fn cancel(&mut self, client: usize, newest: bool, mode: &'static str) {
        let mut made = self.state.calls.iter_mut().filter(|call| call.caller == client);
        let Some(call) = (if newest { made.next_back() } else { made.next() }) else { return };
        let (mark, request, invoked) = (call.mark, call.request, call.invoked);
        self.world.send(&name(client), Cancel { request, options: dict(&[("mode", mode.into())]) });
        if let Some(to) = invoked.filter(|to| mode == "kill" && has(to.client, Feature::CalleeCanceling)) {
            if !std::mem::replace(&mut call.is_canceled, true) {
                self.expect(to.client, Expected::Interrupt { invocation: to.invocation, mode });
            }
            return;
        }
        self.drop_call(mark, mode != "skip");
        self.expect(client, Expected::Failed { request, error: CANCELED });
    }

    /// Nobody waits for the call any more.
    fn drop_call(&mut self, mark: i64, tell: bool) -> Known {
        let call = self.remove(mark);
        let Some(to) = call.invoked else { return call };
        let is_told = tell && has(to.client, Feature::CalleeCanceling);
        if is_told {
            self.expect(to.client, Expected::Interrupt { invocation: to.invocation, mode: "killnowait" });
        }
        let seat = self.state.registration(call.registration).into_iter().flat_map(|known| &known.seats);
        let is_limited = seat.into_iter().any(|seat| seat.number == to.seat && seat.concurrency.is_some());
        if is_limited && !is_told {
            self.state.ghosts.push(to);
        } else {
            self.state.late_answers.push(to);
        }
        call
    }

    fn advance(&mut self, milliseconds: u64) {
        self.state.now += milliseconds;
        self.world.advance(Duration::from_millis(milliseconds));
        let now = self.state.now;
        let is_overdue = |call: &&Known| call.deadline.is_some_and(|deadline| deadline <= now);
        let overdue: Vec<i64> = self.state.calls.iter().filter(is_overdue).map(|call| call.mark).collect();
        for mark in overdue {
            let Known { caller, request, .. } = self.drop_call(mark, true);
            self.expect(caller, Expected::Failed { request, error: "wamp.error.timeout" });
        }
    }

    fn reconnect(&mut self, client: usize) {
        self.world.lose(&name(client));
        let made = self.state.calls.iter().filter(|call| call.caller == client).map(|call| call.mark);
        for mark in made.collect::<Vec<i64>>() {
            self.drop_call(mark, true);
        }
        for pattern in 0..PATTERNS.len() {
            self.lose_seat(client, pattern);
        }
        let is_taken = |call: &&Known| call.invoked.is_some_and(|to| to.client == client);
        let taken: Vec<i64> = self.state.calls.iter().filter(is_taken).map(|call| call.mark).collect();
        for mark in taken {
            let Known { caller, request, .. } = self.remove(mark);
            self.expect(caller, Expected::Failed { request, error: CANCELED });
        }
        for late in [&mut self.state.ghosts, &mut self.state.late_answers] {
            late.retain(|invoked| invoked.client != client);
        }
        self.state.late_pieces.retain(|call| call.caller != client);
        self.expected.retain(|(to, _)| *to != client);
        self.sessions[client] = self.world.join_able(&name(client), &features(client));
    }

    fn received(&mut self, client: usize, message: &Message) {
        let is_it = |(to, expected): &(usize, Expected)| *to == client && expected.is(message);
        let found = self.expected.iter().position(is_it);
        let found = found.unwrap_or_else(|| panic!("{client} got {message:?}, not {:?}", self.expected));
        self.expected.remove(found);
    }

    /// Everything that came was expected, everything expected came, and nothing waits that need not.
    fn compare(&mut self) {
        let mut placed = Vec::new();
        for client in 0..CLIENTS {
            while self.world.has_mail(&name(client)) {
                match self.world.receive(&name(client)) {
                    Message::Invocation(invocation) => placed.extend(self.invocation(client, &invocation)),
                    other => self.received(client, &other),
                }
            }
        }
        assert_eq!(self.expected, [], "these did not come");
        assert!(self.state.limits_are_kept());
        for call in self.state.calls.iter().filter(|call| call.invoked.is_none()) {
            assert!(!self.state.is_placeable(call), "{call:?} waits for nothing");
            for (younger, seat) in &placed {
                let is_passed =
                    *younger > call.mark && self.state.wanted(call).iter().any(|free| free.number == *seat);
                assert!(!is_passed, "{call:?} was passed by {younger}");
            }
        }
    }

    /// An INVOCATION: a call has found its callee, or more of it has come. Answers which call, and its seat.
    fn invocation(&mut self, client: usize, message: &Invocation) -> Option<(i64, u64)> {
        let mark = number(&message.payload);
        let at = self.state.calls.iter().position(|call| call.pieces.first() == Some(&mark));
        let at = at.unwrap_or_else(|| panic!("{client} got {message:?}"));
        let call = self.state.calls[at].clone();
        let progress = message.details.get("progress").is_some_and(|flag| *flag == Value::Bool(true));
        assert_eq!(progress, call.is_open || call.pieces.len() > 1, "whether more follows");
        assert_eq!(message.registration, call.registration);
        if let Some(to) = call.invoked {
            assert_eq!((to.client, to.invocation), (client, message.request), "all pieces go to one callee");
            self.state.calls[at].pieces.remove(0);
            self.state.calls[at].has_begun = true;
            return None;
        }
        let wanted = self.state.wanted(&call);
        let seat = wanted.iter().find(|seat| seat.client == client);
        let seat = seat.unwrap_or_else(|| panic!("{client} may not get {call:?}")).number;
        let known = self.state.registration(call.registration).unwrap();
        let is_shared = known.seats.len() > 1;
        let call = &mut self.state.calls[at];
        call.takes_progress = call.wants_progress
            && has(client, Feature::CalleeProgressiveResults)
            && has(client, Feature::CalleeCanceling);
        let takes = message.details.get("receive_progress").is_some_and(|flag| *flag == Value::Bool(true));
        assert_eq!(takes, call.takes_progress);
        call.can_move = is_shared && call.pieces.len() == 1;
        call.pieces.remove(0);
        call.invoked = Some(Invoked { client, seat, invocation: message.request });
        Some((call.mark, seat))
    }
}
