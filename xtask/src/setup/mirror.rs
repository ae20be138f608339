//! The Debian mirror that this machine's administrator chose, for packages of other suites than the machine's. Nothing
//! here writes to the machine's own package sources.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const APT: &str = "/etc/apt";

/// A mirror of Debian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    /// Where it is; apt(8) takes several addresses of one mirror, others only the first.
    pub uris: String,
    /// What its lists are signed by, where the machine says so: a file, or the key itself.
    pub key: Option<String>,
}

impl Mirror {
    /// The first one in the machine's package sources.
    ///
    /// # Errors
    /// None of them looks like a Debian mirror, or a file cannot be read.
    pub fn find() -> Result<Self> {
        Self::among(&machine_sources()?)
    }

    /// The first one in deb822 stanzas.
    fn among(sources: &str) -> Result<Self> {
        let field = |stanza: &str, name: &str| {
            stanza
                .lines()
                .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
        };
        let stanza = sources
            .split("\n\n")
            .find(|stanza| {
                let uris = field(stanza, "URIs").unwrap_or_default();
                uris.split_whitespace().any(|uri| uri.trim_end_matches('/').ends_with("/debian"))
                    && field(stanza, "Components")
                        .is_some_and(|names| names.split_whitespace().any(|name| name == "main"))
            })
            .with_context(|| format!("nothing in {APT} names a Debian mirror to fetch packages from"))?;
        Ok(Self { uris: field(stanza, "URIs").unwrap_or_default(), key: field(stanza, "Signed-By") })
    }

    /// A package source (deb822) for that suite.
    pub fn source(&self, suite: &str) -> String {
        let key = self.key.as_ref().map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
        format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n{key}", self.uris)
    }
}

/// The machine's package sources, in both of apt's notations: deb822 stanzas, and one-line entries turned into such.
fn machine_sources() -> Result<String> {
    let mut all = String::new();
    let listed = fs::read_dir(APT.to_owned() + "/sources.list.d").into_iter().flatten();
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    for path in paths.chain([Path::new(APT).join("sources.list")]) {
        let read = || fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => all += &read()?,
            Some("list") if path.exists() => all.extend(read()?.lines().filter_map(stanza)),
            _ => {}
        }
        all.push_str("\n\n");
    }
    Ok(all)
}

/// `deb [signed-by=KEY] URI SUITE COMPONENT…` as a deb822 stanza (sources.list(5)); none for comments and other lines.
fn stanza(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let (uri, rest) = rest.trim().split_once(' ')?;
    let (suite, components) = rest.trim().split_once(' ')?;
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let key = key.map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
    Some(format!("URIs: {uri}\nSuites: {suite}\nComponents: {components}\n{key}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recipe starts from whatever the machine's administrator wrote, comments and security mirror included.
    #[test]
    fn takes_the_debian_mirror_and_its_key() {
        let sources = "Types: deb\nURIs: http://mirror.test/other\nSuites: x\nComponents: main\n\n\
                       Types: deb\n# an older mirror\nURIs: http://mirror.test/debian-security\nSuites: x-security\n\
                       Components: main\n\n\
                       Types: deb\n# near us\nURIs: http://mirror.test/debian/\nSuites: x x-updates\n\
                       Components: main contrib\nSigned-By: /keys/debian.gpg\n";
        let expected = "Types: deb\nURIs: http://mirror.test/debian/\nSuites: forky\nComponents: main\n\
                        Signed-By: /keys/debian.gpg\n";
        assert_eq!(Mirror::among(sources).unwrap().source("forky"), expected);
    }

    /// Machines that were upgraded over the years still have the old notation.
    #[test]
    fn understands_one_line_entries() {
        let list = "# deb http://mirror.test/old/debian x main\ndeb-src http://mirror.test/debian x main\n\
                    deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.test/debian x main contrib\n\
                    deb http://mirror.test/debian-security x-security main\n";
        let sources: String = list.lines().filter_map(stanza).collect();
        let expected =
            Mirror { uris: "http://mirror.test/debian".into(), key: Some("/keys/debian.gpg".into()) };
        assert_eq!(Mirror::among(&sources).unwrap(), expected, "{sources}");
    }

    /// On another distribution set-up must say what it misses, not fetch from a foreign mirror.
    #[test]
    fn refuses_where_there_is_no_debian_mirror() {
        let error =
            Mirror::among("Types: deb\nURIs: http://mirror.test/ubuntu\nComponents: main\n").unwrap_err();
        assert!(error.to_string().contains("names a Debian mirror"), "{error}");
    }
}
