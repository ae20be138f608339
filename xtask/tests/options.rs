//! What a person may ask of a move, and what is kept of it: a longest downtime is kept to before anything is frozen, a copy can
//! stay behind without ever being taken for the container, and a move's figures outlive the control plane. Real engines; needs
//! root and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ecep_proto::api::container::{
    ContainerState, CreateContainer, PortMapping, Protocol, RestartPolicy, VolumeMount,
};
use ecep_proto::api::kept::{DeleteKept, KeptQuery, KeptView};
use ecep_proto::api::migration::{
    MigrateContainer, MigrationMode, MigrationPhase, MigrationQuery, MigrationState, MigrationView,
    OverDowntime, Verdict,
};
use ecep_proto::api::name::{ContainerId, OperationId};
use ecep_proto::api::reply::Nothing;
use ecep_proto::api::roles::Role;
use ecep_proto::api::{ContainerList, ContainerMigrate, KeptDelete, KeptListing, MigrationHistory, label};
use xtask::report::Report;
use xtask::stack::{Counting, DASHBOARD_API, Programs, Stack, WampError, agent_name, ask_counter};
use xtask::{lab, wait};

const LIMIT: Duration = Duration::from_secs(120);
const PORT: u16 = 8080;
/// The container's memory, of which it writes all anew each second.
const MEGABYTES: u64 = 24;
/// A line that takes four times as long for the container's memory as the container for writing it anew leaves no hope that rounds
/// shrink, also where the container gets little of a busy machine.
const SLOW: u64 = 6_000_000;
/// What [`SLOW`] needs for the container's memory is longer, and what an idle container of its size needs is shorter.
const TOO_SHORT_FOR_A_BUSY_ONE: u64 = 1_200;

struct Scene {
    stack: Stack,
    container: ContainerId,
    address: Ipv4Addr,
    /// Those that have begun. Others were refused at one of the ends since the move before was not over there, and are listed, too.
    moves: Mutex<Vec<OperationId>>,
}

/// One stack for all, since one takes its time to come up.
#[test]
fn what_a_person_may_ask_of_a_move() {
    let name = format!("options-{}", std::process::id());
    let mut report = Report::new();
    let root = lab::default_data_root();
    let stack = Stack::start(&mut report, &name, &root, 2, Programs::build_with_tests).unwrap();
    let route = stack.route_through(1).unwrap();
    let mut order = CreateContainer {
        volumes: vec![VolumeMount {
            volume: "data".parse().unwrap(),
            target: "/data".into(),
            read_only: false,
        }],
        ports: vec![PortMapping { container: PORT, host: Some(8096), protocol: Protocol::Tcp }],
        restart: RestartPolicy::Always,
        ..CreateContainer::new("counter".parse().unwrap(), lab::COUNTER_IMAGE)
    };
    order.env.insert("BALLAST_MB".into(), MEGABYTES.to_string());
    order.env.insert("BALLAST_REWRITTEN".into(), "100".into());
    let (container, address) = stack.create(1, &order, LIMIT).unwrap();
    stack.await_movable(&container, 2, LIMIT).unwrap();
    let scene = Scene { stack, container, address, moves: Mutex::default() };

    scene.what_cannot_be_asked();
    scene.too_little_downtime_is_refused_before_the_freeze();
    scene.or_it_goes_cold();
    scene.a_copy_stays_and_is_never_the_container();
    scene.the_truth_outlives_the_control_plane();
    drop(route);
    scene.stack.take_down().unwrap();
}

impl Scene {
    fn order(&self, to: u8) -> MigrateContainer {
        let destination = self.stack.id(to).clone();
        MigrateContainer::new(self.container.clone(), destination, MigrationMode::Live)
    }

    /// Orders a move as soon as the one before lets that be, and waits for its end.
    fn moved(&self, order: &MigrateContainer) -> MigrationView {
        let begun = wait::until("a move can be ordered", LIMIT, || {
            self.stack.operator().ask::<ContainerMigrate>(order).map(Some)
        });
        let operation = begun.unwrap().operation;
        self.moves.lock().unwrap().push(operation.clone());
        self.stack.await_move(&operation, LIMIT).unwrap()
    }

    /// The moves that have begun, the last one first.
    fn history(&self) -> Result<Vec<MigrationView>> {
        let query = MigrationQuery { container: Some(self.container.clone()) };
        let mut listed = self.stack.operator().ask::<MigrationHistory>(&query)?.migrations;
        listed.retain(|view| self.moves.lock().unwrap().contains(&view.operation));
        Ok(listed)
    }

    /// The last move once the source has told its estimate: what it tells may come after the decision.
    fn with_estimate(&self) -> MigrationView {
        wait::until("the source tells its estimate", LIMIT, || {
            let last = self.history()?.remove(0);
            Ok(last.estimated_downtime_ms.is_some().then_some(last))
        })
        .unwrap()
    }

    fn count(&self) -> u64 {
        let asked = || ask_counter(self.address, "/count", LIMIT).map(Some);
        wait::until("the counter answers", LIMIT, asked).unwrap()
    }

    fn kept(&self, number: u8) -> Vec<KeptView> {
        let query = KeptQuery { container: Some(self.container.clone()) };
        self.stack.operator().call::<KeptListing>(self.stack.id(number), &query).unwrap().kept
    }

    /// Names and states of whatever the engine has of the container.
    fn engine_has(&self, number: u8) -> Result<String> {
        let filter = format!("label={}={}", label::CONTAINER, self.container);
        let list = ["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.Status}}"];
        self.stack.lab().device(number).run_docker(list)
    }

    fn has_volume(&self, number: u8) -> bool {
        self.stack.lab().device(number).run_docker(["volume", "inspect", "ecep_acme_data"]).is_ok()
    }

    /// It runs there as it did before it was to move, and nothing of it is elsewhere.
    fn is_untouched_at(&self, number: u8) {
        wait::until("it is as before", LIMIT, || {
            let placed = self.stack.placed(&self.container)?;
            ensure!(placed.device == *self.stack.id(number), "it is on {}", placed.device);
            ensure!(placed.container.state == ContainerState::Running, "it is {:?}", placed.container.state);
            let there = self.engine_has(3 - number)?;
            ensure!(there.is_empty() && !self.has_volume(3 - number), "the other device has {there:?}");
            let name = format!("ecep-{}", self.container);
            let policy = ["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", &name];
            let policy = self.stack.lab().device(number).run_docker(policy)?;
            ensure!(policy.trim() == "always", "its restart policy is {policy}");
            Ok(Some(()))
        })
        .unwrap();
    }

    /// Refused by the control plane, in words, before a device hears of it.
    fn what_cannot_be_asked(&self) {
        let wrong = MigrateContainer { max_rounds: Some(9), ..self.order(2) };
        let error = self.stack.operator().ask::<ContainerMigrate>(&wrong).unwrap_err();
        let refusal = error.downcast_ref::<WampError>().unwrap();
        assert!(refusal.uri.ends_with("invalid_argument"), "{error:#}");
        assert!(refusal.message.contains("use 1 to 8"), "{error:#}");

        let preflight = self.stack.preflight(&self.container, self.stack.id(2)).unwrap();
        let estimate = preflight.estimate.unwrap();
        assert!(estimate.is_rate_assumed, "nothing was moved yet: {estimate:?}");
        assert!(estimate.downtime_ms > 0 && estimate.total_ms > estimate.downtime_ms, "{estimate:?}");
    }

    /// Whoever says how long a container may stand still is told that it would be longer, and it has not stood still at all:
    /// neither where no container could be so quick, nor where this one writes too much.
    fn too_little_downtime_is_refused_before_the_freeze(&self) {
        let client = Counting::start(self.address, PORT).unwrap();
        let hopeless = self.moved(&MigrateContainer { max_downtime_ms: Some(1), ..self.order(2) });
        assert!(
            hopeless.error.as_deref().unwrap_or_default().contains("even if it writes nothing"),
            "{hopeless:?}"
        );
        let busy = MigrateContainer {
            max_downtime_ms: Some(TOO_SHORT_FOR_A_BUSY_ONE),
            bytes_per_second: Some(SLOW),
            over_downtime: Some(OverDowntime::Refuse),
            ..self.order(2)
        };
        self.moved(&busy);
        let busy = self.with_estimate();
        assert!(busy.rounds.len() > 1, "{:?}", busy.rounds);
        assert!(busy.rounds.iter().all(|round| round.pages > 0 && round.bytes > 0), "{:?}", busy.rounds);
        assert!(busy.estimated_downtime_ms.unwrap() > TOO_SHORT_FOR_A_BUSY_ONE, "{busy:?}");
        for (view, limit) in [(&hopeless, 1), (&busy, TOO_SHORT_FOR_A_BUSY_ONE)] {
            let error = view.error.as_deref().unwrap_or_default();
            assert_eq!(view.state, MigrationState::Failed, "{view:?}");
            assert!(error.contains(&format!("max_downtime_ms is {limit}")), "{error}");
            assert!(error.contains("move it cold"), "{error}");
            assert!(view.phases.iter().all(|took| took.phase != MigrationPhase::Freezing), "{view:?}");
        }
        self.is_untouched_at(1);
        client.wait_on(LIMIT).unwrap();
        client.stop().unwrap();
    }

    /// Whoever would rather have it elsewhere than with its memory gets that: it starts anew there, with its files.
    fn or_it_goes_cold(&self) {
        assert!(self.count() > 0);
        let place = ["volume", "inspect", "--format", "{{.Mountpoint}}", "ecep_acme_data"];
        let here = self.stack.lab().device(1).run_docker(place).unwrap();
        std::fs::write(format!("{}/written", here.trim()), "before").unwrap();
        let order = MigrateContainer {
            max_downtime_ms: Some(1),
            over_downtime: Some(OverDowntime::Cold),
            ..self.order(2)
        };
        let view = self.moved(&order);
        assert_eq!(view.state, MigrationState::Done, "{:?}", view.error);
        assert!(view.went_cold && view.mode == MigrationMode::Live, "{view:?}");
        assert_eq!(self.count(), 0, "it was started anew");
        self.is_untouched_at(2);
        let there = self.stack.lab().device(2).run_docker(place).unwrap();
        assert_eq!(std::fs::read_to_string(format!("{}/written", there.trim())).unwrap(), "before");
    }

    /// The copy stays at the source, stopped, whatever is started again there; the container counts on elsewhere; and the way
    /// back is barred, in words, until the copy is deleted.
    fn a_copy_stays_and_is_never_the_container(&self) {
        let client = Counting::start(self.address, PORT).unwrap();
        client.wait_on(LIMIT).unwrap();
        let view = self.moved(&MigrateContainer { keep_source: true, ..self.order(1) });
        assert_eq!(view.state, MigrationState::Done, "{:?}", view.error);
        client.wait_on(LIMIT).unwrap();

        let stays = format!("ecep-kept-{}.{} Exited", self.container, view.operation);
        let stands = || {
            wait::until("the copy stays, stopped", LIMIT, || {
                let there = self.engine_has(2)?;
                ensure!(there.starts_with(&stays) && there.lines().count() == 1, "the engine says {there:?}");
                let listed = self.stack.operator().call::<ContainerList>(self.stack.id(2), &Nothing {})?;
                ensure!(listed.containers.is_empty(), "it is listed: {:?}", listed.containers);
                ensure!(self.stack.placed(&self.container)?.device == *self.stack.id(1), "it is not on 1");
                Ok(Some(()))
            })
            .unwrap();
        };
        stands();
        let kept = self.kept(2);
        let [copy] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!((copy.name.as_str(), &copy.migration), ("counter", &view.operation));
        assert_eq!(copy.volumes, ["data"]);
        let supervisor = self.stack.supervisor();
        let (_, starts) = supervisor.kill_for(&agent_name(2), Duration::ZERO).unwrap();
        wait::until("the agent is started again", LIMIT, || {
            Ok((supervisor.pid(&agent_name(2))?.1 > starts).then_some(()))
        })
        .unwrap();
        let device = self.stack.lab().device(2);
        device.kill_engine().unwrap();
        device.start_engine().unwrap();
        device.wait_ready().unwrap();
        stands();

        let back = wait::until("the way back is looked at", LIMIT, || {
            let preflight = self.stack.preflight(&self.container, self.stack.id(2))?;
            let of_copy = preflight.checks.iter().find(|check| check.text.contains("container.kept.delete"));
            Ok(Some((preflight.verdict, of_copy.context("nothing is said of the copy")?.text.clone())))
        });
        let (verdict, text) = back.unwrap();
        assert_eq!(verdict, Verdict::Refused);
        assert!(text.contains("the volume data"), "{text}");
        let order = DeleteKept { container: self.container.clone(), migration: view.operation.clone() };
        self.stack.operator().call::<KeptDelete>(self.stack.id(2), &order).unwrap();
        assert_eq!((self.engine_has(2).unwrap().as_str(), self.has_volume(2)), ("", false));
        assert_eq!(self.kept(2), []);
        let again = self.stack.operator().call::<KeptDelete>(self.stack.id(2), &order).unwrap_err();
        assert!(again.downcast_ref::<WampError>().unwrap().uri.ends_with("not_found"), "{again:#}");

        self.stack.await_movable(&self.container, 2, LIMIT).unwrap();
        let back = self.moved(&self.order(2));
        assert_eq!(back.state, MigrationState::Done, "{:?}", back.error);
        client.wait_on(LIMIT).unwrap();
        client.stop().unwrap();
        self.is_untouched_at(2);
    }

    /// What every move of the container came to can be read later: rounds, bytes, what was estimated and what was measured.
    fn the_truth_outlives_the_control_plane(&self) {
        // The source tells the end of the last phase after how long the container stood still, or before it.
        let is_told = |view: &MigrationView| {
            let has_committed = view.phases.iter().any(|took| took.phase == MigrationPhase::Committing);
            view.downtime_ms.is_some() && has_committed
        };
        let before = wait::until("the last move is told in full", LIMIT, || {
            let all = self.history()?;
            Ok(is_told(&all[0]).then_some(all))
        })
        .unwrap();
        let told: Vec<_> = before.iter().rev().map(|view| view.operation.clone()).collect();
        assert_eq!(told, *self.moves.lock().unwrap());
        let last = &before[0];
        assert!(!last.rounds.is_empty() && last.bytes_sent >= MEGABYTES << 20, "{last:?}");
        assert!(last.estimated_downtime_ms.is_some(), "{last:?}");
        assert!(before[1].options.keep_source, "{:?}", before[1]);
        let estimate = self.stack.preflight(&self.container, self.stack.id(1)).unwrap().estimate.unwrap();
        assert!(!estimate.is_rate_assumed, "the last move has shown what the line carries: {estimate:?}");

        // What devices tell is on the disk a moment later, or with what somebody waits for: a token is there when it is answered.
        self.stack.client(self.stack.tenant(), "flushed", Role::Viewer).unwrap();
        let supervisor = self.stack.supervisor();
        let (_, starts) = supervisor.kill_for(DASHBOARD_API, Duration::ZERO).unwrap();
        wait::until("it is started again", LIMIT, || {
            Ok((supervisor.pid(DASHBOARD_API)?.1 > starts).then_some(()))
        })
        .unwrap();
        let after = wait::until("the control plane answers", LIMIT, || self.history().map(Some)).unwrap();
        assert_eq!(after, before);
    }
}
