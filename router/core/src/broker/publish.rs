//! An event on its way from its publisher to whoever subscribes.

use std::sync::Arc;

use ecep_proto::error::DISCLOSE_ME_DISALLOWED;
use ecep_proto::id::{PublicationId, SubscriptionId};
use ecep_proto::message::{Event, Publish, Published};
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Uri};
use ecep_proto::value::{Dict, Value};

use super::Broker;
use super::filter::Filter;
use crate::features::Feature;
use crate::meta::testaments::Testament;
use crate::options::{self, Failure};
use crate::permissions::{Action, Disclosure};
use crate::realm::Context;
use crate::session::{Session, SessionKey};

/// What a publisher wants.
#[derive(Clone, Debug)]
pub(crate) struct PublishOptions {
    acknowledge: bool,
    exclude_me: bool,
    disclose_me: bool,
    retain: bool,
    /// `ppt_*`, if the payload is not for the router's eyes.
    passthru: Dict,
    filter: Option<Box<Filter>>,
}

impl PublishOptions {
    /// Reads `PUBLISH.Options`.
    pub(crate) fn read(options: &Dict) -> Result<Self, Failure> {
        options::not_offered(options)?;
        Ok(Self {
            acknowledge: options::flag(options, "acknowledge")?,
            exclude_me: options::flag_or(options, "exclude_me", true)?,
            disclose_me: options::flag(options, "disclose_me")?,
            retain: options::flag(options, "retain")?,
            passthru: options::passthru(options)?,
            filter: Filter::read(options)?,
        })
    }

    /// These options, if the session may have them.
    ///
    /// # Errors
    /// Its role does not let it say who it is; or it never announced that it can do without the router reading its
    /// payload, which is a violation.
    pub(crate) fn allowed(self, cx: &Context, from: SessionKey) -> Result<Self, Failure> {
        let publisher = cx.session(from)?;
        if !self.passthru.is_empty() && !publisher.features.has(Feature::PublisherPassthru) {
            let text = "PUBLISH with option ppt_scheme from a publisher that has not announced payload_passthru_mode";
            return Err(Failure::Violation(text.to_owned()));
        }
        if self.disclose_me && publisher.role().disclose_publisher == Disclosure::Never {
            let text = format!("publishers in the role {} stay unknown", publisher.identity.authrole);
            return Err(Failure::refused(DISCLOSE_ME_DISALLOWED, text));
        }
        Ok(self)
    }

    /// What subscribers are told besides the event.
    fn details(&self, publisher: &Session) -> Dict {
        let mut details = self.passthru.clone();
        let role = publisher.role();
        let is_disclosed = match role.disclose_publisher {
            Disclosure::OnRequest => self.disclose_me,
            Disclosure::Always => true,
            Disclosure::Never => false,
        };
        if is_disclosed {
            let identity = &publisher.identity;
            details.insert("publisher".into(), Value::from(publisher.id.get()));
            details.insert("publisher_authid".into(), Value::from(identity.authid.as_str()));
            details.insert("publisher_authrole".into(), Value::from(identity.authrole.as_str()));
        }
        if let Some(trustlevel) = role.trustlevel {
            details.insert("trustlevel".into(), Value::from(trustlevel));
        }
        details
    }
}

/// Who gets an event, of those who subscribe.
#[derive(Clone, Debug, Default)]
pub(super) struct Audience {
    /// The publisher, unless it wants its own event.
    pub(super) except: Option<SessionKey>,
    pub(super) filter: Option<Box<Filter>>,
}

/// An event as it goes out.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) id: PublicationId,
    pub(super) details: Dict,
    pub(super) payload: Payload,
    pub(super) audience: Audience,
}

impl Publication {
    /// The message for one subscription. Who subscribes to a pattern must be told the topic.
    fn event(&self, subscription: SubscriptionId, kind: Match, topic: &str) -> Event {
        let mut details = self.details.clone();
        if kind != Match::Exact {
            details.insert("topic".into(), Value::from(topic));
        }
        Event { subscription, publication: self.id, details, payload: self.payload.clone() }
    }
}

impl Broker {
    /// Delivers an event once for each subscription that matches: a subscriber with two of them gets it twice, each
    /// under its own subscription id, as the specification has it.
    pub(crate) fn publish(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Publish,
    ) -> Result<(), Failure> {
        let options = PublishOptions::read(&message.options)?;
        let acknowledge = options.acknowledge;
        match self.take(cx, from, message.topic, options, message.payload) {
            Ok((topic, publication)) => {
                if acknowledge {
                    cx.send(from, Published { request: message.request, publication: publication.id });
                }
                self.deliver(cx, topic.as_str(), &publication);
                Ok(())
            }
            // "If the publication fails and acknowledge is not set, the publisher is not told."
            Err(Failure::Refused { .. }) if !acknowledge => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn take(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        topic: String,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<(Uri, Publication), Failure> {
        let topic = publishable(cx, from, topic)?;
        let options = options.allowed(cx, from)?;
        let id = cx.ids.publication();
        let publisher = cx.session(from)?;
        let publication = self.make(from, publisher, id, topic.as_str(), options, payload)?;
        Ok((topic, publication))
    }

    /// Publishes what a session has left, if it still might.
    pub(crate) fn publish_testament(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        publisher: &Session,
        testament: Testament,
    ) {
        let Testament { topic, mut options, payload, .. } = testament;
        if publisher.may(Action::Publish, Match::Exact, topic.as_str()) {
            // Nobody is there to be told.
            options.acknowledge = false;
            let id = cx.ids.publication();
            if let Ok(publication) = self.make(from, publisher, id, topic.as_str(), options, payload) {
                self.deliver(cx, topic.as_str(), &publication);
            }
        }
    }

    /// Makes the event, and retains it if that is wanted. What can't be retained is refused, or only delivered if
    /// the publisher would not hear of it.
    fn make(
        &mut self,
        from: SessionKey,
        publisher: &Session,
        id: PublicationId,
        topic: &str,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<Publication, Failure> {
        let details = options.details(publisher);
        let audience = Audience { except: options.exclude_me.then_some(from), filter: options.filter };
        let publication = Publication { id, details, payload, audience };
        if options.retain {
            match self.retained.keep(topic, publisher, &publication) {
                Err(_) if !options.acknowledge => self.retained.count_refused(),
                kept => kept?,
            }
        }
        Ok(publication)
    }

    /// Delivers a meta event to whoever subscribes to it.
    pub(crate) fn publish_meta(&mut self, cx: &mut Context, topic: &str, payload: Payload) {
        let (id, details, audience) = (cx.ids.publication(), Dict::new(), Audience::default());
        self.deliver(cx, topic, &Publication { id, details, payload, audience });
    }

    fn deliver(&mut self, cx: &mut Context, topic: &str, publication: &Publication) {
        let Audience { except, filter } = &publication.audience;
        self.covering.clear();
        self.by_pattern.covering_into(topic, &mut self.covering);
        for id in &self.covering {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            let mut to = subscription.shared();
            if let Some(filter) = filter {
                let passes =
                    |key: &SessionKey| cx.sessions.get(*key).is_some_and(|session| filter.passes(session));
                to = to.iter().copied().filter(passes).collect::<Arc<[SessionKey]>>();
            }
            if to.iter().any(|key| Some(*key) != *except) {
                cx.broadcast(to, *except, publication.event(*id, subscription.kind, topic));
            }
        }
    }

    /// Sends a subscriber what was published before it came.
    pub(super) fn send_retained(
        &self,
        cx: &mut Context,
        to: SessionKey,
        id: SubscriptionId,
        kind: Match,
        topic: &str,
    ) {
        let Some(session) = cx.sessions.get(to) else { return };
        let retained = self.retained.of_pattern(kind, topic, session).map(|(topic, publication)| {
            let mut event = publication.event(id, kind, topic);
            event.details.insert("retained".into(), Value::from(true));
            event
        });
        for event in retained.collect::<Vec<_>>() {
            cx.send(to, event);
        }
    }
}

/// Checks a topic that the session wants to publish to.
pub(crate) fn publishable(cx: &Context, from: SessionKey, topic: String) -> Result<Uri, Failure> {
    let topic = options::uri(topic, Match::Exact, cx.strictness)?;
    options::unreserved(&topic)?;
    cx.permit(from, Action::Publish, Match::Exact, topic.as_str())?;
    Ok(topic)
}
