//! Dockerfiles of tenants, read before the engine reads them: every image that one names is found out, so that it can be judged, and
//! what is written for the engine names those images by their ids. The engine gets nothing that was not understood here: no escape
//! of its own, one instruction a line, no instruction that is not known. Pure text.

mod lines;
mod reader;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use self::{lines::logical_lines, reader::Reader};

pub use self::reader::{Builder, check_trigger};

/// A Dockerfile of more bytes than this is none.
pub const MAX_DOCKERFILE_BYTES: usize = 256 * 1024;

/// Why a Dockerfile is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Dockerfile, line {line}: {what}")]
pub struct DockerfileError {
    line: usize,
    what: String,
}

/// A Dockerfile that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
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
    /// Reads it for the device that builds it. Where that is not known yet, nothing is said of the platforms that it names, and images
    /// may be called in another way on the device.
    ///
    /// # Errors
    /// What is not taken, with its line.
    pub fn read(text: &str, builder: Option<Builder<'_>>) -> Result<Self, DockerfileError> {
        let mut reader = Reader::new(builder);
        let mut instructions = Vec::new();
        for (line, text) in logical_lines(text)? {
            instructions.push(reader.instruction(&text).map_err(|what| DockerfileError { line, what })?);
        }
        if !reader.has_stage() {
            return Err(DockerfileError { line: 1, what: "there is no FROM".to_owned() });
        }
        Ok(Self { instructions })
    }

    /// The images that it names.
    pub fn images(&self) -> BTreeSet<&str> {
        let named = self.instructions.iter().filter_map(|instruction| match instruction {
            Instruction::From { image: Image::Named(name), .. }
            | Instruction::Copy { from: Image::Named(name), .. } => Some(name.as_str()),
            _ => None,
        });
        named.collect()
    }

    /// The text for the engine: each image by the id that `ids` has for it.
    pub fn written(&self, ids: &BTreeMap<String, String>) -> String {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn builds(text: &str, platform: &str, others: &[&str]) -> Result<Dockerfile, DockerfileError> {
        let runs = |wanted: &str| wanted == platform || others.contains(&wanted);
        Dockerfile::read(text, Some(Builder { platform, runs: &runs }))
    }

    fn read(text: &str) -> Result<Dockerfile, DockerfileError> {
        builds(text, "linux/amd64", &[])
    }

    fn images(text: &str) -> Vec<String> {
        read(text).unwrap().images().into_iter().map(ToOwned::to_owned).collect()
    }

    fn refused(text: &str) -> String {
        read(text).map(|file| format!("{file:?}")).expect_err(text).to_string()
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
        let written = read(text).unwrap().written(&ids);
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
    fn a_platform_is_the_builders_or_is_refused() {
        for (own, wanted) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64", "amd64"),
            ("linux/arm64", "$BUILDPLATFORM"),
            ("linux/arm64", "${TARGETPLATFORM:-linux/amd64}"),
            ("linux/amd64", "${MINE}"),
        ] {
            let text = format!("ARG MINE=linux/amd64\nARG TARGETPLATFORM\nFROM --platform={wanted} a\n");
            let read = builds(&text, own, &["amd64"]).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            assert_eq!(read.written(&BTreeMap::new()).lines().last(), Some("FROM a"));
        }
        for (own, wanted) in
            [("linux/amd64", "linux/arm64"), ("linux/arm64", "linux/amd64"), ("linux/amd64", "$NONE")]
        {
            let text = format!("FROM a AS b\nFROM --platform={wanted} c\n");
            let told = builds(&text, own, &[]).expect_err(wanted).to_string();
            assert!(told.contains("line 2") && told.contains("builds for itself alone"), "{wanted}: {told}");
            // Which device builds may come later; what no device takes is refused before.
            assert!(Dockerfile::read(&text, None).is_ok(), "{wanted}");
        }
        assert!(Dockerfile::read("FROM --platform=${A:+b} c\n", None).is_err());
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
            // Whoever does not know yet who builds says the same.
            assert_eq!(Dockerfile::read(text, None).expect_err(text).to_string(), told);
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
            if let Ok(first) = read(&text) {
                let written = first.written(&BTreeMap::new());
                prop_assert_eq!(written.lines().count(), first.instructions.len());
                let again = read(&written).unwrap();
                prop_assert_eq!(again.images(), first.images());
            }
        }
    }
}
