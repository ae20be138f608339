//! A session that has joined, and the table of all of them.

use std::collections::HashMap;

use ecep_proto::id::{RequestId, SessionId};
use ecep_proto::uri::Match;

use crate::features::Features;
use crate::meta::testaments::Testaments;
use crate::permissions::{Action, Grants, SharedRole};
use crate::profile::Profile;

/// Names a session between the realm and whoever owns its connection. A small number, chosen by that owner; it
/// must not be used again before the realm was told [`crate::Input::Lost`] for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub usize);

/// Who a session is, as the authentication found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub authid: String,
    /// In which role.
    pub authrole: String,
    /// By which method.
    pub authmethod: String,
    /// Who vouches for it.
    pub authprovider: String,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) identity: Identity,
    pub(crate) grants: Grants,
    pub(crate) profile: Profile,
    pub(crate) features: Features,
    /// Request ids of INVOCATIONs are counted for each callee, from 1.
    pub(crate) next_invocation: RequestId,
    /// The id that its next request must have in a realm that wants them in sequence.
    pub(crate) next_request: RequestId,
    /// What is to be published when it has gone.
    pub(crate) testaments: Option<Box<Testaments>>,
}

impl Session {
    /// Whether a rule of its role allows this.
    pub(crate) fn may(&self, action: Action, kind: Match, uri: &str) -> bool {
        self.grants.allow(&self.identity.authid, action, kind, uri)
    }

    /// What all sessions of its role share.
    pub(crate) fn role(&self) -> &SharedRole {
        self.grants.role()
    }
}

/// The sessions of a realm.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_key: Vec<Option<Session>>,
    by_id: HashMap<SessionId, SessionKey>,
}

impl Sessions {
    pub(crate) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.by_key.get(key.0)?.as_ref()
    }

    /// What the session can do; nothing if it has left.
    pub(crate) fn features(&self, key: SessionKey) -> Features {
        self.get(key).map_or_else(Features::default, |session| session.features)
    }

    /// The session of this id.
    pub(crate) fn key_of(&self, id: SessionId) -> Option<SessionKey> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.by_key.get_mut(key.0)?.as_mut()
    }

    pub(crate) fn insert(&mut self, key: SessionKey, session: Session) {
        if self.by_key.len() <= key.0 {
            self.by_key.resize_with(key.0 + 1, || None);
        }
        self.by_id.insert(session.id, key);
        self.by_key[key.0] = Some(session);
    }

    pub(crate) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let session = self.by_key.get_mut(key.0)?.take()?;
        self.by_id.remove(&session.id);
        Some(session)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionKey, &Session)> {
        let numbered = self.by_key.iter().enumerate();
        numbered.filter_map(|(key, session)| Some((SessionKey(key), session.as_ref()?)))
    }
}
