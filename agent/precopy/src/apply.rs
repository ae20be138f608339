//! Puts changes of a tree in place: what came as a part of it, and what is gone. Either into a plain folder, or through the
//! mount of an overlay whose upper layer they are of (the kernel's filesystems/overlayfs): then whiteouts and opaque folders
//! are done, not copied.

use std::ffi::{CString, OsStr};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs as sys;

use crate::copy::copy;

/// An overlay's own attributes; nobody can set them through its mount.
const OVERLAY: &str = "trusted.overlay.";
/// That which says that a folder hides what is below it.
const OPAQUE: &str = "trusted.overlay.opaque";
/// The kernel's longest list of attribute names, and its longest attribute.
const MAX_XATTR: usize = 64 * 1024;

/// Those that say where the rest of something is, in layers below: what has them cannot be done through the mount (of kernels
/// with `redirect_dir` or `metacopy`).
const ELSEWHERE: [&str; 2] = ["trusted.overlay.redirect", "trusted.overlay.metacopy"];

/// What the changes are put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into<'a> {
    /// A folder, as it is.
    Folder,
    /// The mount of an overlay; the changes are of its upper layer, which is this one.
    Overlay(&'a Path),
}

impl Into<'_> {
    fn below(self, name: &OsStr) -> Option<PathBuf> {
        match self {
            Self::Folder => None,
            Self::Overlay(upper) => Some(upper.join(name)),
        }
    }
}

/// Puts the part of a tree into a folder that has the rest, in place of what is there. `part` is used up by it.
///
/// # Errors
/// The disk refuses; some of it is in place then.
pub fn changes(part: &Path, target: &Path, into: Into<'_>) -> io::Result<()> {
    make_room(part, target, into)?;
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
fn make_room(part: &Path, target: &Path, into: Into<'_>) -> io::Result<()> {
    for child in fs::read_dir(part)? {
        let child = child?;
        let (from, to) = (child.path(), target.join(child.file_name()));
        let upper = into.below(&child.file_name());
        let metadata = from.symlink_metadata()?;
        if let Some(place) = &upper {
            refuse_elsewhere(&from, place)?;
        }
        if !metadata.is_dir() {
            remove(&to)?;
            if upper.is_some() && is_whiteout(&metadata) {
                fs::remove_file(&from)?;
            }
            continue;
        }
        // One that hides what is below it already has the rest of the part's; one that does not has only what it must not have.
        let hides = match &upper {
            Some(upper) => is_opaque(&from)? && !is_opaque(upper)?,
            None => false,
        };
        if hides || to.symlink_metadata().is_ok_and(|there| !there.is_dir()) {
            remove(&to)?;
        }
        make_room(&from, &to, upper.as_deref().map_or(Into::Folder, Into::Overlay))?;
    }
    if into != Into::Folder {
        for name in overlay_attributes(part)? {
            sys::lremovexattr(part, name.as_c_str())?;
        }
    }
    Ok(())
}

fn refuse_elsewhere(from: &Path, place: &Path) -> io::Result<()> {
    for name in overlay_attributes(from)? {
        if ELSEWHERE.iter().any(|elsewhere| name.as_bytes() == elsewhere.as_bytes()) {
            return Err(io::Error::other(format!(
                "{} was renamed or changed in a way that only its own kernel's overlay understands; move the container again, or \
                 cold",
                place.display()
            )));
        }
    }
    Ok(())
}

/// Whether a folder of an upper layer hides what is below it; one that is not there does not.
fn is_opaque(folder: &Path) -> io::Result<bool> {
    let mut value = [0; 4];
    match sys::lgetxattr(folder, OPAQUE, value.as_mut_slice()) {
        Ok(length) => Ok(value.get(..length) == Some(b"y")),
        Err(
            rustix::io::Errno::NODATA
            | rustix::io::Errno::NOENT
            | rustix::io::Errno::NOTDIR
            | rustix::io::Errno::OPNOTSUPP,
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn overlay_attributes(path: &Path) -> io::Result<Vec<CString>> {
    let all = xattrs(path)?.into_iter();
    Ok(all.filter(|name| name.as_bytes().starts_with(OVERLAY.as_bytes())).collect())
}

fn xattrs(path: &Path) -> io::Result<Vec<CString>> {
    let mut names = vec![0; MAX_XATTR];
    let length = match sys::llistxattr(path, names.as_mut_slice()) {
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| CString::new(name).map_err(io::Error::other)).collect()
}

/// A character device 0:0: the upper layer's word for "not there any more".
fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
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
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

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
        changes(&part, &target, Into::Folder).unwrap();
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

    /// Through an overlay's mount the merged view becomes what the source's was: removed files, and folders that were made anew.
    #[test]
    fn an_upper_layer_is_done_through_the_mount() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scene = tempfile::tempdir().unwrap();
        let at = |name: &str| scene.path().join(name);
        write(&at("lower"), &["removed", "kept", "anew/old", "folder/removed", "folder/kept"]);
        for folder in ["one", "one-work", "one-merged", "two", "two-work", "two-merged"] {
            fs::create_dir(at(folder)).unwrap();
        }
        let mount = |upper: &str| {
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                at("lower").display(),
                at(upper).display(),
                at(&format!("{upper}-work")).display()
            );
            let mut command = Command::new("mount");
            command.args(["-t", "overlay", "-o", &options, "overlay"]).arg(at(&format!("{upper}-merged")));
            command.status().is_ok_and(|status| status.success())
        };
        if !mount("one") {
            return;
        }
        assert!(mount("two"));
        let merged = at("one-merged");
        fs::remove_file(merged.join("removed")).unwrap();
        fs::remove_file(merged.join("folder/removed")).unwrap();
        fs::remove_dir_all(merged.join("anew")).unwrap();
        write(&merged, &["anew/new", "fresh"]);
        let one = listing(&merged);
        let copied = Command::new("cp").arg("-a").args([at("one"), at("part")]).status().unwrap();
        assert!(copied.success());
        let upper = at("two");
        let put = |part: &str| changes(&at(part), &at("two-merged"), Into::Overlay(&upper));
        let two = put("part").map(|()| listing(&at("two-merged")));
        // Later one file of a folder that was made anew changes: the others that are in it stay.
        write(&merged, &["anew/other"]);
        let more = Command::new("cp").arg("-a").args([at("one"), at("more")]).status().unwrap();
        assert!(more.success());
        let both = put("more").and_then(|()| {
            fs::write(merged.join("anew/new"), "changed")?;
            let copied = Command::new("cp").arg("-a").args([at("one"), at("later")]).status()?;
            assert!(copied.success());
            fs::remove_file(at("later").join("anew/other"))?;
            put("later")?;
            Ok((listing(&merged), listing(&at("two-merged"))))
        });
        for name in ["one-merged", "two-merged"] {
            assert!(Command::new("umount").arg(at(name)).status().unwrap().success());
        }
        assert_eq!(one, two.unwrap());
        let (source, destination) = both.unwrap();
        assert_eq!(source, destination);
        assert!(destination.iter().any(|line| line.starts_with("anew/other")));
        assert!(
            one.iter().any(|line| line.starts_with("anew/new"))
                && !one.iter().any(|line| line.contains("removed"))
        );
    }
}
