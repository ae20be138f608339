//! Who may get an event, as its publisher wants it (specification, "Subscriber Black- and Whitelisting").

use ecep_proto::id::SessionId;
use ecep_proto::value::{Dict, Value};

use crate::options::{self, Failure};
use crate::session::Session;

/// The lists of one publication. Sorted, so that many subscribers are compared with long lists quickly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    exclude: Vec<SessionId>,
    exclude_authid: Vec<String>,
    exclude_authrole: Vec<String>,
    /// None lets everybody pass, an empty list nobody.
    eligible: Option<Vec<SessionId>>,
    eligible_authid: Option<Vec<String>>,
    eligible_authrole: Option<Vec<String>>,
}

impl Filter {
    /// Reads the options of a PUBLISH; none if there are no lists.
    pub(crate) fn read(options: &Dict) -> Result<Option<Box<Self>>, Failure> {
        let filter = Self {
            exclude: sessions(options, "exclude")?.unwrap_or_default(),
            exclude_authid: texts(options, "exclude_authid")?.unwrap_or_default(),
            exclude_authrole: texts(options, "exclude_authrole")?.unwrap_or_default(),
            eligible: sessions(options, "eligible")?,
            eligible_authid: texts(options, "eligible_authid")?,
            eligible_authrole: texts(options, "eligible_authrole")?,
        };
        let lets_all_pass = filter.eligible.is_none()
            && filter.eligible_authid.is_none()
            && filter.eligible_authrole.is_none()
            && filter.exclude.is_empty()
            && filter.exclude_authid.is_empty()
            && filter.exclude_authrole.is_empty();
        Ok((!lets_all_pass).then(|| Box::new(filter)))
    }

    /// Its bytes, about.
    pub(crate) fn size(&self) -> usize {
        let ids = self.exclude.len() + self.eligible.as_ref().map_or(0, Vec::len);
        let of_texts =
            |list: &Vec<String>| list.iter().map(|text| size_of::<String>() + text.len()).sum::<usize>();
        let listed = [&self.eligible_authid, &self.eligible_authrole];
        size_of::<Self>()
            + ids * size_of::<SessionId>()
            + of_texts(&self.exclude_authid)
            + of_texts(&self.exclude_authrole)
            + listed.into_iter().flatten().map(of_texts).sum::<usize>()
    }

    /// Whether this session may get the event.
    pub(crate) fn passes(&self, session: &Session) -> bool {
        let (authid, authrole) = (&session.identity.authid, &session.identity.authrole);
        let listed = |list: &Option<Vec<String>>, text| list.as_ref().is_none_or(|list| holds(list, text));
        self.eligible.as_ref().is_none_or(|list| holds(list, &session.id))
            && listed(&self.eligible_authid, authid)
            && listed(&self.eligible_authrole, authrole)
            && !holds(&self.exclude, &session.id)
            && !holds(&self.exclude_authid, authid)
            && !holds(&self.exclude_authrole, authrole)
    }
}

fn holds<T: Ord>(sorted: &[T], wanted: &T) -> bool {
    sorted.binary_search(wanted).is_ok()
}

fn sessions(options: &Dict, name: &str) -> Result<Option<Vec<SessionId>>, Failure> {
    list(options, name, "a list of session ids", |value| value.as_id().and_then(SessionId::new))
}

fn texts(options: &Dict, name: &str) -> Result<Option<Vec<String>>, Failure> {
    list(options, name, "a list of strings", |value| value.as_str().map(str::to_owned))
}

fn list<T: Ord>(
    options: &Dict,
    name: &str,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<Vec<T>>, Failure> {
    let entries = match options.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::List(entries)) => entries,
        Some(other) => return Err(options::wrong(name, expected, other.kind())),
    };
    let read = |entry| {
        read(entry).ok_or_else(|| options::wrong(name, expected, &format!("a list with {}", entry.kind())))
    };
    let mut list = entries.iter().map(read).collect::<Result<Vec<T>, Failure>>()?;
    list.sort_unstable();
    Ok(Some(list))
}
