//! Reads Prometheus' text format as strictly as it is written down, and by Prometheus' own tool where there is one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

/// A sample: its labels and its value.
pub type Sample = (BTreeMap<String, String>, f64);

/// The samples by the names of their families; panics at whatever Prometheus would refuse or complain of.
pub fn parse(page: &str) -> BTreeMap<String, Vec<Sample>> {
    assert!(page.is_empty() || page.ends_with('\n'), "the last line has no end");
    let mut families: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    let (mut helped, mut current) = (None, None);
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            helped = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "{line}: HELP comes right before TYPE");
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}: counters end in _total");
            assert!(families.insert(name.to_owned(), Vec::new()).is_none(), "{name} comes twice");
            current = Some(name.to_owned());
        } else {
            let name = current.as_deref().unwrap();
            let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line}: not of {name}"));
            let (labels, value) = labels(rest);
            let value = value.strip_prefix(' ').unwrap().parse::<f64>().unwrap();
            assert!(seen.insert((name.to_owned(), labels.clone())), "{line}: comes twice");
            families.get_mut(name).unwrap().push((labels, value));
        }
    }
    families
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(good)
}

fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (labels, text) };
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(is_name(name), "{text}");
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().unwrap() {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match characters.next().unwrap().1 {
                    'n' => '\n',
                    other @ ('\\' | '"') => other,
                    other => panic!("{text}: \\{other} is no escape"),
                }),
                (_, other) => value.push(other),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{text}: {name} comes twice");
        rest = match after[end..].strip_prefix(',') {
            Some(rest) => rest,
            None => return (labels, after[end..].strip_prefix('}').unwrap()),
        };
    }
}

/// The value of the one sample with these labels.
pub fn value(families: &BTreeMap<String, Vec<Sample>>, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    let fits = |labels: &BTreeMap<String, String>| {
        wanted.iter().all(|(name, value)| labels.get(*name).is_some_and(|known| known == value))
    };
    families.get(name)?.iter().find(|(labels, _)| fits(labels)).map(|(_, value)| *value)
}

/// Has `promtool` (Debian package `prometheus`) read the page, where the machine has it.
pub fn check_by_promtool(page: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = started else { return };
    tool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "promtool: {said}{}\n{page}", String::from_utf8_lossy(&output.stdout));
}
