//! What a tenant may begin on a device that is shared with it: what its terms allow, and how much is left of its quota.
//!
//! Owns the rules and their sentences. Must not know engines, disks or who asks.

use std::collections::BTreeMap;

use ecep_proto::api::{
    container::Limits,
    name::{ContainerId, TenantSlug},
    share::{Allowance, GrantedTerms, Quota},
};

/// Billionths of a core, in which engines count.
const NANO: f64 = 1e9;

/// What somebody wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Create a container; whether it publishes ports.
    Create {
        /// It does.
        publishes: bool,
    },
    /// Start or restart one.
    Start,
    /// Pull an image.
    Pull,
    /// Save a container.
    Checkpoint,
    /// Bring a container back as it was saved.
    Restore,
    /// Bring a checkpoint from another device.
    TakeCheckpoint,
    /// Bring a container from another device; whether it publishes ports.
    MoveIn {
        /// It does.
        publishes: bool,
    },
    /// Take a container to another device.
    MoveAway,
    /// Open a terminal in a container.
    OpenTerminal,
}

/// Why it may not be begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The terms do not allow it.
    #[error("{0}")]
    Terms(String),
    /// The quota is used up.
    #[error("{0}")]
    Quota(String),
    /// What is asked for lacks a limit that the quota needs.
    #[error("{0}")]
    NoLimit(String),
}

/// Whether the terms allow it, however much is left.
///
/// # Errors
/// `Terms`.
pub fn allows(granted: &GrantedTerms, action: Action) -> Result<(), Refused> {
    let leaves = matches!(action, Action::MoveAway);
    if granted.is_ending {
        if leaves {
            return Ok(());
        }
        return Err(Refused::Terms(
            "the share of this device ends, so nothing new is begun here; move the containers away or delete them".to_owned(),
        ));
    }
    let needs = |allowance: Allowance, what: &str| {
        if granted.terms.allow.contains(&allowance) {
            return Ok(());
        }
        Err(Refused::Terms(format!(
            "the terms of this device's share do not allow to {what}; ask the device's owner, or use another device"
        )))
    };
    match action {
        Action::Create { publishes: true } => needs(Allowance::PublishPorts, "publish ports"),
        Action::Create { publishes: false } | Action::Start | Action::Pull => Ok(()),
        Action::Checkpoint => needs(Allowance::Checkpoints, "save containers"),
        Action::Restore => needs(Allowance::Checkpoints, "bring saved containers back"),
        Action::TakeCheckpoint => needs(Allowance::Checkpoints, "bring checkpoints here"),
        Action::MoveIn { publishes } => {
            needs(Allowance::MoveIn, "move containers here")?;
            if publishes { needs(Allowance::PublishPorts, "publish ports") } else { Ok(()) }
        }
        Action::MoveAway => needs(Allowance::MoveAway, "move containers away"),
        Action::OpenTerminal => needs(Allowance::Terminal, "open terminals"),
    }
}

/// What a container takes of a quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Its limit in billionths of a core.
    pub nano_cpus: Option<u64>,
    /// Its limit in bytes.
    pub memory_bytes: Option<u64>,
}

impl Demand {
    /// What these limits take.
    pub fn of(limits: &Limits) -> Self {
        Self { nano_cpus: limits.cpus.map(nano), memory_bytes: limits.memory_bytes }
    }

    /// Its limit in cores.
    #[expect(clippy::cast_precision_loss, reason = "for comparing and for people")]
    pub fn cores(&self) -> Option<f64> {
        self.nano_cpus.map(|nano| nano as f64 / NANO)
    }
}

/// The containers of one tenant on the device, each with what it takes.
pub type Holdings = BTreeMap<ContainerId, Demand>;

/// What has been admitted and is not a container yet. Bounded by the operations of the device.
#[derive(Debug, Default)]
pub struct Book {
    admitted: BTreeMap<(TenantSlug, ContainerId), Demand>,
}

impl Book {
    /// What of the tenant is on its way now. Taken before the containers are listed, so that what becomes one meanwhile is in
    /// one of the two.
    pub fn on_its_way(&self, tenant: &TenantSlug) -> Holdings {
        let own = self.admitted.iter().filter(|((of, _), _)| of == tenant);
        own.map(|((_, container), demand)| (container.clone(), *demand)).collect()
    }

    /// The tenants of whom something is on its way.
    pub fn busy(&self) -> Vec<TenantSlug> {
        let mut tenants: Vec<TenantSlug> = self.admitted.keys().map(|(tenant, _)| tenant.clone()).collect();
        tenants.dedup();
        tenants
    }

    /// Admits a container if the quota has room for it beside `held`: the containers that are there and what was on its way before
    /// they were listed. It holds its part until [`Book::release`].
    ///
    /// # Errors
    /// `Quota` or `NoLimit`, with what is left and what to set.
    pub fn admit(
        &mut self,
        tenant: &TenantSlug,
        container: &ContainerId,
        quota: &Quota,
        held: &Holdings,
        wanted: Demand,
    ) -> Result<(), Refused> {
        let mut held = held.clone();
        held.extend(self.on_its_way(tenant));
        has_room(quota, container, &held, wanted)?;
        self.admitted.insert((tenant.clone(), container.clone()), wanted);
        Ok(())
    }

    /// It is a container by now, or will not be one.
    pub fn release(&mut self, tenant: &TenantSlug, container: &ContainerId) {
        self.admitted.remove(&(tenant.clone(), container.clone()));
    }
}

/// Whether the quota has room for this container beside those that are held.
///
/// # Errors
/// `Quota` or `NoLimit`, with what is left and what to set.
pub fn has_room(
    quota: &Quota,
    container: &ContainerId,
    held: &Holdings,
    wanted: Demand,
) -> Result<(), Refused> {
    let others = || held.iter().filter(|(id, _)| *id != container).map(|(_, demand)| demand);
    if let Some(most) = quota.containers
        && others().count() >= usize::try_from(most).unwrap_or(usize::MAX)
    {
        return Err(Refused::Quota(format!(
            "the share of this device is for {most} containers, and as many are here; delete one, or ask the device's owner"
        )));
    }
    if let Some(most) = quota.cpus.map(nano) {
        let cores = |nano: u64| format!("{} of {}", readable_cores(nano), readable_cores(most));
        part("cpus", "cores", most, wanted.nano_cpus, others().map(|demand| demand.nano_cpus), &cores)?;
    }
    if let Some(most) = quota.memory_bytes {
        let bytes = |left: u64| format!("{left} of {most}");
        let held = others().map(|demand| demand.memory_bytes);
        part("memory_bytes", "bytes of memory", most, wanted.memory_bytes, held, &bytes)?;
    }
    Ok(())
}

/// Whether the disk quota has room for `wanted` more bytes. What runs may have written beyond it; then nothing has.
///
/// # Errors
/// `Quota`.
pub fn has_disk(quota: &Quota, used: u64, wanted: u64) -> Result<(), Refused> {
    let Some(most) = quota.disk_bytes else { return Ok(()) };
    if used < most && wanted <= most - used {
        return Ok(());
    }
    Err(Refused::Quota(over_disk(used, most, wanted)))
}

/// The sentence for whoever uses more of the disk than its quota; none while it does not.
pub fn disk_problem(quota: &Quota, used: u64) -> Option<String> {
    let most = quota.disk_bytes.filter(|most| used >= *most)?;
    // Rounded, so that it is not another sentence with each byte.
    Some(format!(
        "Containers and checkpoints use {} MB of the {} MB that the share of this device has; nothing new is begun. Delete some.",
        used / 1_000_000,
        most / 1_000_000
    ))
}

fn over_disk(used: u64, most: u64, wanted: u64) -> String {
    let needs = if wanted > 0 { format!(", and {wanted} more are needed") } else { String::new() };
    format!(
        "containers and checkpoints use {used} of the {most} bytes of disk that the share of this device has{needs}; delete some, or \
         ask the device's owner"
    )
}

fn part(
    setting: &str,
    unit: &str,
    most: u64,
    wanted: Option<u64>,
    held: impl Iterator<Item = Option<u64>>,
    told: &dyn Fn(u64) -> String,
) -> Result<(), Refused> {
    // One without a limit may take all of it; it was made on other terms.
    let used = held.fold(0_u64, |sum, one| sum.saturating_add(one.unwrap_or(most)));
    let left = most.saturating_sub(used);
    match wanted {
        Some(wanted) if wanted <= left => Ok(()),
        Some(_) => Err(Refused::Quota(format!(
            "{} {unit} of the share of this device are left; set limits.{setting} to that or less, delete a container, or ask \
             the device's owner",
            told(left)
        ))),
        None => Err(Refused::NoLimit(format!(
            "the share of this device has a quota, so the container needs a limit of its own: set limits.{setting}; {} {unit} are \
             left",
            told(left)
        ))),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and takes NaN for 0"
)]
fn nano(cpus: f64) -> u64 {
    (cpus * NANO).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn readable_cores(nano: u64) -> String {
    format!("{}", (nano as f64 / NANO * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecep_proto::api::share::Terms;
    use proptest::prelude::*;

    fn id(number: u8) -> ContainerId {
        format!("c{number}").parse().unwrap()
    }

    fn granted(allow: &[Allowance], is_ending: bool) -> GrantedTerms {
        GrantedTerms { terms: Terms { quota: Quota::default(), allow: allow.to_vec() }, is_ending }
    }

    /// What the terms do not name is not allowed, and a share that ends lets containers go and nothing else.
    #[test]
    fn terms_allow_what_they_name() {
        let actions = [
            (Action::Create { publishes: true }, Some(Allowance::PublishPorts)),
            (Action::Create { publishes: false }, None),
            (Action::Start, None),
            (Action::Pull, None),
            (Action::Checkpoint, Some(Allowance::Checkpoints)),
            (Action::Restore, Some(Allowance::Checkpoints)),
            (Action::TakeCheckpoint, Some(Allowance::Checkpoints)),
            (Action::MoveIn { publishes: false }, Some(Allowance::MoveIn)),
            (Action::MoveAway, Some(Allowance::MoveAway)),
            (Action::OpenTerminal, Some(Allowance::Terminal)),
        ];
        for (action, allowance) in actions {
            assert_eq!(allows(&granted(&[], false), action).is_ok(), allowance.is_none(), "{action:?}");
            let named: Vec<Allowance> = allowance.into_iter().collect();
            assert_eq!(allows(&granted(&named, false), action), Ok(()), "{action:?}");
            assert_eq!(
                allows(&granted(&named, true), action).is_ok(),
                action == Action::MoveAway,
                "{action:?}"
            );
        }
        assert!(allows(&granted(&[Allowance::MoveIn], false), Action::MoveIn { publishes: true }).is_err());
    }

    /// Whoever is refused must be told what is left and which setting to use.
    #[test]
    fn a_refusal_says_what_is_left_and_what_to_set() {
        let quota = Quota { cpus: Some(1.5), memory_bytes: Some(100), ..Quota::default() };
        let held =
            Holdings::from([(id(1), Demand { nano_cpus: Some(1_000_000_000), memory_bytes: Some(60) })]);
        let wanted = |nano_cpus, memory_bytes| Demand { nano_cpus, memory_bytes };
        for (wanted, says) in [
            (wanted(None, Some(1)), "set limits.cpus; 0.5 of 1.5 cores are left"),
            (wanted(Some(600_000_000), Some(1)), "0.5 of 1.5 cores of the share"),
            (wanted(Some(500_000_000), None), "set limits.memory_bytes; 40 of 100 bytes"),
            (wanted(Some(500_000_000), Some(41)), "40 of 100 bytes of memory of the share"),
        ] {
            let refused = has_room(&quota, &id(2), &held, wanted).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        assert_eq!(has_room(&quota, &id(2), &held, wanted(Some(500_000_000), Some(40))), Ok(()));
        assert!(has_disk(&Quota { disk_bytes: Some(10), ..quota.clone() }, 10, 0).is_err());
        assert!(has_disk(&Quota { disk_bytes: Some(10), ..quota.clone() }, 9, 2).is_err());
        assert_eq!(has_disk(&Quota { disk_bytes: Some(10), ..quota }, 9, 1), Ok(()));
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Lists what is there, and asks with a list as old as the last such step.
        Ask(u8, u64, u64),
        Made(u8),
        Failed(u8),
        Deleted(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..6_u8, 0..40_u64, 0..40_u64).prop_map(|(id, cpus, memory)| Step::Ask(id, cpus, memory)),
            (0..6_u8).prop_map(Step::Made),
            (0..6_u8).prop_map(Step::Failed),
            (0..6_u8).prop_map(Step::Deleted),
        ]
    }

    proptest! {
        /// Whatever the order of orders, ends and failures, no more is there than the quota; and what failed gives its part back.
        #[test]
        fn never_above_the_quota(steps in proptest::collection::vec(step(), 0..60)) {
            let tenant: TenantSlug = "acme".parse().unwrap();
            let quota = Quota { cpus: Some(100e-9), memory_bytes: Some(90), containers: Some(4), disk_bytes: None };
            let (mut book, mut there) = (Book::default(), Holdings::new());
            for step in steps {
                match step {
                    Step::Ask(number, cpus, memory) => {
                        if there.contains_key(&id(number)) || book.on_its_way(&tenant).contains_key(&id(number)) {
                            continue;
                        }
                        // The list is taken after what is on its way, as the agent does.
                        let mut held = book.on_its_way(&tenant);
                        held.extend(there.clone());
                        let wanted = Demand { nano_cpus: Some(cpus), memory_bytes: Some(memory) };
                        let fits = held.len() < 4
                            && held.values().map(|one| one.nano_cpus.unwrap()).sum::<u64>() + cpus <= 100
                            && held.values().map(|one| one.memory_bytes.unwrap()).sum::<u64>() + memory <= 90;
                        let admitted = book.admit(&tenant, &id(number), &quota, &held, wanted);
                        prop_assert_eq!(admitted.is_ok(), fits, "{:?}", admitted);
                    }
                    Step::Made(number) => {
                        if let Some(demand) = book.on_its_way(&tenant).get(&id(number)) {
                            there.insert(id(number), *demand);
                            book.release(&tenant, &id(number));
                        }
                    }
                    Step::Failed(number) => book.release(&tenant, &id(number)),
                    Step::Deleted(number) => {
                        there.remove(&id(number));
                    }
                }
                prop_assert!(there.len() <= 4);
                prop_assert!(there.values().map(|one| one.nano_cpus.unwrap()).sum::<u64>() <= 100);
                prop_assert!(there.values().map(|one| one.memory_bytes.unwrap()).sum::<u64>() <= 90);
            }
            for number in 0..6 {
                book.release(&tenant, &id(number));
            }
            prop_assert!(book.busy().is_empty());
            let all = Demand { nano_cpus: Some(100), memory_bytes: Some(90) };
            prop_assert_eq!(book.admit(&tenant, &id(9), &quota, &Holdings::new(), all), Ok(()));
        }
    }
}
