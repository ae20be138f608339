//! Build contexts: trees of files, as an engine's builder takes them.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::{
    ArchiveError, Limits,
    output::Output,
    overlay::{FILES, dockerfile},
    tree::Tree,
    walk::{Kind, Walker},
};

/// Turns a source bundle into a build context. A folder that wraps everything is taken off, so that `app-1.0/Dockerfile` becomes `Dockerfile`; where
/// the Dockerfile is, and whether there is one, is the builder's business.
///
/// The source is read twice from where it stands: first it is judged, then written. Nothing is written of what is refused.
///
/// # Errors
/// What [`crate::inspect`] refuses is refused here, too.
pub fn bundle(mut source: impl Read + Seek, out: impl Write, limits: &Limits) -> Result<(), ArchiveError> {
    let start = source.stream_position().map_err(ArchiveError::Read)?;
    let tree = judge(&mut source, limits)?;
    let top = tree.top().to_owned();
    tree.check_links(&top)?;
    drop(tree);
    rewind(&mut source, start)?;
    let mut output = Output::new(out);
    let strip = |path: &str| match top.as_str() {
        "" => path.to_owned(),
        top => path.strip_prefix(top).unwrap_or(path).trim_start_matches('/').to_owned(),
    };
    write(source, &mut output, limits, strip)?;
    output.finish()
}

/// Turns a tree of files into a build context that lays them over the image `base`, in the folder `directory`, and runs the shell command `install`
/// there. Nothing is taken off the tree.
///
/// The source is read twice, as by [`bundle`].
///
/// # Errors
/// What [`crate::inspect`] refuses is refused here, too; and words that could say more to a builder than they should.
pub fn overlay(
    mut source: impl Read + Seek,
    out: impl Write,
    limits: &Limits,
    base: &str,
    directory: &str,
    install: Option<&str>,
) -> Result<(), ArchiveError> {
    let text = dockerfile(base, directory, install)?;
    let start = source.stream_position().map_err(ArchiveError::Read)?;
    judge(&mut source, limits)?.check_links("")?;
    rewind(&mut source, start)?;
    let mut output = Output::new(out);
    output.file("Dockerfile", text.as_bytes())?;
    output.folder(FILES)?;
    write(source, &mut output, limits, |path| format!("{FILES}/{path}"))?;
    output.finish()
}

fn judge(source: impl Read, limits: &Limits) -> Result<Tree, ArchiveError> {
    let mut walker = Walker::open(source, limits)?;
    while walker.next()?.is_some() {}
    Ok(walker.finish()?.tree)
}

fn rewind(source: &mut impl Seek, start: u64) -> Result<(), ArchiveError> {
    source.seek(SeekFrom::Start(start)).map(drop).map_err(ArchiveError::Read)
}

/// Writes every entry under another path; the root itself not at all.
fn write<W: Write>(
    source: impl Read,
    output: &mut Output<W>,
    limits: &Limits,
    rename: impl Fn(&str) -> String,
) -> Result<(), ArchiveError> {
    let mut walker = Walker::open(source, limits)?;
    while let Some(entry) = walker.next()? {
        let path = rename(&entry.path);
        if path.is_empty() {
            continue;
        }
        let target = if let Kind::HardLink { target } = &entry.kind { Some(rename(target)) } else { None };
        output.entry(&entry, &path, target.as_deref(), &mut walker)?;
    }
    Ok(())
}
