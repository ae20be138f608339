//! What goes into a realm and what comes out of it: all that its surroundings have to do with. Must not know what the
//! realm makes of it.

use std::sync::Arc;

use ecep_proto::id::RequestId;
use ecep_proto::message::Message;

use crate::features::Features;
use crate::realm::RealmConfig;
use crate::session::{Identity, SessionKey};

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A client has proved who it is and joins. It is answered with WELCOME, or with ABORT and
    /// [`Output::Close`] if the realm doesn't know its role.
    Join {
        /// What the client will be called from now on.
        session: SessionKey,
        /// Who it is.
        identity: Identity,
        /// What it can do.
        features: Features,
    },
    /// A message came from a session.
    Received {
        /// Whose.
        session: SessionKey,
        /// What.
        message: Message,
    },
    /// A session sent what is no message.
    Malformed {
        /// Which.
        session: SessionKey,
        /// What is wrong with it, for the sender.
        reason: String,
    },
    /// A message that [`Output::Send`] or [`Output::Broadcast`] asked for is larger than the session takes, and was not
    /// sent. The same message is larger in one serializer than in another, so nobody needs to be at fault.
    TooLarge {
        /// Whose.
        session: SessionKey,
        /// What.
        message: Message,
    },
    /// An INVOCATION that [`Output::Send`] asked for was not sent: its callee has too much to read already.
    Stalled {
        /// Who does not read.
        callee: SessionKey,
        /// Which.
        invocation: RequestId,
    },
    /// The session is to end, for this reason: it reads too slowly, for instance.
    Expel {
        /// Which.
        session: SessionKey,
        /// A sentence for its people.
        reason: String,
    },
    /// Roles and limits have changed; name and strictness can't.
    Reconfigure {
        /// What the realm is made from now.
        config: RealmConfig,
        /// Sessions that are in another role from now on.
        moved: Vec<(SessionKey, String)>,
    },
    /// The session's connection is gone; its key may be used again.
    Lost {
        /// Which.
        session: SessionKey,
    },
    /// The router shuts down: every session is told.
    Shutdown,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send a message to one session.
    Send {
        /// To whom.
        to: SessionKey,
        /// What.
        message: Message,
    },
    /// Send the same message to many.
    Broadcast {
        /// To whom.
        to: Arc<[SessionKey]>,
        /// Who of them does not get it.
        except: Option<SessionKey>,
        /// What.
        message: Message,
    },
    /// Close the session's connection after what was sent to it before. The realm has forgotten the session.
    Close {
        /// Which.
        session: SessionKey,
    },
}
