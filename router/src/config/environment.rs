//! Overrides from the environment: `ECEP_ROUTER__LIMITS__MAX_CONNECTIONS=50` is `limits.max_connections = 50`.
//!
//! The parts between double underscores are the keys, in capitals; a place in a list is its number, from 0, and the
//! number after the last adds one. Text stands as it is; anything else is written as in the file.

use toml::{Table, Value};

use super::mistakes::{mistakes_at, unknown};
use super::shape::{Shape, shape};

/// What every variable begins with.
pub const PREFIX: &str = "ECEP_ROUTER__";

/// Puts the variables into the file's table; what is wrong with those that don't fit.
pub(super) fn override_by(
    file: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut variables: Vec<(String, String)> =
        variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // A list grows in the order of its numbers.
    variables.sort_by(|(a, _), (b, _)| numbers_as_such(a).cmp(&numbers_as_such(b)));
    let mut root = Value::Table(std::mem::take(file));
    let mut mistakes = Vec::new();
    for (name, text) in variables {
        let path = name[PREFIX.len()..].to_lowercase();
        let parts: Vec<&str> = path.split("__").collect();
        if let Err(mistake) = set(shape(), &mut root, &parts, "", &text) {
            mistakes.push(format!("{name}: {mistake}"));
        }
    }
    if let Value::Table(table) = root {
        *file = table;
    }
    mistakes
}

fn numbers_as_such(name: &str) -> Vec<Result<usize, &str>> {
    name.split("__").map(|part| part.parse().map_err(|_| part)).collect()
}

/// Puts the text where the parts lead from here.
fn set(shape: &Shape, at: &mut Value, parts: &[&str], path: &str, text: &str) -> Result<(), String> {
    let Some((part, rest)) = parts.split_first() else {
        let value = value(shape, text).unwrap_or_else(|| Value::String(text.to_owned()));
        let mistakes = mistakes_at(shape, &value, path);
        if mistakes.is_empty() {
            *at = value;
            return Ok(());
        }
        return Err(mistakes.join("; "));
    };
    match (shape, at) {
        (Shape::Table(keys), Value::Table(table)) => {
            let path = if path.is_empty() { (*part).to_owned() } else { format!("{path}.{part}") };
            let key = keys.get(*part).ok_or_else(|| unknown(keys, part, &path))?;
            let next = table.entry(*part).or_insert_with(|| empty(&key.shape));
            set(&key.shape, next, rest, &path, text)
        }
        (Shape::List(shape), Value::Array(values)) => {
            let length = values.len();
            let number = part.parse::<usize>().ok().filter(|number| *number <= length).ok_or_else(|| {
                format!("{path} has {length} entries, so the next part must be a number from 0 to {length}, not {part}")
            })?;
            if number == length {
                values.push(empty(shape));
            }
            set(shape, &mut values[number], rest, &format!("{path}[{number}]"), text)
        }
        // The file's own mistake, which is told with it.
        (Shape::Table(_) | Shape::List(_), _) => Ok(()),
        (shape, _) => Err(format!("{path} is {}; there is nothing below it", shape.expected())),
    }
}

fn empty(shape: &Shape) -> Value {
    match shape {
        Shape::List(_) => Value::Array(Vec::new()),
        _ => Value::Table(Table::new()),
    }
}

fn value(shape: &Shape, text: &str) -> Option<Value> {
    match shape {
        Shape::Text | Shape::Word(_) => Some(Value::String(text.to_owned())),
        _ => toml::from_str::<Table>(&format!("value = {text}")).ok()?.remove("value"),
    }
}
