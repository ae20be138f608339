//! Who looks at containers over HTTP now: reads a log along, or has a terminal. Each can be ended at once with the access that it
//! rests on. It must not know HTTP.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ecep_proto::api::name::TenantSlug;
use tokio::sync::watch;

/// Logs that are read along in one tenant at a time: a dozen people with some tabs each. Policy: more are refused.
pub const MAX_LOGS: usize = 64;
/// Terminals in one tenant at a time. Policy: more are refused.
pub const MAX_TERMINALS: usize = 32;

/// What somebody looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A log.
    Log,
    /// A terminal.
    Terminal,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Viewers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    tenant: TenantSlug,
    authid: String,
    view: View,
    end: watch::Sender<Option<String>>,
}

/// Somebody who looks, until this is dropped.
#[derive(Debug)]
pub struct Viewer {
    viewers: Arc<Viewers>,
    number: u64,
    ended: watch::Receiver<Option<String>>,
}

impl Viewers {
    /// Lets somebody look.
    ///
    /// # Errors
    /// How many may at most, if that many do.
    pub fn enter(self: &Arc<Self>, tenant: &TenantSlug, authid: &str, view: View) -> Result<Viewer, usize> {
        let most = match view {
            View::Log => MAX_LOGS,
            View::Terminal => MAX_TERMINALS,
        };
        let mut inner = self.lock();
        if inner.open.values().filter(|open| open.tenant == *tenant && open.view == view).count() >= most {
            return Err(most);
        }
        let (end, ended) = watch::channel(None);
        let number = inner.next;
        inner.next += 1;
        let open = Open { tenant: tenant.clone(), authid: authid.to_owned(), view, end };
        inner.open.insert(number, open);
        drop(inner);
        Ok(Viewer { viewers: Arc::clone(self), number, ended })
    }

    /// Ends what an account or a token looks at, in one tenant or in all.
    pub fn end(&self, authid: &str, tenant: Option<&TenantSlug>, reason: &str) {
        let inner = self.lock();
        let theirs =
            |open: &&Open| open.authid == authid && tenant.is_none_or(|tenant| open.tenant == *tenant);
        for open in inner.open.values().filter(theirs) {
            open.end.send_replace(Some(reason.to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change of it is one step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Viewer {
    /// Waits until it is to end, and says why.
    pub async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        // The sender goes with the viewer, so it is told before it is gone.
        let reason = ended.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_default()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.viewers.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever loses a role in one tenant keeps what is open in another; a tenant cannot have more open than it may, and what is
    /// closed makes room.
    #[tokio::test]
    async fn access_ends_where_it_is_taken_away() {
        let viewers = Arc::new(Viewers::default());
        let (acme, globex): (TenantSlug, TenantSlug) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let here = viewers.enter(&acme, "maria", View::Terminal).unwrap();
        let there = viewers.enter(&globex, "maria", View::Log).unwrap();
        viewers.end("maria", Some(&acme), "her role changed");
        assert_eq!(here.ended().await, "her role changed");
        assert!(there.ended.borrow().is_none());
        viewers.end("otto", None, "another");
        assert!(there.ended.borrow().is_none());
        drop(here);
        let all: Vec<Viewer> =
            (0..MAX_TERMINALS).map(|_| viewers.enter(&acme, "otto", View::Terminal).unwrap()).collect();
        assert_eq!(viewers.enter(&acme, "otto", View::Terminal).unwrap_err(), MAX_TERMINALS);
        drop(all);
        assert!(viewers.enter(&acme, "otto", View::Terminal).is_ok());
    }
}
