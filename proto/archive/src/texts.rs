//! Some files of a source bundle, as its build context has them.

use std::{collections::HashMap, io::Read};

use crate::{
    ArchiveError, Limits,
    blocks::take,
    name::shown,
    walk::{Kind, Walked, Walker},
};

/// Reads some texts of a source bundle, each by its path in the build context that [`crate::bundle`] makes, and of so many bytes at most. None
/// where there is no file of that path; a link is no file.
///
/// # Errors
/// What [`crate::bundle`] refuses is refused here, too; and a text that is too long or no text.
pub fn texts<const N: usize>(
    source: impl Read,
    wanted: [(&str, usize); N],
    limits: &Limits,
) -> Result<[Option<String>; N], ArchiveError> {
    let mut walker = Walker::open(source, limits)?;
    // Whether a folder wraps everything shows at the end. If one does, the first entry is in it.
    let mut first: Option<String> = None;
    let mut found: HashMap<String, Vec<u8>> = HashMap::new();
    while let Some(entry) = walker.next()? {
        let top = first.get_or_insert_with(|| entry.path.split('/').next().unwrap_or_default().to_owned());
        let inner = entry.path.strip_prefix(top.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let may_be = |path: &str| entry.path == path || inner == Some(path);
        let most = wanted.iter().filter(|(path, _)| may_be(path)).map(|(_, most)| *most).max();
        if let (Some(most), Kind::File { .. }) = (most, &entry.kind) {
            found.insert(entry.path, take(&mut walker, most.saturating_add(1))?);
        }
    }
    let Walked { tree, .. } = walker.finish()?;
    let top = tree.top();
    tree.check_links(top)?;
    let mut texts = [const { None }; N];
    for (text, (path, most)) in texts.iter_mut().zip(wanted) {
        let path = if top.is_empty() { path.to_owned() } else { format!("{top}/{path}") };
        let Some(bytes) = found.get(&path) else { continue };
        let entry = || shown(path.as_bytes());
        if bytes.len() > most {
            return Err(ArchiveError::LongText { entry: entry(), limit: most });
        }
        let read = String::from_utf8(bytes.clone()).map_err(|_| ArchiveError::NoText { entry: entry() })?;
        *text = Some(read);
    }
    Ok(texts)
}
