//! The reference of the configuration as Markdown: `docs/router-config.md` is this text (a test checks that it is
//! fresh).

use std::collections::BTreeMap;

use super::environment::PREFIX;
use super::shape::{Key, Shape, shape};

/// Writes the reference.
pub fn reference() -> String {
    let mut text = format!(
        "# The router's configuration\n\n\
         Written by `ecep-router reference`; the words are the comments in `router/src/config`.\n\n\
         `ecep-router run --config FILE` reads one TOML file. Unknown keys, wrong types and numbers out of range are \
         refused with their place and the nearest key that there is. With `--print-config` the router prints all that \
         it would run with, every default included, and ends; the output is a configuration itself. Secrets stand in \
         files of their own and are never printed. A path that does not begin with `/` starts at the folder that the \
         router was started in.\n\n\
         The environment goes before the file: `{PREFIX}LIMITS__MAX_CONNECTIONS=50` is `limits.max_connections = 50`, \
         `{PREFIX}LISTEN__0__ADDRESS=0.0.0.0:80` the address of the first listener. Text is taken as it stands, \
         anything else is written as in the file. Variables that begin with `{PREFIX}` and name no key are refused.\n\n\
         SIGHUP reads file, environment, tickets and certificates again (certificates also when their files change). What is wrong changes nothing, and the log says why. Principals, \
         roles and limits change at once, also for the sessions that are there; a few limits hold for new connections \
         only, and say so. A principal that is gone, or has another \
         ticket, is told so and closed. Listeners, `[http]`, whether `[platform]` is there, a realm's `strict_uris` and `strict_request_ids`, and the \
         removal of a realm need a new start, and are refused with a sentence.\n\n\
         ## An example\n\n```toml\n{EXAMPLE}```\n"
    );
    if let Shape::Table(keys) = shape() {
        tables(&mut text, "", keys);
    }
    text
}

/// What most routers need.
const EXAMPLE: &str = include_str!("example.toml");

/// The tables among these keys, each followed by those below it.
fn tables(text: &mut String, path: &str, keys: &BTreeMap<String, Key>) {
    for (name, key) in keys {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (title, shape) = match &key.shape {
            Shape::List(shape) => (format!("[[{path}]]"), &**shape),
            shape => (format!("[{path}]"), shape),
        };
        let Shape::Table(keys) = shape else { continue };
        text.push_str(&format!("\n## `{title}`\n\n{}\n\n", key.about));
        text.push_str("| key | value | default | what for |\n|---|---|---|---|\n");
        for (name, key) in keys.iter().filter(|(_, key)| !key.shape.is_table()) {
            let default = default(key);
            text.push_str(&format!("| `{name}` | {} | {default} | {} |\n", key.shape.expected(), about(key)));
        }
        tables(text, &path, keys);
    }
}

fn default(key: &Key) -> String {
    match &key.default {
        Some(default) => format!("`{default}`"),
        None if key.required => "required".to_owned(),
        None => "none".to_owned(),
    }
}

/// The comment, with those of the words that may stand there.
fn about(key: &Key) -> String {
    let words = match &key.shape {
        Shape::Word(words) => words.as_slice(),
        Shape::List(shape) => match &**shape {
            Shape::Word(words) => words.as_slice(),
            _ => &[],
        },
        _ => &[],
    };
    let words = words.iter().map(|(word, about)| format!(" `{word}`: {about}"));
    words.fold(key.about.clone(), |text, word| text + &word)
}
