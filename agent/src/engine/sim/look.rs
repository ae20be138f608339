//! What a simulated container has written and what files it has.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use ecep_proto::api::file::{EntryKind, EntryList, EntryView};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    is_live, lock,
    state::{World, Written},
};
use crate::engine::{Archive, EngineError, Found, Output, OutputPiece, OutputWish};

/// Bytes of a part of an archive.
const PART: usize = 64 * 1024;

type Files = BTreeMap<String, Bytes>;

/// As an engine sends it: what is there, and then what comes until the container stops.
pub(super) fn output(
    world: &Arc<Mutex<World>>,
    engine_id: &str,
    wish: OutputWish,
    mut written: watch::Receiver<u64>,
) -> Output {
    written.mark_unchanged();
    let (world, engine_id) = (Arc::clone(world), engine_id.to_owned());
    let first = lines_after(&world, &engine_id, None, wish).map(|(lines, _)| lines).unwrap_or_default();
    let skipped = wish.tail.map_or(0, |tail| first.len().saturating_sub(tail as usize));
    let after = first.back().map(|last| last.at);
    let ready: VecDeque<Written> = first.into_iter().skip(skipped).collect();
    let next =
        move |(mut ready, mut after, mut written): (VecDeque<Written>, Option<u64>, watch::Receiver<u64>)| {
            let (world, engine_id) = (Arc::clone(&world), engine_id.clone());
            async move {
                loop {
                    if let Some(line) = ready.pop_front() {
                        return Some((Ok(piece(line)), (ready, after, written)));
                    }
                    if !wish.follow {
                        return None;
                    }
                    let (lines, is_running) = lines_after(&world, &engine_id, after, wish)?;
                    if let Some(last) = lines.back() {
                        after = Some(last.at);
                        ready = lines;
                    } else if is_running {
                        written.changed().await.ok()?;
                    } else {
                        return None;
                    }
                }
            }
        };
    stream::unfold((ready, after, written), next).boxed()
}

/// The lines behind that time, and whether the container runs; none where it is gone.
fn lines_after(
    world: &Mutex<World>,
    engine_id: &str,
    after: Option<u64>,
    wish: OutputWish,
) -> Option<(VecDeque<Written>, bool)> {
    let mut world = lock(world);
    let container = world.container(engine_id).ok()?;
    let lines = container.output.iter().filter(|line| {
        after.is_none_or(|after| line.at > after)
            && line.at / 1_000_000_000 >= wish.since_seconds
            && wish.stream.is_none_or(|stream| stream == line.stream)
    });
    Some((lines.cloned().collect(), is_live(container.seen.view().state)))
}

fn piece(line: Written) -> OutputPiece {
    OutputPiece { at: line.at, stream: line.stream, begins: true, ends: true, text: line.text.into() }
}

pub(super) fn find(files: &Files, path: &str) -> Result<Found, EngineError> {
    let found = |kind, bytes| Ok(Found { path: path.to_owned(), kind, bytes });
    match files.get(path) {
        Some(content) => found(EntryKind::File, content.len() as u64),
        None if path == "/" || below(files, path).next().is_some() => found(EntryKind::Directory, 0),
        None => Err(EngineError::NotFound(format!("there is nothing at {path} in the container"))),
    }
}

/// The files below a folder, by their paths from it.
fn below<'a>(files: &'a Files, path: &str) -> impl Iterator<Item = (&'a str, &'a Bytes)> {
    let folder = format!("{}/", path.trim_end_matches('/'));
    files.iter().filter_map(move |(path, content)| Some((path.strip_prefix(&folder)?, content)))
}

pub(super) fn list(files: &Files, path: &str, most: usize) -> Result<EntryList, EngineError> {
    if find(files, path)?.kind != EntryKind::Directory {
        return Err(EngineError::Invalid(format!("{path} is no folder")));
    }
    let mut entries: BTreeMap<&str, EntryView> = BTreeMap::new();
    for (path, content) in below(files, path) {
        let (name, kind, bytes) = match path.split_once('/') {
            Some((name, _)) => (name, EntryKind::Directory, 0),
            None => (path, EntryKind::File, content.len() as u64),
        };
        let entry = EntryView { name: name.to_owned(), kind, bytes, modified_at: 0, mode: 0o644, link: None };
        entries.insert(name, entry);
    }
    let truncated = entries.len() > most;
    Ok(EntryList { entries: entries.into_values().take(most).collect(), truncated })
}

pub(super) fn archive(files: &Files, path: &str) -> Result<Archive, EngineError> {
    let failed = |error: std::io::Error| EngineError::Failed(error.to_string());
    let found = find(files, path)?;
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: String, kind, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content)
    };
    if found.kind == EntryKind::File {
        add(name.to_owned(), tar::EntryType::Regular, files.get(path).map_or(&[], |content| &content[..]))
            .map_err(failed)?;
    } else {
        let root = if name.is_empty() { "." } else { name };
        add(format!("{root}/"), tar::EntryType::Directory, &[]).map_err(failed)?;
        for (path, content) in below(files, path) {
            add(format!("{root}/{path}"), tar::EntryType::Regular, content).map_err(failed)?;
        }
    }
    let whole = Bytes::from(tar.into_inner().map_err(failed)?);
    let parts: Vec<_> =
        (0..whole.len()).step_by(PART).map(|at| Ok(whole.slice(at..whole.len().min(at + PART)))).collect();
    Ok(stream::iter(parts).boxed())
}
