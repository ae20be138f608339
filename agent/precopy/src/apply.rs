//! Puts changes of a tree in place: what came as a part of it, and what is gone.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::copy::copy;

/// Puts the part of a tree into a folder that has the rest, in place of what is there.
///
/// # Errors
/// The disk refuses; some of it is in place then.
pub fn changes(part: &Path, target: &Path) -> io::Result<()> {
    make_room(part, target)?;
    copy(part, target)
}

/// Removes what is gone.
///
/// # Errors
/// A path leads out of the folder, or the disk refuses.
pub fn removals(gone: &[PathBuf], target: &Path) -> io::Result<()> {
    for path in gone {
        if path.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(io::Error::other(format!("{} leads out of the folder", path.display())));
        }
        // A parent that is a link leads elsewhere.
        let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        let mut folders =
            parents.map(|parent| target.join(parent).symlink_metadata().is_ok_and(|parent| parent.is_dir()));
        if folders.all(|is_folder| is_folder) {
            remove(&target.join(path))?;
        }
    }
    Ok(())
}

/// Removes from the target what the part's files take the place of.
fn make_room(part: &Path, target: &Path) -> io::Result<()> {
    for child in fs::read_dir(part)? {
        let child = child?;
        let to = target.join(child.file_name());
        if child.file_type()?.is_dir() {
            if to.symlink_metadata().is_ok_and(|there| !there.is_dir()) {
                remove(&to)?;
            }
            make_room(&child.path(), &to)?;
        } else {
            remove(&to)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let outcome = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn listing(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for child in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = child.path();
                let metadata = path.symlink_metadata().unwrap();
                let name = path.strip_prefix(root).unwrap().display().to_string();
                if metadata.is_dir() {
                    found.push(format!("{name}/ {:o}", metadata.mode() & 0o7777));
                    folders.push(path);
                } else {
                    let content = fs::read_to_string(&path).unwrap_or_default();
                    found.push(format!("{name} {:o} {content}", metadata.mode() & 0o7777));
                }
            }
        }
        found.sort();
        found
    }

    fn write(root: &Path, files: &[&str]) {
        for name in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    /// What came takes the place of what was there, whatever kind that was; all else stays.
    #[test]
    fn changes_take_their_places() {
        let scene = tempfile::tempdir().unwrap();
        let (part, target) = (scene.path().join("part"), scene.path().join("target"));
        write(
            &target,
            &["kept", "a/kept", "a/other", "file-becomes-folder", "folder-becomes-file/x", "gone/deep"],
        );
        write(&part, &["new", "a/other", "file-becomes-folder/inside", "folder-becomes-file"]);
        fs::write(part.join("a/other"), "changed").unwrap();
        fs::set_permissions(part.join("a"), fs::Permissions::from_mode(0o711)).unwrap();
        changes(&part, &target).unwrap();
        removals(&["gone".into(), "never-there".into(), "new/not-a-folder".into()], &target).unwrap();
        assert_eq!(
            listing(&target),
            [
                "a/ 711",
                "a/kept 644 a/kept",
                "a/other 644 changed",
                "file-becomes-folder/ 755",
                "file-becomes-folder/inside 644 file-becomes-folder/inside",
                "folder-becomes-file 644 folder-becomes-file",
                "kept 644 kept",
                "new 644 new",
            ]
        );
    }

    /// The list of what is gone comes from another device.
    #[test]
    fn removals_stay_inside() {
        let scene = tempfile::tempdir().unwrap();
        let target = scene.path().join("target");
        write(scene.path(), &["outside/file", "target/file"]);
        std::os::unix::fs::symlink(scene.path().join("outside"), target.join("link")).unwrap();
        removals(&["link/file".into()], &target).unwrap();
        assert!(scene.path().join("outside/file").exists());
        for path in ["../outside", "/etc/x", "a/../../outside"] {
            assert!(removals(&[path.into()], &target).is_err(), "{path}");
        }
    }
}
