//! Holds what a file says against what it can say: every mistake is told with its place, and with what was meant.

use std::collections::BTreeMap;

use toml::Value;

use super::shape::{Key, Shape, shape};

/// A key counts as misspelt up to this part of its length; beyond it, it is another word.
const MISSPELT_PART: usize = 2;

/// What is wrong, in the order of the file's tables; nothing if it can be read.
pub(super) fn mistakes(value: &Value) -> Vec<String> {
    mistakes_at(shape(), value, "")
}

/// The same for what stands at one place.
pub(super) fn mistakes_at(shape: &Shape, value: &Value, path: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    look(shape, value, path, &mut mistakes);
    mistakes
}

fn look(shape: &Shape, value: &Value, path: &str, mistakes: &mut Vec<String>) {
    match (shape, value) {
        (Shape::Table(keys), Value::Table(table)) => {
            for (name, value) in table {
                let path = below(path, name);
                match keys.get(name) {
                    Some(key) => look(&key.shape, value, &path, mistakes),
                    None => mistakes.push(unknown(keys, name, &path)),
                }
            }
            for (name, key) in keys.iter().filter(|(name, key)| key.required && !table.contains_key(*name)) {
                mistakes.push(format!("{} is missing: {}", below(path, name), key.about));
            }
        }
        (Shape::List(shape), Value::Array(values)) => {
            for (number, value) in values.iter().enumerate() {
                look(shape, value, &format!("{path}[{number}]"), mistakes);
            }
        }
        (Shape::Word(words), Value::String(text)) if words.iter().any(|(word, _)| word == text) => {}
        (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Boolean(_)) => {}
        (Shape::Number { least, most }, Value::Integer(number)) if (least..=most).contains(&number) => {}
        (shape, value) => {
            mistakes.push(format!("{path} is {}; it must be {}", shown(value), shape.expected()));
        }
    }
}

/// The value if it is short, or else what it is.
fn shown(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        value => value.to_string(),
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Says that there is no such key, and which one may be meant.
pub(super) fn unknown(keys: &BTreeMap<String, Key>, name: &str, path: &str) -> String {
    let place = &path[..path.len() - name.len()];
    let nearest = keys.keys().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let is_near = |known: &&String| {
        strsim::damerau_levenshtein(known, name) * MISSPELT_PART <= known.len().max(name.len())
    };
    if let Some(known) = nearest.filter(is_near) {
        return format!("{path} is no known key; the nearest is {place}{known}");
    }
    if let Some(elsewhere) = find(shape(), name, "") {
        return format!("{path} is no known key; there is {elsewhere}");
    }
    let known: Vec<&str> = keys.keys().map(String::as_str).collect();
    format!("{path} is no known key; there are {}", known.join(", "))
}

/// Where a key of exactly this name is.
fn find(shape: &Shape, name: &str, path: &str) -> Option<String> {
    match shape {
        Shape::Table(keys) if keys.contains_key(name) => Some(below(path, name)),
        Shape::Table(keys) => {
            keys.iter().find_map(|(key, value)| find(&value.shape, name, &below(path, key)))
        }
        Shape::List(shape) => find(shape, name, &format!("{path}[]")),
        _ => None,
    }
}
