//! What a codec reads, part by part, and who takes the parts: a walk over bytes builds a value, measures it, or
//! writes it in another codec, and none of these needs the value in memory but the first.

use crate::value::{Dict, Value};

/// What a dictionary counts in [`Tree`]: a small one takes as much memory as this many plain values.
const MAP_WEIGHT: usize = 24;

/// Takes the parts of a value, in the order of the bytes.
pub(crate) trait Sink {
    /// Whether it wants to know what texts and bytes say; else it may be given empty ones.
    const READS: bool = true;

    fn null(&mut self);
    fn boolean(&mut self, flag: bool);
    fn signed(&mut self, number: i64);
    fn unsigned(&mut self, number: u64);
    fn float(&mut self, number: f64);
    fn text(&mut self, text: &str);
    fn bytes(&mut self, bytes: &[u8]);
    /// A list begins; how many items it has, if that is known by now.
    fn list(&mut self, length: Option<usize>);
    fn end_list(&mut self);
    /// A dictionary begins.
    fn map(&mut self, length: Option<usize>);
    fn key(&mut self, key: &str);
    fn end_map(&mut self);
}

/// Gives the parts of a value that is in memory.
pub(crate) fn feed<S: Sink>(value: &Value, sink: &mut S) {
    match value {
        Value::Null => sink.null(),
        Value::Bool(flag) => sink.boolean(*flag),
        Value::Int(number) => sink.signed(*number),
        Value::Uint(number) => sink.unsigned(*number),
        Value::Float(number) => sink.float(*number),
        Value::Str(text) => sink.text(text),
        Value::Bytes(bytes) => sink.bytes(bytes),
        Value::List(list) => feed_list(list, sink),
        Value::Map(map) => feed_map(map, sink),
    }
}

/// The same of a list.
pub(crate) fn feed_list<S: Sink>(list: &[Value], sink: &mut S) {
    sink.list(Some(list.len()));
    list.iter().for_each(|item| feed(item, sink));
    sink.end_list();
}

/// The same of a dictionary.
pub(crate) fn feed_map<S: Sink>(map: &Dict, sink: &mut S) {
    sink.map(Some(map.len()));
    for (key, value) in map {
        sink.key(key);
        feed(value, sink);
    }
    sink.end_map();
}

/// Learns what kind of value it is and whether there is anything in it.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The kind, as [`Value::kind`] names it.
    pub(crate) kind: &'static str,
    /// How many parts there were: one if the value is a list or dictionary with nothing in it.
    parts: usize,
}

impl Shape {
    fn part(&mut self, kind: &'static str) {
        if self.parts == 0 {
            self.kind = kind;
        }
        self.parts += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts <= 1
    }
}

impl Sink for Shape {
    const READS: bool = false;

    fn null(&mut self) {
        self.part("null");
    }
    fn boolean(&mut self, _: bool) {
        self.part("a boolean");
    }
    fn signed(&mut self, _: i64) {
        self.part("an integer");
    }
    fn unsigned(&mut self, _: u64) {
        self.part("an integer");
    }
    fn float(&mut self, _: f64) {
        self.part("a float");
    }
    fn text(&mut self, _: &str) {
        self.part("a string");
    }
    fn bytes(&mut self, _: &[u8]) {
        self.part("bytes");
    }
    fn list(&mut self, _: Option<usize>) {
        self.part("a list");
    }
    fn end_list(&mut self) {}
    fn map(&mut self, _: Option<usize>) {
        self.part("a dictionary");
    }
    fn key(&mut self, _: &str) {}
    fn end_map(&mut self) {}
}

/// Takes an integer of 0 or more; of anything else, the kind.
#[derive(Debug, Default)]
pub(crate) struct Number {
    pub(crate) number: Option<u64>,
    pub(crate) shape: Shape,
}

impl Sink for Number {
    fn null(&mut self) {
        self.shape.null();
    }
    fn boolean(&mut self, flag: bool) {
        self.shape.boolean(flag);
    }
    fn signed(&mut self, number: i64) {
        self.number = u64::try_from(number).ok();
        self.shape.signed(number);
    }
    fn unsigned(&mut self, number: u64) {
        self.number = Some(number);
        self.shape.unsigned(number);
    }
    fn float(&mut self, number: f64) {
        self.shape.float(number);
    }
    fn text(&mut self, text: &str) {
        self.shape.text(text);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.shape.bytes(bytes);
    }
    fn list(&mut self, length: Option<usize>) {
        self.shape.list(length);
    }
    fn end_list(&mut self) {}
    fn map(&mut self, length: Option<usize>) {
        self.shape.map(length);
    }
    fn key(&mut self, _: &str) {}
    fn end_map(&mut self) {}
}

/// Counts what is in each list and dictionary, for codecs that say so before the content.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    counts: Vec<u32>,
    /// Where the counts of what is open are.
    open: Vec<usize>,
}

impl Counter {
    fn item(&mut self) {
        if let Some(count) = self.open.last().and_then(|at| self.counts.get_mut(*at)) {
            *count += 1;
        }
    }

    fn begin(&mut self) {
        self.item();
        self.open.push(self.counts.len());
        self.counts.push(0);
    }

    /// The counts, in the order in which lists and dictionaries begin.
    pub(crate) fn into_counts(self) -> Vec<u32> {
        self.counts
    }
}

impl Sink for Counter {
    const READS: bool = false;

    fn null(&mut self) {
        self.item();
    }
    fn boolean(&mut self, _: bool) {
        self.item();
    }
    fn signed(&mut self, _: i64) {
        self.item();
    }
    fn unsigned(&mut self, _: u64) {
        self.item();
    }
    fn float(&mut self, _: f64) {
        self.item();
    }
    fn text(&mut self, _: &str) {
        self.item();
    }
    fn bytes(&mut self, _: &[u8]) {
        self.item();
    }
    fn list(&mut self, _: Option<usize>) {
        self.begin();
    }
    fn end_list(&mut self) {
        self.open.pop();
    }
    fn map(&mut self, _: Option<usize>) {
        self.begin();
    }
    fn key(&mut self, _: &str) {}
    fn end_map(&mut self) {
        self.open.pop();
    }
}

/// Builds the value, as long as it stays within a bound of memory.
#[derive(Debug)]
pub(crate) struct Tree {
    open: Vec<Open>,
    done: Option<Value>,
    left: Option<usize>,
}

#[derive(Debug)]
enum Open {
    List(Vec<Value>),
    /// With the key of the value that comes next.
    Map(Dict, String),
}

impl Tree {
    /// Takes no more than this many values; a dictionary counts as many.
    pub(crate) fn new(limit: usize) -> Self {
        Self { open: Vec::new(), done: None, left: Some(limit) }
    }

    /// The value, and how much of the limit is left; none if it went beyond the limit.
    pub(crate) fn finish(self) -> Option<(Value, usize)> {
        Some((self.done?, self.left?))
    }

    /// Whether it still has room; once it has none, it takes nothing any more.
    fn take(&mut self, weight: usize) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(weight));
        if self.left.is_none() {
            self.open = Vec::new();
        }
        self.left.is_some()
    }

    fn leaf(&mut self, value: impl FnOnce() -> Value) {
        if self.take(1) {
            self.put(value());
        }
    }

    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => {
                map.insert(std::mem::take(key), value);
            }
        }
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Open::List(list)) => self.put(Value::List(list)),
            Some(Open::Map(map, _)) => self.put(Value::Map(map)),
            None => {}
        }
    }
}

impl Sink for Tree {
    fn null(&mut self) {
        self.leaf(|| Value::Null);
    }
    fn boolean(&mut self, flag: bool) {
        self.leaf(|| Value::Bool(flag));
    }
    fn signed(&mut self, number: i64) {
        self.leaf(|| Value::Int(number));
    }
    fn unsigned(&mut self, number: u64) {
        self.leaf(|| Value::from(number));
    }
    fn float(&mut self, number: f64) {
        self.leaf(|| Value::Float(number));
    }
    fn text(&mut self, text: &str) {
        self.leaf(|| Value::from(text));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.leaf(|| Value::Bytes(bytes.to_vec()));
    }
    fn list(&mut self, _: Option<usize>) {
        // The claimed length is not trusted: memory grows only with values that are really there.
        if self.take(1) {
            self.open.push(Open::List(Vec::new()));
        }
    }
    fn end_list(&mut self) {
        self.end();
    }
    fn map(&mut self, _: Option<usize>) {
        if self.take(MAP_WEIGHT) {
            self.open.push(Open::Map(Dict::new(), String::new()));
        }
    }
    fn key(&mut self, name: &str) {
        if let Some(Open::Map(_, key)) = self.open.last_mut() {
            name.clone_into(key);
        }
    }
    fn end_map(&mut self) {
        self.end();
    }
}
