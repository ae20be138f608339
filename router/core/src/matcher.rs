//! Which patterns cover a URI: a table from (match, pattern) to something, and its search.
//!
//! Exact patterns are looked up, prefixes found by walking down a sorted map, wildcards by a tree of components.
//! Must not know what the patterns stand for.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use ecep_proto::uri::Match;

/// Patterns, each with a value.
#[derive(Debug)]
pub(crate) struct PatternMap<V> {
    exact: HashMap<String, V>,
    prefix: BTreeMap<String, V>,
    wildcard: Node<V>,
}

#[derive(Debug)]
struct Node<V> {
    value: Option<V>,
    /// By component; the empty component stands for any.
    children: HashMap<String, Node<V>>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { value: None, children: HashMap::new() }
    }
}

impl<V> Default for PatternMap<V> {
    fn default() -> Self {
        Self { exact: HashMap::new(), prefix: BTreeMap::new(), wildcard: Node::default() }
    }
}

impl<V: Copy> PatternMap<V> {
    pub(crate) fn get(&self, kind: Match, pattern: &str) -> Option<V> {
        match kind {
            Match::Exact => self.exact.get(pattern).copied(),
            Match::Prefix => self.prefix.get(pattern).copied(),
            Match::Wildcard => {
                let mut node = &self.wildcard;
                for component in pattern.split('.') {
                    node = node.children.get(component)?;
                }
                node.value
            }
        }
    }

    pub(crate) fn insert(&mut self, kind: Match, pattern: &str, value: V) {
        match kind {
            Match::Exact => {
                self.exact.insert(pattern.to_owned(), value);
            }
            Match::Prefix => {
                self.prefix.insert(pattern.to_owned(), value);
            }
            Match::Wildcard => {
                let mut node = &mut self.wildcard;
                for component in pattern.split('.') {
                    node = node.children.entry(component.to_owned()).or_default();
                }
                node.value = Some(value);
            }
        }
    }

    pub(crate) fn remove(&mut self, kind: Match, pattern: &str) {
        match kind {
            Match::Exact => {
                self.exact.remove(pattern);
            }
            Match::Prefix => {
                self.prefix.remove(pattern);
            }
            Match::Wildcard => {
                let components: Vec<&str> = pattern.split('.').collect();
                self.wildcard.remove(&components);
            }
        }
    }

    /// The values of all patterns that cover the URI: exact, then prefixes from the longest, then wildcards from
    /// the most selective.
    pub(crate) fn covering(&self, uri: &str) -> Vec<V> {
        let mut found = Vec::new();
        self.covering_into(uri, &mut found);
        found
    }

    /// The same, added to a list that the caller has.
    pub(crate) fn covering_into(&self, uri: &str, found: &mut Vec<V>) {
        found.extend(self.exact.get(uri).copied());
        found.extend(self.prefixes(uri));
        if !self.wildcard.children.is_empty() {
            let components: Vec<&str> = uri.split('.').collect();
            self.wildcard.collect(&components, found);
        }
    }

    /// The first of [`PatternMap::covering`].
    pub(crate) fn best(&self, uri: &str) -> Option<V> {
        if let Some(value) = self.exact.get(uri) {
            return Some(*value);
        }
        let longest = self.prefixes(uri).next();
        if longest.is_some() || self.wildcard.children.is_empty() {
            return longest;
        }
        let components: Vec<&str> = uri.split('.').collect();
        self.wildcard.first(&components)
    }

    /// From the longest.
    ///
    /// Each step looks at the greatest pattern that could still be a prefix, and shortens what it looks for to
    /// what the two have in common, so the cost is one search for each step down, not for each pattern.
    fn prefixes<'a>(&'a self, uri: &'a str) -> impl Iterator<Item = V> + 'a {
        let mut bound = Bound::Included(uri);
        std::iter::from_fn(move || {
            while let Some((pattern, value)) =
                self.prefix.range::<str, _>((Bound::Unbounded, bound)).next_back()
            {
                if uri.starts_with(pattern.as_str()) {
                    bound = Bound::Excluded(pattern.as_str());
                    return Some(*value);
                }
                let common = uri
                    .char_indices()
                    .zip(pattern.chars())
                    .find(|((_, has), want)| has != want)
                    .map_or(uri.len(), |((at, _), _)| at);
                bound = Bound::Included(&uri[..common]);
            }
            None
        })
    }
}

impl<V: Copy> Node<V> {
    fn collect(&self, components: &[&str], found: &mut Vec<V>) {
        let Some((first, rest)) = components.split_first() else {
            found.extend(self.value);
            return;
        };
        for component in [first, ""] {
            if let Some(child) = self.children.get(component) {
                child.collect(rest, found);
            }
        }
    }

    /// The first that `collect` finds.
    fn first(&self, components: &[&str]) -> Option<V> {
        let Some((first, rest)) = components.split_first() else { return self.value };
        [first, ""].into_iter().find_map(|component| self.children.get(component)?.first(rest))
    }

    fn remove(&mut self, components: &[&str]) {
        let Some((first, rest)) = components.split_first() else {
            self.value = None;
            return;
        };
        if let Some(child) = self.children.get_mut(*first) {
            child.remove(rest);
            if child.value.is_none() && child.children.is_empty() {
                self.children.remove(*first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = Match> {
        prop_oneof![Just(Match::Exact), Just(Match::Prefix), Just(Match::Wildcard)]
    }

    proptest! {
        /// Whatever was inserted and removed, the search finds exactly the patterns that cover the URI.
        #[test]
        fn finds_what_covers(
            operations in prop::collection::vec((any::<bool>(), kind(), "[ab]{0,2}(\\.[ab]{0,2}){0,2}"), 0..60),
            uris in prop::collection::vec("[ab]{1,2}(\\.[ab]{1,2}){0,2}", 1..20),
        ) {
            let mut map = PatternMap::default();
            let mut model: Vec<(Match, String, usize)> = Vec::new();
            for (number, (insert, kind, pattern)) in operations.into_iter().enumerate() {
                model.retain(|(k, p, _)| (*k, p) != (kind, &pattern));
                if insert {
                    map.insert(kind, &pattern, number);
                    model.push((kind, pattern, number));
                } else {
                    map.remove(kind, &pattern);
                    prop_assert_eq!(map.get(kind, &pattern), None);
                }
            }
            for uri in uris {
                let mut found = map.covering(&uri);
                prop_assert_eq!(map.best(&uri), found.first().copied());
                found.sort_unstable();
                let mut expected: Vec<usize> =
                    model.iter().filter(|(k, p, _)| k.covers(p, &uri)).map(|(.., n)| *n).collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected, "{}", uri);
            }
            for (kind, pattern, number) in &model {
                prop_assert_eq!(map.get(*kind, pattern), Some(*number));
            }
        }
    }

    /// Subscriptions come and go for months: nothing of a removed wildcard may stay in the tree.
    #[test]
    fn a_removed_wildcard_leaves_nothing() {
        let mut map = PatternMap::default();
        map.insert(Match::Wildcard, "a..c", 1);
        map.insert(Match::Wildcard, "a..c.d", 2);
        map.remove(Match::Wildcard, "a..c");
        assert_eq!(map.covering("a.b.c.d"), [2]);
        map.remove(Match::Wildcard, "a..c.d");
        assert!(map.wildcard.children.is_empty());
    }
}
