//! Dockerfiles of tenants, read before the engine reads them: every image that one names is found out, so that it can be judged, and
//! what is written for the engine names those images by their ids. The engine gets nothing that was not understood here: no escape
//! of its own, one instruction a line, no instruction that is not known. Pure text.

use std::collections::{BTreeMap, BTreeSet};

use super::architecture;

/// A Dockerfile of more bytes than this is none.
pub(crate) const MAX_BYTES: u64 = 256 * 1024;
/// Lengths of a value after its variables are put in.
const MAX_VALUE: usize = 1024;

/// The instructions that exist (Dockerfile reference), but for those that are read here in particular.
const OTHERS: &[&str] = &[
    "CMD",
    "LABEL",
    "MAINTAINER",
    "EXPOSE",
    "ENV",
    "ENTRYPOINT",
    "VOLUME",
    "USER",
    "WORKDIR",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
    "RUN",
];
/// A base without anything.
const SCRATCH: &str = "scratch";

/// Why a Dockerfile is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Dockerfile, line {line}: {what}")]
pub(crate) struct DockerfileError {
    line: usize,
    what: String,
}

/// A Dockerfile that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    instructions: Vec<Instruction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Instruction {
    From {
        image: Image,
        stage: Option<String>,
    },
    /// A COPY out of an image.
    Copy {
        flags: Vec<String>,
        from: Image,
        rest: String,
    },
    /// As it was written, in one line.
    Plain(String),
}

/// What FROM and COPY name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Image {
    /// Something of this Dockerfile, or nothing.
    Own(String),
    /// An image of the engine, or of a registry.
    Named(String),
}

impl Dockerfile {
    /// Reads it, for a device that calls its architecture so (`uname -m`).
    ///
    /// # Errors
    /// What is not taken, with its line.
    pub(crate) fn read(text: &str, machine: &str) -> Result<Self, DockerfileError> {
        let mut reader = Reader::new(machine);
        for (line, text) in logical_lines(text)? {
            let instruction = reader.instruction(&text).map_err(|what| DockerfileError { line, what })?;
            reader.instructions.push(instruction);
        }
        if reader.stages.is_empty() && !reader.is_in_stage {
            return Err(DockerfileError { line: 1, what: "there is no FROM".to_owned() });
        }
        Ok(Self { instructions: reader.instructions })
    }

    /// The images that it names.
    pub(crate) fn images(&self) -> BTreeSet<&str> {
        let named = self.instructions.iter().filter_map(|instruction| match instruction {
            Instruction::From { image: Image::Named(name), .. }
            | Instruction::Copy { from: Image::Named(name), .. } => Some(name.as_str()),
            _ => None,
        });
        named.collect()
    }

    /// The text for the engine: each image by the id that `ids` has for it.
    pub(crate) fn written(&self, ids: &BTreeMap<String, String>) -> String {
        let called = |image: &Image| match image {
            Image::Own(name) => name.clone(),
            Image::Named(name) => ids.get(name).unwrap_or(name).clone(),
        };
        let mut text = String::new();
        for instruction in &self.instructions {
            match instruction {
                Instruction::From { image, stage } => {
                    text.push_str(&format!("FROM {}", called(image)));
                    if let Some(stage) = stage {
                        text.push_str(&format!(" AS {stage}"));
                    }
                }
                Instruction::Copy { flags, from, rest } => {
                    text.push_str("COPY ");
                    flags.iter().for_each(|flag| text.push_str(&format!("{flag} ")));
                    text.push_str(&format!("--from={} {rest}", called(from)));
                }
                Instruction::Plain(line) => text.push_str(line),
            }
            text.push('\n');
        }
        text
    }
}

/// Judges what a base image does at once when something is built from it: it is written by somebody else, and reaches the engine as
/// it is.
///
/// # Errors
/// What is not taken.
pub(crate) fn check_trigger(trigger: &str) -> Result<(), String> {
    let (word, rest) = split_word(trigger.trim());
    match word.to_ascii_uppercase().as_str() {
        "COPY" if rest.contains("--from") || rest.contains('\\') => {
            Err(format!("it would copy out of another image ({trigger})"))
        }
        "COPY" => Ok(()),
        "ADD" => check_add(rest),
        other if OTHERS.contains(&other) || other == "ARG" => Ok(()),
        _ => Err(format!("{word:?} is not understood")),
    }
}

struct Reader<'a> {
    machine: &'a str,
    instructions: Vec<Instruction>,
    /// Variables before the first FROM; none where the value is not understood.
    variables: BTreeMap<String, Option<String>>,
    /// Stages that are over, with their names.
    stages: Vec<Option<String>>,
    is_in_stage: bool,
    stage: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(machine: &'a str) -> Self {
        let platform = architecture::platform(machine);
        // A device builds for itself, so both are the same.
        let known = ["BUILDPLATFORM", "TARGETPLATFORM"];
        let variables = known.map(|name| (name.to_owned(), Some(platform.clone()))).into();
        Self {
            machine,
            instructions: Vec::new(),
            variables,
            stages: Vec::new(),
            is_in_stage: false,
            stage: None,
        }
    }

    fn instruction(&mut self, line: &str) -> Result<Instruction, String> {
        let (word, rest) = split_word(line);
        let word = word.to_ascii_uppercase();
        if !self.is_in_stage && !matches!(word.as_str(), "FROM" | "ARG") {
            return Err(format!("{word} comes before FROM"));
        }
        if matches!(word.as_str(), "RUN" | "COPY" | "ADD") && begins_document(rest) {
            return Err("a document within the Dockerfile (<<) is not taken; put it into a file of its own"
                .to_owned());
        }
        let plain = || Ok(Instruction::Plain(format!("{word} {rest}")));
        match word.as_str() {
            "FROM" => self.from(rest),
            "ARG" => {
                if !self.is_in_stage {
                    self.argument(rest);
                }
                plain()
            }
            "COPY" => self.copy(rest),
            "ADD" => {
                check_add(rest)?;
                plain()
            }
            "ONBUILD" => {
                check_trigger(rest)?;
                plain()
            }
            other if OTHERS.contains(&other) => {
                if other == "RUN" && rest.starts_with("--") {
                    return Err(
                        "RUN takes no flags here, as they need another builder; leave them out".to_owned()
                    );
                }
                plain()
            }
            _ => Err(format!("{word:?} is no instruction")),
        }
    }

    fn from(&mut self, rest: &str) -> Result<Instruction, String> {
        if self.is_in_stage {
            self.stages.push(self.stage.take());
        }
        let mut words: Vec<&str> = rest.split_ascii_whitespace().collect();
        if let Some(platform) = words.first().and_then(|word| word.strip_prefix("--platform=")) {
            self.check_platform(platform)?;
            words.remove(0);
        }
        let (image, stage) = match words.as_slice() {
            [image] => (*image, None),
            [image, as_word, stage] if as_word.eq_ignore_ascii_case("as") => (*image, Some(*stage)),
            _ => return Err("FROM is written `FROM image` or `FROM image AS name`".to_owned()),
        };
        let stage = stage.map(str::to_ascii_lowercase);
        if stage.as_deref().is_some_and(|stage| !is_stage_name(stage)) {
            return Err("the stage's name begins with a letter and has only letters, digits, '-', '_', '.'"
                .to_owned());
        }
        let written = image;
        let image = self.expanded(written)?;
        // The engine would look further for a name, and take what begins so for a flag.
        if image.is_empty() || image.starts_with('-') {
            return Err(format!(
                "FROM {written} names no image; give its variables values before the first FROM"
            ));
        }
        let image = if image == SCRATCH || self.is_stage(&image) {
            Image::Own(image.to_ascii_lowercase())
        } else {
            Image::Named(image)
        };
        self.is_in_stage = true;
        self.stage.clone_from(&stage);
        Ok(Instruction::From { image, stage })
    }

    /// A device builds for itself alone: its engine would build for itself whatever stands there, and what comes of it would not be
    /// what its writer meant.
    fn check_platform(&self, wanted: &str) -> Result<(), String> {
        let platform = self.expanded(wanted)?;
        if architecture::is_own(self.machine, &platform) {
            return Ok(());
        }
        Err(format!(
            "FROM is for the platform {platform:?}, this device is {} and builds for itself alone; leave --platform out, or choose \
             a device of that platform",
            architecture::platform(self.machine)
        ))
    }

    fn copy(&self, rest: &str) -> Result<Instruction, String> {
        let (mut flags, mut from, mut rest) = (Vec::new(), None, rest);
        while rest.starts_with("--") {
            let (flag, after) = split_word(rest);
            if flag.contains(['"', '\'', '\\', '$']) {
                return Err(format!("the flag {flag} is not taken; write it without quotes and variables"));
            }
            match flag.strip_prefix("--from=") {
                Some(image) if from.is_none() && !image.is_empty() => from = Some(image),
                None if flag.starts_with("--chown=") => flags.push(flag.to_owned()),
                _ => return Err(format!("COPY takes --from= and --chown= here, each once, not {flag}")),
            }
            rest = after;
        }
        let Some(from) = from else {
            let flags: String = flags.iter().map(|flag| format!("{flag} ")).collect();
            return Ok(Instruction::Plain(format!("COPY {flags}{rest}")));
        };
        let is_number = from.parse::<usize>().is_ok_and(|number| number < self.stages.len());
        let from = if is_number || self.is_stage(from) {
            Image::Own(from.to_ascii_lowercase())
        } else {
            Image::Named(from.to_owned())
        };
        Ok(Instruction::Copy { flags, from, rest: rest.to_owned() })
    }

    fn is_stage(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.stages.iter().flatten().any(|stage| *stage == name)
    }

    /// `NAME`, `NAME=value`, and several of them.
    fn argument(&mut self, rest: &str) {
        // A value with blanks in quotes comes apart here; it is of no use in an image's name.
        for word in rest.split_ascii_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                // What is known of it without a value stays.
                self.variables.entry(word.to_owned()).or_insert_with(|| Some(String::new()));
                continue;
            };
            let bare = unquoted(value);
            let value = bare.and_then(|bare| self.expanded(bare).ok());
            self.variables.insert(name.to_owned(), value);
        }
    }

    /// With the variables' values put in.
    fn expanded(&self, text: &str) -> Result<String, String> {
        let not_taken = || {
            format!(
                "{text:?} is not taken; name the image by plain text and variables of ARG lines before the first FROM"
            )
        };
        let (mut result, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('$') {
            result.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, default, end) = match after.strip_prefix('{') {
                Some(inner) => {
                    let end = inner.find('}').ok_or_else(not_taken)?;
                    let (name, default) = match inner[..end].split_once(":-") {
                        Some((name, default)) => (name, Some(default)),
                        None => (&inner[..end], None),
                    };
                    (name, default, end + 2)
                }
                None => {
                    let end = after.find(|c: char| !is_of_variable(c)).unwrap_or(after.len());
                    (&after[..end], None, end)
                }
            };
            if name.is_empty()
                || !name.chars().all(is_of_variable)
                || default.is_some_and(|text| text.contains('$'))
            {
                return Err(not_taken());
            }
            let value = match self.variables.get(name) {
                None => "",
                Some(value) => value.as_deref().ok_or_else(not_taken)?,
            };
            result.push_str(if value.is_empty() { default.unwrap_or_default() } else { value });
            rest = &after[end..];
        }
        result.push_str(rest);
        if result.len() > MAX_VALUE || result.contains(|c: char| c.is_whitespace() || "\"'\\`{}".contains(c))
        {
            return Err(not_taken());
        }
        Ok(result)
    }
}

/// The engine itself would fetch what ADD names, in the device's own network.
fn check_add(rest: &str) -> Result<(), String> {
    let lower = rest.to_ascii_lowercase();
    let is_remote = lower.contains("://") || lower.contains("git@") || lower.contains("github.com");
    if is_remote || rest.contains(['$', '\\']) {
        return Err(
            "ADD fetches nothing here and takes no variables; use COPY, or RUN with a program that fetches"
                .to_owned(),
        );
    }
    Ok(())
}

/// Newer engines would take the lines that follow for its text.
fn begins_document(rest: &str) -> bool {
    rest.match_indices("<<").any(|(at, _)| {
        let after = rest[at + 2..].trim_start_matches('-').trim_start();
        after.starts_with(|c: char| c.is_alphabetic() || "_\"'".contains(c))
    })
}

fn unquoted(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
    let bare = match quote {
        Some('\'') if value.contains('$') => return None,
        Some(quote) => value.strip_prefix(quote)?.strip_suffix(quote)?,
        None => value,
    };
    (!bare.contains(['"', '\'', '\\'])).then_some(bare)
}

fn is_of_variable(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
}

fn split_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// Instructions, each in one line, with the number of the line where it begins. Comments and empty lines are left out.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, DockerfileError> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        let wrong = |what: &str| DockerfileError { line: number, what: what.to_owned() };
        if line.contains(|c: char| c.is_control() && c != '\t') {
            return Err(wrong("there is a control character"));
        }
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix('#') {
            let comment = comment.trim_start().to_ascii_lowercase();
            if comment.strip_prefix("escape").is_some_and(|rest| rest.trim_start().starts_with('=')) {
                return Err(wrong("another escape character is not taken; use \\"));
            }
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let (begun, mut whole) = open.take().unwrap_or((number, String::new()));
        let piece = if whole.is_empty() { trimmed } else { line.trim_end() };
        match piece.strip_suffix('\\') {
            Some(piece) if piece.ends_with('\\') => {
                return Err(wrong("it ends with two \\, which engines read in different ways"));
            }
            Some(piece) => {
                whole.push_str(piece);
                open = Some((begun, whole));
            }
            None => {
                whole.push_str(piece);
                lines.push((begun, whole));
            }
        }
    }
    lines.extend(open);
    // What a continued line began with may be blank.
    lines.iter_mut().for_each(|(_, line)| *line = line.trim().to_owned());
    lines.retain(|(_, line)| !line.is_empty());
    if let Some((line, _)) = lines.iter().find(|(_, text)| text.ends_with('\\') || text.starts_with('#')) {
        return Err(DockerfileError { line: *line, what: "its beginning or end is not clear".to_owned() });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn images(text: &str) -> Vec<String> {
        Dockerfile::read(text, "x86_64").unwrap().images().into_iter().map(ToOwned::to_owned).collect()
    }

    fn refused(text: &str) -> String {
        Dockerfile::read(text, "x86_64").map(|file| format!("{file:?}")).expect_err(text).to_string()
    }

    /// Every way to name an image must be seen: one that is not would reach another tenant's.
    #[test]
    fn every_image_is_found() {
        let text = "# a comment\nARG VERSION=3.18\nARG BASE=\"alpine:${VERSION}\"\n\
                    from  --platform=$BUILDPLATFORM $BASE aS Build\nRUN make \\\n  # why\n\n  all\n\
                    FROM build as second\nFROM scratch\nCOPY --from=build /a /a\nCOPY --from=0 --chown=1:1 /a /b\n\
                    COPY --from=ecep-app/globex/app:1-abc /x /x\nCOPY --from=7 /x /x\nFROM ${NONE:-debian}\n";
        assert_eq!(images(text), ["7", "alpine:3.18", "debian", "ecep-app/globex/app:1-abc"]);
        let ids = [("alpine:3.18".to_owned(), "sha256:1".to_owned())].into();
        let written = Dockerfile::read(text, "x86_64").unwrap().written(&ids);
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines[2], "FROM sha256:1 AS build");
        assert_eq!(lines[3], "RUN make   all");
        assert_eq!(lines[4], "FROM build AS second");
        assert_eq!(lines[6], "COPY --from=build /a /a");
        assert_eq!(lines[7], "COPY --chown=1:1 --from=0 /a /b");
    }

    /// A name that comes together from variables is the name that is judged.
    #[test]
    fn names_from_variables_are_the_names_that_are_judged() {
        assert_eq!(images("ARG A=ecep-\nARG B=app/globex\nFROM ${A}$B/app:1\n"), ["ecep-app/globex/app:1"]);
        // Not a stage yet: it is an image of that name.
        assert_eq!(images("FROM late\nCOPY --from=late /a /a\nFROM scratch AS late\n"), ["late"]);
    }

    /// What is for another platform would be built for this one all the same, and nobody would be told.
    #[test]
    fn a_platform_is_the_devices_or_is_refused() {
        for (machine, platform) in [
            ("x86_64", "linux/amd64"),
            ("x86_64", "amd64"),
            ("aarch64", "linux/arm64/v8"),
            ("armv7l", "linux/arm/v7"),
            ("aarch64", "$BUILDPLATFORM"),
            ("aarch64", "${TARGETPLATFORM:-linux/amd64}"),
            ("x86_64", "${MINE}"),
        ] {
            let text = format!("ARG MINE=linux/amd64\nARG TARGETPLATFORM\nFROM --platform={platform} a\n");
            let read = Dockerfile::read(&text, machine).unwrap_or_else(|error| panic!("{platform}: {error}"));
            assert_eq!(read.written(&BTreeMap::new()).lines().last(), Some("FROM a"));
        }
        for (machine, platform) in [
            ("x86_64", "linux/arm64"),
            ("aarch64", "linux/amd64"),
            ("x86_64", "windows/amd64"),
            ("x86_64", "linux"),
            ("x86_64", "$NONE"),
        ] {
            let text = format!("FROM a AS b\nFROM --platform={platform} c\n");
            let told = Dockerfile::read(&text, machine).expect_err(platform).to_string();
            assert!(
                told.contains("line 2") && told.contains("builds for itself alone"),
                "{platform}: {told}"
            );
        }
    }

    /// What the engine might read in another way than this must not reach it.
    #[test]
    fn what_is_not_clear_is_refused() {
        for (text, says) in [
            ("", "no FROM"),
            ("RUN x\n", "before FROM"),
            ("# escape=`\nFROM a\n", "escape"),
            ("FROM a\nRUN x \\\\\nFROM b\n", "two"),
            ("FROM a\nCOPY --fr\"o\"m=b /x /y\n", "quotes"),
            ("FROM a\nCOPY --from=$X /x /y\n", "variables"),
            ("FROM a\nCOPY --link --from=b /x /y\n", "--link"),
            ("FROM a\nONBUILD COPY --from=b /x /y\n", "another image"),
            ("FROM a\nONBUILD ONBUILD RUN x\n", "not understood"),
            ("FROM a\nADD http://127.0.0.1/ /x\n", "ADD"),
            ("FROM a\nADD [\"http:\\u002f\\u002f127.0.0.1/\", \"/x\"]\n", "ADD"),
            ("FROM a\nENV U=http://127.0.0.1\nADD ${U} /x\n", "ADD"),
            ("FROM a\nRUN --mount=type=bind,from=b true\n", "flags"),
            ("FROM a\nRUN <<RUN\nFROM b AS c\nRUN\n", "document"),
            ("FROM a\nCOPY <<\"E\" /x\n", "document"),
            ("FROM a\nINCLUDE b\n", "no instruction"),
            ("FROM \"a\"\n", "not taken"),
            ("FROM ${A:+b}\n", "not taken"),
            ("FROM $NONE\n", "names no image"),
            ("FROM ${NONE:---platform=b}\n", "names no image"),
            ("ARG A='$B'\nFROM $A\n", "not taken"),
            ("FROM a\nRUN x\u{b}y\n", "control"),
            ("FROM a b\n", "FROM"),
        ] {
            let told = refused(text);
            assert!(told.contains(says), "{text:?}: {told}");
        }
        for trigger in ["COPY --from=b /x /y", "ADD http://x /y", "FROM b", "copy --from=b /x /y"] {
            assert!(check_trigger(trigger).is_err(), "{trigger}");
        }
        assert_eq!(check_trigger("COPY . /app"), Ok(()));
    }

    proptest! {
        /// What was written for the engine must be read in the same way again, by whoever reads it line by line; and nothing may
        /// make the reader panic.
        #[test]
        fn what_is_written_says_the_same(lines in proptest::collection::vec("(FROM|COPY|RUN|ARG|#|ADD|)[ \\t]?[-a-z=$/{}:\\\\\"' ]{0,20}", 0..8)) {
            let text = format!("FROM base\n{}\n", lines.join("\n"));
            if let Ok(read) = Dockerfile::read(&text, "x86_64") {
                let written = read.written(&BTreeMap::new());
                prop_assert_eq!(written.lines().count(), read.instructions.len());
                let again = Dockerfile::read(&written, "x86_64").unwrap();
                prop_assert_eq!(again.images(), read.images());
            }
        }
    }
}
