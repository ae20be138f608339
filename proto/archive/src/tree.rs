//! The tree that an archive would make, and where its links lead in it. Nothing is written anywhere: this is what a file system would do.

use std::collections::HashMap;

use crate::{
    ArchiveError, Limits,
    name::{parent, shown},
    walk::{Entry, Kind},
};

/// Links on the way to one file, as Linux has it.
const MAX_LINKS: u32 = 40;
/// Steps on the way to all of them: real trees take a few for each link.
const MAX_STEPS: u64 = 4_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    File,
    Symlink(String),
}

/// What there is, by its path.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: HashMap<String, Node>,
    /// Bytes of all paths and targets.
    names: usize,
}

/// Why a way ends nowhere.
#[derive(Debug, PartialEq, Eq)]
enum Lost {
    Out,
    Loop,
    Tangled,
}

impl Tree {
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// One more entry. What it would be written through, or over, is refused.
    pub(crate) fn add(&mut self, entry: &Entry, limits: &Limits) -> Result<(), ArchiveError> {
        self.add_folders(entry, limits)?;
        let name = || shown(entry.path.as_bytes());
        let node = match &entry.kind {
            Kind::Directory => Node::Directory,
            Kind::File { .. } => Node::File,
            Kind::Symlink { target } if target.starts_with('/') => {
                return Err(ArchiveError::AbsoluteLink { entry: name(), target: shown(target.as_bytes()) });
            }
            Kind::Symlink { target } => Node::Symlink(target.clone()),
            Kind::HardLink { target } => {
                if self.nodes.get(target) != Some(&Node::File) {
                    return Err(ArchiveError::HardLinkOut {
                        entry: name(),
                        target: shown(target.as_bytes()),
                    });
                }
                Node::File
            }
        };
        match (self.nodes.get(&entry.path), &node) {
            (None, _) => self.insert(entry.path.clone(), node, limits),
            (Some(Node::Directory), Node::Directory) => Ok(()),
            (Some(_), _) => Err(ArchiveError::Twice { entry: name() }),
        }
    }

    /// The folders that it lies in; an archive need not name them. Where one is known, so are those above.
    fn add_folders(&mut self, entry: &Entry, limits: &Limits) -> Result<(), ArchiveError> {
        let mut folder = parent(&entry.path);
        while !folder.is_empty() {
            let name = || shown(entry.path.as_bytes());
            match self.nodes.get(folder) {
                Some(Node::Directory) => return Ok(()),
                Some(Node::Symlink(_)) => {
                    return Err(ArchiveError::ThroughLink { entry: name(), link: shown(folder.as_bytes()) });
                }
                Some(Node::File) => {
                    return Err(ArchiveError::ThroughFile { entry: name(), file: shown(folder.as_bytes()) });
                }
                None => self.insert(folder.to_owned(), Node::Directory, limits)?,
            }
            folder = parent(folder);
        }
        Ok(())
    }

    fn insert(&mut self, path: String, node: Node, limits: &Limits) -> Result<(), ArchiveError> {
        let target = if let Node::Symlink(target) = &node { target.len() } else { 0 };
        self.names = self.names.saturating_add(path.len()).saturating_add(target);
        if self.names > limits.names_bytes {
            return Err(ArchiveError::LongNames { limit: limits.names_bytes });
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// The folder in which everything lies; empty where there is none.
    pub(crate) fn top(&self) -> &str {
        let mut tops = self.nodes.keys().map(|path| path.split('/').next().unwrap_or_default());
        let Some(top) = tops.next() else { return "" };
        // Something must lie in it: a lone empty folder is a file of the application.
        let is_wrapped = self.nodes.len() > 1 && tops.all(|other| other == top);
        if is_wrapped { self.nodes.get_key_value(top).map_or("", |(key, _)| key) } else { "" }
    }

    /// Whether a file is at this path, or a link to one.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.file(path).is_some()
    }

    /// The path of the file that is at this path, through links.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        let mut steps = 0;
        let at = self.resolve("", "", path, &mut steps).ok()?;
        (self.nodes.get(&at) == Some(&Node::File)).then_some(at)
    }

    /// That no link leads out of the folder `root`, in which everything lies. Links to what is not there are taken: it may be made later.
    pub(crate) fn check_links(&self, root: &str) -> Result<(), ArchiveError> {
        let mut steps = 0;
        for (path, node) in &self.nodes {
            let Node::Symlink(target) = node else { continue };
            let (entry, shown_target) = (shown(path.as_bytes()), shown(target.as_bytes()));
            match self.resolve(root, parent(path), target, &mut steps) {
                Ok(_) => {}
                Err(Lost::Out) => return Err(ArchiveError::LinkOut { entry, target: shown_target }),
                Err(Lost::Loop) => return Err(ArchiveError::LinkLoop { entry, target: shown_target }),
                Err(Lost::Tangled) => return Err(ArchiveError::TangledLinks),
            }
        }
        Ok(())
    }

    /// Where `path` leads to, seen from `from`, as a file system with `root` as its root would find it; but it must not try to leave it.
    fn resolve(&self, root: &str, from: &str, path: &str, steps: &mut u64) -> Result<String, Lost> {
        let mut at = from.to_owned();
        let mut links = 0;
        // The parts still to go, the next one last.
        let mut ahead: Vec<&str> = path.rsplit('/').collect();
        while let Some(part) = ahead.pop() {
            *steps += 1;
            if *steps > MAX_STEPS {
                return Err(Lost::Tangled);
            }
            match part {
                "" | "." => continue,
                ".." if at == root => return Err(Lost::Out),
                ".." => {
                    at.truncate(parent(&at).len());
                    continue;
                }
                _ => {}
            }
            let folder = at.len();
            if !at.is_empty() {
                at.push('/');
            }
            at.push_str(part);
            if let Some(Node::Symlink(target)) = self.nodes.get(&at) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Lost::Loop);
                }
                at.truncate(folder);
                ahead.extend(target.rsplit('/'));
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Kind)]) -> Result<Tree, ArchiveError> {
        let mut tree = Tree::default();
        for (path, kind) in entries {
            let entry = Entry { path: (*path).into(), kind: kind.clone(), mode: 0o644, modified_at: 0 };
            tree.add(&entry, &Limits::default())?;
        }
        Ok(tree)
    }

    fn file() -> Kind {
        Kind::File { bytes: 0 }
    }

    fn link(target: &str) -> Kind {
        Kind::Symlink { target: target.into() }
    }

    /// A link's target says little: what counts is where the file system ends up, through other links, wherever in the archive they are.
    #[test]
    fn links_may_lead_anywhere_inside_and_nowhere_outside() {
        let inside = tree(&[
            ("a/b/file", file()),
            ("a/up", link("..")),
            ("over", link("a/b/../b/file")),
            ("through", link("a/up/a/b/file")),
            ("dangling", link("a/not/there")),
        ]);
        let inside = inside.expect("a tree");
        assert!(inside.check_links("").is_ok());
        assert_eq!(inside.file("through").as_deref(), Some("a/b/file"));
        assert_eq!(inside.file("a/b"), None);

        let outside: [&[(&str, Kind)]; 5] = [
            &[("a", link(".."))],
            &[("a/b", link("../../x"))],
            // b leads to the root; one more step leaves it.
            &[("a/b", link("..")), ("c", link("a/b/.."))],
            // The same with the way out first.
            &[("c", link("d/b/..")), ("d/b", link(".."))],
            &[("x/y", link("not/there/../../../.."))],
        ];
        for entries in outside {
            let tree = tree(entries).expect("a tree");
            assert!(matches!(tree.check_links(""), Err(ArchiveError::LinkOut { .. })), "{entries:?}");
        }
        let circle = tree(&[("a", link("b")), ("b", link("a"))]).expect("a tree");
        assert!(matches!(circle.check_links(""), Err(ArchiveError::LinkLoop { .. })));
    }

    /// Where the outermost folder is taken off, a link to beside it leads out.
    #[test]
    fn the_root_of_links_is_the_folder_in_which_everything_lies() {
        let tree = tree(&[("app/x", link("../app/y")), ("app/y", file())]).expect("a tree");
        assert_eq!(tree.top(), "app");
        assert!(tree.check_links("").is_ok());
        assert!(matches!(tree.check_links("app"), Err(ArchiveError::LinkOut { .. })));
    }

    /// Only a folder that holds everything is taken off.
    #[test]
    fn a_top_folder_wraps_everything() {
        let top = |paths: &[&str]| {
            let entries: Vec<_> = paths.iter().map(|path| (*path, file())).collect();
            tree(&entries).expect("a tree").top().to_owned()
        };
        assert_eq!(top(&["app/a", "app/b/c"]), "app");
        assert_eq!(top(&["app/a", "apple"]), "");
        assert_eq!(top(&["app"]), "");
        assert_eq!(top(&[]), "");
    }

    /// A link in the place of a folder would send what follows elsewhere, whichever comes first.
    #[test]
    fn nothing_is_written_through_links_or_over_what_is_there() {
        assert!(matches!(tree(&[("a", link("b")), ("a/c", file())]), Err(ArchiveError::ThroughLink { .. })));
        assert!(matches!(
            tree(&[("a", link("b")), ("a/c/d", file())]),
            Err(ArchiveError::ThroughLink { .. })
        ));
        assert!(matches!(tree(&[("a/c", file()), ("a", link("b"))]), Err(ArchiveError::Twice { .. })));
        assert!(matches!(tree(&[("a", file()), ("a/c", file())]), Err(ArchiveError::ThroughFile { .. })));
        assert!(matches!(tree(&[("a", file()), ("a", file())]), Err(ArchiveError::Twice { .. })));
        assert!(tree(&[("a", Kind::Directory), ("a", Kind::Directory), ("a/b", file())]).is_ok());
        assert!(matches!(tree(&[("a", link("/etc"))]), Err(ArchiveError::AbsoluteLink { .. })));
        let to = |target: &str| Kind::HardLink { target: target.into() };
        assert!(tree(&[("a", file()), ("b", to("a")), ("c", to("b"))]).is_ok());
        for bad in ["a", "l", "d"] {
            let entries = [("l", link("f")), ("f", file()), ("d", Kind::Directory), ("a", to(bad))];
            assert!(matches!(tree(&entries), Err(ArchiveError::HardLinkOut { .. })), "{bad}");
        }
    }

    /// A thousand links through each other must not cost hours.
    #[test]
    fn tangles_of_links_end() {
        let names: Vec<String> = (0..39).map(|number| format!("l{number}")).collect();
        let mut entries: Vec<(&str, Kind)> = Vec::new();
        for pair in names.windows(2) {
            entries.push((&pair[0], link(&format!("./././{}", pair[1]))));
        }
        let tree = tree(&entries).expect("a tree");
        assert!(tree.check_links("").is_ok());
        let mut steps = MAX_STEPS;
        assert_eq!(tree.resolve("", "", "l0", &mut steps), Err(Lost::Tangled));
    }
}
