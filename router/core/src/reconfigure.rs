//! New roles and limits for a realm that runs: they hold at once, for the sessions that are there as well.

use std::time::Instant;

use crate::permissions::Grants;
use crate::realm::{Realm, RealmConfig, shared};
use crate::session::SessionKey;

impl Realm {
    /// The realm keeps its name and its way to check URIs. A session whose role is gone is ended; any other goes on
    /// with what its role may do now; a subscription or registration that it could not make now is taken away.
    pub(crate) fn reconfigure(
        &mut self,
        now: Instant,
        config: RealmConfig,
        moved: Vec<(SessionKey, String)>,
    ) {
        for (session, authrole) in moved {
            if let Some(session) = self.sessions.get_mut(session) {
                session.identity.authrole = authrole;
            }
        }
        self.roles = shared(&config.roles);
        let mut homeless = Vec::new();
        let keys: Vec<SessionKey> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            match self.roles.get(&session.identity.authrole).cloned() {
                Some(role) => {
                    session.profile = role.profile;
                    session.grants = Grants::new(role, &session.identity.authid);
                    let (broker, dealer, mut cx) = self.parts(now);
                    broker.revoke_forbidden(&mut cx, key);
                    dealer.revoke_forbidden(&mut cx, key);
                }
                None => homeless.push((key, format!("the role {} is gone", session.identity.authrole))),
            }
        }
        self.config.roles = config.roles;
        self.config.limits = config.limits;
        for (session, reason) in homeless {
            self.expel(now, session, &reason);
        }
    }
}
