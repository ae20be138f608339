//! What the file can say: the keys, their comments, types, ranges and defaults, taken from the types that they are
//! read into. Everything that names a key (refusals, environment, documentation) goes by this.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// What may stand at a place.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A table with these keys.
    Table(BTreeMap<String, Key>),
    /// A list of these.
    List(Box<Shape>),
    /// One of these words, each with its comment.
    Word(Vec<(String, String)>),
    /// Any text: a name, a path, an address.
    Text,
    /// A whole number.
    Number { least: i64, most: i64 },
    /// `true` or `false`.
    Flag,
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) about: String,
    pub(super) required: bool,
    pub(super) default: Option<Value>,
    pub(super) shape: Shape,
}

/// The shape of the whole file.
pub(super) fn shape() -> &'static Shape {
    static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Shape::of(settings.into_generator().into_root_schema_for::<Config>().as_value())
    });
    &SHAPE
}

impl Shape {
    fn of(schema: &Value) -> Self {
        // What may be absent is `null` or something.
        let choices = schema["anyOf"].as_array().into_iter().flatten();
        if let Some(something) = choices.into_iter().find(|choice| choice["type"] != "null") {
            return Self::of(something);
        }
        if let Some(words) = words(schema) {
            return Self::Word(words);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap_or(&Value::Null),
            kind => kind,
        };
        match kind.as_str() {
            Some("object") => Self::table(schema),
            Some("array") => Self::List(Box::new(Self::of(&schema["items"]))),
            Some("integer") => Self::Number {
                least: schema["minimum"].as_i64().unwrap_or(0),
                most: schema["maximum"].as_i64().unwrap_or(i64::MAX),
            },
            Some("boolean") => Self::Flag,
            _ => Self::Text,
        }
    }

    fn table(schema: &Value) -> Self {
        let required = schema["required"].as_array();
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let keys = properties.map(|(name, property)| {
            let key = Key {
                about: about(property),
                required: is_required(name),
                default: property.get("default").filter(|default| !default.is_null()).cloned(),
                shape: Self::of(property),
            };
            (name.clone(), key)
        });
        Self::Table(keys.collect())
    }

    /// Whether it is a table, or a list of tables.
    pub(super) fn is_table(&self) -> bool {
        match self {
            Self::Table(_) => true,
            Self::List(shape) => shape.is_table(),
            _ => false,
        }
    }

    /// What must stand there, for people.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Table(_) => "a table".to_owned(),
            Self::List(shape) => match &**shape {
                Self::Word(_) => format!("a list of {}", shape.expected()),
                _ => "a list".to_owned(),
            },
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                words.join(" or ")
            }
            Self::Text => "a text".to_owned(),
            Self::Number { least, most: i64::MAX } => format!("a whole number from {least}"),
            Self::Number { least, most } => format!("a whole number from {least} to {most}"),
            Self::Flag => "true or false".to_owned(),
        }
    }
}

fn words(schema: &Value) -> Option<Vec<(String, String)>> {
    if let Some(words) = schema["enum"].as_array() {
        return Some(
            words.iter().filter_map(|word| Some((word.as_str()?.to_owned(), String::new()))).collect(),
        );
    }
    let words = schema["oneOf"].as_array()?.iter();
    Some(words.filter_map(|word| Some((word["const"].as_str()?.to_owned(), about(word)))).collect())
}

/// The comment, its lines joined.
fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}
