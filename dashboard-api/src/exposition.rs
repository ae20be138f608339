//! Prometheus' text format, version 0.0.4: families with their samples, escaped and bounded. It must not know what is
//! measured.

use std::fmt::Write;

/// What Prometheus calls the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Characters of a label's value; what is longer is cut. Ids and names have 80 at most.
const MAX_LABEL: usize = 128;

/// How a family's values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up only, until the process starts anew.
    Counter,
}

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family: the samples that follow are its. A name begins a family once on a page.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.family = name;
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.family);
        for (at, (name, text)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            for character in text.chars().take(MAX_LABEL) {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A count as a sample's value.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that somebody chose must not end its label and begin a sample of its own.
    #[test]
    fn labels_cannot_break_out() {
        let mut page = Page::default();
        page.family("ecep_x", Kind::Gauge, "Help.");
        page.sample(&[("name", "a\"} 1\necep_y 2 \\"), ("id", &"x".repeat(500))], 1.5);
        page.single("ecep_z_total", Kind::Counter, "Help.", count(7_usize));
        let expected = format!(
            "# HELP ecep_x Help.\n# TYPE ecep_x gauge\necep_x{{name=\"a\\\"}} 1\\necep_y 2 \\\\\",id=\"{}\"}} 1.5\n\
             # HELP ecep_z_total Help.\n# TYPE ecep_z_total counter\necep_z_total 7\n",
            "x".repeat(MAX_LABEL)
        );
        assert_eq!(page.finish(), expected);
    }
}
