//! Build contexts: a tenant's source bundle with the Dockerfile that was written for the engine in the place of its own, without what its
//! `.dockerignore` leaves out. Blocks.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use ecep_archive::{ArchiveError, Limits, MAX_DOCKERFILE_BYTES, bundle};

use super::ignored::{self, Ignored};

/// What a bundle says of how it is built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Texts {
    /// The Dockerfile; none where there is no file of that path.
    pub(crate) dockerfile: Option<String>,
    /// What is left out; none where nothing is said of that.
    pub(crate) ignored: Option<String>,
}

/// Reads the Dockerfile at this path of a bundle, and what is left out: the file beside the Dockerfile that is named after it, else
/// the one at the root.
///
/// # Errors
/// The bundle is not taken, or one of the files is too long or no text.
pub(crate) fn texts(artifact: &Path, path: &str, limits: &Limits) -> Result<Texts, ArchiveError> {
    let own = format!("{path}{}", ignored::NAME);
    let wanted = [
        (path, MAX_DOCKERFILE_BYTES),
        (own.as_str(), ignored::MAX_BYTES),
        (ignored::NAME, ignored::MAX_BYTES),
    ];
    let file = File::open(artifact).map_err(ArchiveError::Read)?;
    let [dockerfile, of_dockerfile, of_all] = ecep_archive::texts(io::BufReader::new(file), wanted, limits)?;
    Ok(Texts { dockerfile, ignored: of_dockerfile.or(of_all) })
}

/// Writes the bundle with another text in place of its Dockerfile, which stays whatever is left out.
///
/// # Errors
/// As [`texts`]; something that is left out is needed by what is not; or nobody takes it any more.
pub(crate) fn write(
    artifact: &Path,
    path: &str,
    text: &str,
    ignored: &Ignored,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<(), ArchiveError> {
    let leaves_out = |name: &Path| name != Path::new(path) && ignored.leaves_out(&name.to_string_lossy());
    let file = File::open(artifact).map_err(ArchiveError::Read)?;
    // The bundle passes through a pipe from the thread that judges it to this one.
    let (reader, writer) = io::pipe().map_err(ArchiveError::Write)?;
    std::thread::scope(|scope| {
        let judging = scope.spawn(move || {
            let mut writer = io::BufWriter::with_capacity(64 * 1024, writer);
            bundle(file, &mut writer, limits)?;
            writer.flush().map_err(ArchiveError::Write)
        });
        let copied = copy(reader, Path::new(path), text, &leaves_out, out);
        let judged =
            judging.join().unwrap_or_else(|_| Err(ArchiveError::Read(io::Error::other("a worker ended"))));
        // What is wrong with the bundle matters more than what came of it here.
        match (judged, copied) {
            (Err(ArchiveError::Write(_)) | Ok(()), copied) => copied.map_err(ArchiveError::Write),
            (Err(error), _) => Err(error),
        }
    })
}

fn copy(
    mut reader: impl Read,
    dockerfile: &Path,
    text: &str,
    leaves_out: &dyn Fn(&Path) -> bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut out = tar::Builder::new(out);
    let mut archive = tar::Archive::new(&mut reader);
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        if leaves_out(&path) {
            continue;
        }
        let mut header = entry.header().clone();
        match entry.link_name()? {
            _ if header.entry_type().is_file() && path == dockerfile => {
                header.set_size(text.len() as u64);
                out.append_data(&mut header, &path, text.as_bytes())?;
            }
            Some(target) if header.entry_type().is_hard_link() && leaves_out(&target) => {
                return Err(io::Error::other(format!(
                    "{} is a hard link to {}, which {} leaves out; take both in, or neither",
                    path.display(),
                    target.display(),
                    ignored::NAME
                )));
            }
            Some(target) => out.append_link(&mut header, &path, target)?,
            None => out.append_data(&mut header, &path, entry)?,
        }
    }
    // What is behind the last entry, so that whoever writes is not cut off.
    io::copy(&mut reader, &mut io::sink())?;
    out.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle_of(files: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut archive = tar::Builder::new(file.as_file());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        archive.append_link(&mut header, "app-1/link", "main.py").unwrap();
        archive.into_inner().unwrap();
        file
    }

    /// The engine must build what was judged, and everything else must be there as it was, long names and links too.
    #[test]
    fn only_the_dockerfile_is_another_one() {
        let long = format!("app-1/{}/file", "d".repeat(120));
        let artifact = bundle_of(&[("app-1/Dockerfile", "FROM x\n"), ("app-1/main.py", "1"), (&long, "2")]);
        let limits = Limits::default();
        let found = texts(artifact.path(), "Dockerfile", &limits).unwrap();
        assert_eq!(found, Texts { dockerfile: Some("FROM x\n".to_owned()), ignored: None });
        assert_eq!(texts(artifact.path(), "other", &limits).unwrap(), Texts::default());
        let seen = written(&artifact, "Dockerfile", &Ignored::default());
        for expected in [
            ("Dockerfile", "FROM sha256:1\n"),
            ("main.py", "1"),
            ("link", "main.py"),
            (long.strip_prefix("app-1/").unwrap(), "2"),
        ] {
            assert!(
                seen.iter().any(|(name, content)| (name.as_str(), content.as_str()) == expected),
                "{seen:?}"
            );
        }
    }

    fn written(artifact: &tempfile::NamedTempFile, path: &str, ignored: &Ignored) -> Vec<(String, String)> {
        let mut out = Vec::new();
        write(artifact.path(), path, "FROM sha256:1\n", ignored, &Limits::default(), &mut out).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(out.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            seen.push((name, link.unwrap_or(content)));
        }
        seen
    }

    /// A key that its owner keeps out of the image must not reach the engine; the Dockerfile must, whatever is said.
    #[test]
    fn what_is_left_out_does_not_reach_the_engine() {
        let artifact = bundle_of(&[
            ("app-1/build/Dockerfile", "FROM x\n"),
            ("app-1/.dockerignore", "**/*.pem\nbuild\n"),
            ("app-1/keys/own.pem", "secret"),
            ("app-1/main.py", "1"),
        ]);
        let found = texts(artifact.path(), "build/Dockerfile", &Limits::default()).unwrap();
        let ignored = Ignored::read(&found.ignored.unwrap()).unwrap();
        let names: Vec<String> =
            written(&artifact, "build/Dockerfile", &ignored).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["build/Dockerfile", ".dockerignore", "main.py", "link"]);
        // The one that is named after the Dockerfile comes before the other.
        let artifact = bundle_of(&[
            ("app-1/Dockerfile", "FROM x\n"),
            ("app-1/Dockerfile.dockerignore", "main.py\n"),
            ("app-1/.dockerignore", "link\n"),
        ]);
        let found = texts(artifact.path(), "Dockerfile", &Limits::default()).unwrap();
        assert_eq!(found.ignored.as_deref(), Some("main.py\n"));
    }

    /// What is wrong with the bundle is what its owner must be told, not that a pipe broke.
    #[test]
    fn a_bundle_that_is_refused_says_why() {
        let artifact = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(artifact.path(), "no archive at all").unwrap();
        let (ignored, limits, mut out) = (Ignored::default(), Limits::default(), Vec::new());
        let error =
            write(artifact.path(), "Dockerfile", "FROM x\n", &ignored, &limits, &mut out).unwrap_err();
        assert!(!matches!(error, ArchiveError::Write(_)), "{error}");
        let error = texts(artifact.path(), "Dockerfile", &limits).unwrap_err();
        assert!(!matches!(error, ArchiveError::Write(_)), "{error}");
    }
}
