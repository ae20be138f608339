//! The instructions of a Dockerfile, one after the other: which there are, and what each may say.

use super::{Image, Instruction, variables::Variables};

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
/// What stands for the builder's platform where that is not known: one is like the other.
const SOME_PLATFORM: &str = "linux/amd64";

/// Judges what a base image does at once when something is built from it: it is written by somebody else, and reaches the engine as
/// it is.
///
/// # Errors
/// What is not taken.
pub fn check_trigger(trigger: &str) -> Result<(), String> {
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

/// The device that builds.
#[derive(Clone, Copy)]
pub struct Builder<'a> {
    /// What it is, as `--platform` names it: `linux/arm64`.
    pub platform: &'a str,
    /// Whether it runs what is for such a platform.
    pub runs: &'a dyn Fn(&str) -> bool,
}

/// What is known of a Dockerfile so far.
pub(super) struct Reader<'a> {
    builder: Option<Builder<'a>>,
    variables: Variables,
    /// Stages that are over, with their names.
    stages: Vec<Option<String>>,
    is_in_stage: bool,
    stage: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(builder: Option<Builder<'a>>) -> Self {
        let variables = Variables::new(builder.map_or(SOME_PLATFORM, |builder| builder.platform));
        Self { builder, variables, stages: Vec::new(), is_in_stage: false, stage: None }
    }

    /// Whether there was a FROM.
    pub(super) fn has_stage(&self) -> bool {
        self.is_in_stage
    }

    /// Reads the next one.
    pub(super) fn instruction(&mut self, line: &str) -> Result<Instruction, String> {
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
                    self.variables.learn(rest);
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
        let image = self.variables.expanded(written)?;
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
        let platform = self.variables.expanded(wanted)?;
        let Some(builder) = self.builder.filter(|builder| !(builder.runs)(&platform)) else { return Ok(()) };
        Err(format!(
            "FROM is for the platform {platform:?}, this device is {} and builds for itself alone; leave --platform out, or choose \
             a device of that platform",
            builder.platform
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
