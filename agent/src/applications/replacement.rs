//! What is to be done next about a container that another one is to replace, judged by what is at the engine alone: so it does not matter
//! whether the agent was killed meanwhile, nor when. Pure.

use std::time::Duration;

use ecep_proto::api::container::ContainerState;

use crate::engine::Health;

/// A check that has not come to an end by then never will.
const HEALTH_LIMIT: Duration = Duration::from_secs(600);

/// The new container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct New {
    pub(super) state: ContainerState,
    pub(super) exit_code: Option<i64>,
    /// How often the engine has started it again by itself.
    pub(super) restarts: u64,
    /// What its own check says, where it has one.
    pub(super) health: Option<Health>,
    /// For how long it was seen running.
    pub(super) ran: Duration,
    /// For how long it must have run, where it has no check.
    pub(super) must_run: Duration,
}

/// What is at the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The old one is there, under its other name.
    pub(super) old: bool,
    /// The new one.
    pub(super) new: Option<New>,
    /// Something was tried, and it will not come to anything.
    pub(super) given_up: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Start the new one.
    Start,
    /// Look again in a moment.
    Wait,
    /// The new one is the container: the old one goes.
    Commit,
    /// The new one goes, and the old one is the container again. Why, where that is not known already.
    Back(Option<String>),
    /// There is nothing to decide any more.
    Over,
}

pub(super) fn next(seen: &Seen) -> Next {
    if !seen.old {
        return Next::Over;
    }
    let Some(new) = seen.new else { return Next::Back(None) };
    if seen.given_up {
        return Next::Back(None);
    }
    let back = |why: String| Next::Back(Some(why));
    match new.state {
        ContainerState::Created => Next::Start,
        ContainerState::Exited | ContainerState::Dead => back(match new.exit_code {
            Some(code) => format!("the new container ended with exit code {code}"),
            None => "the new container ended".to_owned(),
        }),
        ContainerState::Restarting => back("the new container ends again and again".to_owned()),
        ContainerState::Removing => back("the new container was deleted".to_owned()),
        _ if new.restarts > 0 => back("the new container ends again and again".to_owned()),
        ContainerState::Paused => Next::Wait,
        ContainerState::Running => match new.health {
            Some(Health::Healthy) => Next::Commit,
            Some(Health::Unhealthy) => back("the new container's health check fails".to_owned()),
            Some(Health::Starting) if new.ran >= HEALTH_LIMIT => back(format!(
                "the new container's health check has not come to an end in {} minutes",
                HEALTH_LIMIT.as_secs() / 60
            )),
            Some(Health::Starting) => Next::Wait,
            None if new.ran >= new.must_run => Next::Commit,
            None => Next::Wait,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device on which an update goes on: what there is of each container.
    #[derive(Debug, Clone)]
    struct Device {
        old: Option<Old>,
        new: Option<New>,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Old {
        runs: bool,
        is_renamed: bool,
    }

    /// How the new one turns out.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fate {
        CannotBeMade,
        CannotStart,
        Ends,
        IsUnhealthy,
        GetsHealthy,
        Runs,
    }

    const FATES: [Fate; 6] =
        [Fate::CannotBeMade, Fate::CannotStart, Fate::Ends, Fate::IsUnhealthy, Fate::GetsHealthy, Fate::Runs];

    fn fresh(fate: Fate) -> New {
        let has_check = matches!(fate, Fate::IsUnhealthy | Fate::GetsHealthy);
        New {
            state: ContainerState::Created,
            exit_code: None,
            restarts: 0,
            health: has_check.then_some(Health::Starting),
            ran: Duration::ZERO,
            must_run: Duration::from_secs(3),
        }
    }

    impl Device {
        fn look(&self, given_up: bool) -> Seen {
            Seen { old: self.old.is_some_and(|old| old.is_renamed), new: self.new, given_up }
        }

        /// A second passes.
        fn pass(&mut self, fate: Fate) {
            let Some(new) = self.new.as_mut().filter(|new| new.state == ContainerState::Running) else {
                return;
            };
            new.ran += Duration::from_secs(1);
            match fate {
                Fate::Ends => (new.state, new.exit_code) = (ContainerState::Exited, Some(1)),
                Fate::IsUnhealthy => new.health = Some(Health::Unhealthy),
                Fate::GetsHealthy => new.health = Some(Health::Healthy),
                _ => {}
            }
        }
    }

    /// The shell's steps, as `replace` takes them; each line is one at which the agent can be killed. Answers false when it was.
    fn run(device: &mut Device, fate: Fate, is_new_agent: bool, mut steps_left: usize) -> bool {
        let mut step = |device: &mut Device, change: &dyn Fn(&mut Device)| {
            if steps_left == 0 {
                return false;
            }
            steps_left -= 1;
            change(device);
            true
        };
        let mut given_up = false;
        if !is_new_agent {
            let begun = step(device, &|device| device.old.as_mut().unwrap().is_renamed = true)
                && step(device, &|device| device.old.as_mut().unwrap().runs = false)
                && (fate == Fate::CannotBeMade || step(device, &|device| device.new = Some(fresh(fate))));
            if !begun {
                return false;
            }
            given_up = fate == Fate::CannotBeMade;
        }
        loop {
            let went_on = match next(&device.look(given_up)) {
                Next::Over => return true,
                Next::Wait => step(device, &|device| device.pass(fate)),
                Next::Start if fate == Fate::CannotStart => {
                    given_up = true;
                    true
                }
                Next::Start => {
                    step(device, &|device| device.new.as_mut().unwrap().state = ContainerState::Running)
                }
                Next::Commit => step(device, &|device| device.old = None),
                Next::Back(_) => {
                    step(device, &|device| device.new = None)
                        && step(device, &|device| device.old.as_mut().unwrap().runs = true)
                        && step(device, &|device| device.old.as_mut().unwrap().is_renamed = false)
                }
            };
            if !went_on {
                return false;
            }
        }
    }

    /// Wherever the agent is killed, also twice, exactly one container is left, it runs, and it is the new one only where that is well.
    #[test]
    fn whoever_is_killed_leaves_one_container_that_runs() {
        for fate in FATES {
            for first in 0..20 {
                for second in 0..20 {
                    let mut device = Device { old: Some(Old { runs: true, is_renamed: false }), new: None };
                    let whole = run(&mut device, fate, false, first)
                        || run(&mut device, fate, true, second)
                        || run(&mut device, fate, true, 100);
                    assert!(whole, "{fate:?} {first} {second}: no end");
                    let is_well = matches!(fate, Fate::GetsHealthy | Fate::Runs);
                    match (device.old, device.new) {
                        (None, Some(new)) => {
                            assert!(
                                is_well && new.state == ContainerState::Running,
                                "{fate:?} {first} {second}"
                            );
                        }
                        (Some(old), None) => assert_eq!(old, Old { runs: true, is_renamed: false }),
                        both => panic!("{fate:?} {first} {second}: {both:?}"),
                    }
                    // Without a kill what is well is taken.
                    assert!(first < 10 || device.old.is_none() == is_well, "{fate:?} {first}");
                }
            }
        }
    }

    /// One that the engine starts again and again is not well, though it runs whenever somebody looks.
    #[test]
    fn one_that_comes_back_again_and_again_is_not_well() {
        let new = New {
            state: ContainerState::Running,
            restarts: 1,
            ran: Duration::from_secs(100),
            ..fresh(Fate::Runs)
        };
        let seen = Seen { old: true, new: Some(new), given_up: false };
        assert!(matches!(next(&seen), Next::Back(Some(_))));
        let waits = New { restarts: 0, health: Some(Health::Starting), ..new };
        assert_eq!(next(&Seen { new: Some(waits), ..seen }), Next::Wait);
        let late = New { ran: HEALTH_LIMIT, ..waits };
        assert!(matches!(next(&Seen { new: Some(late), ..seen }), Next::Back(Some(_))));
    }
}
