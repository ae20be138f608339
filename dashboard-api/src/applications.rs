//! What a version may be: the bounds that devices have too, and whether its artifact is of the kind that it needs. Pure.

use ecep_fleet::{image_reference::ImageReference, wanted};
use ecep_proto::api::{
    application::{Settings, Source},
    artifact::ArtifactKind,
    container::RestartPolicy,
    error::ApiError,
};

use crate::{naming::invalid, store::Artifact};

/// Longest line about what is new, in characters.
const MAX_NOTE: usize = 500;
/// Longest path in a bundle or of a folder, in bytes.
const MAX_PATH: usize = 255;
/// Longest command that installs what an application depends on, in bytes.
const MAX_INSTALL: usize = 4_096;
/// Seconds that a new container may have to run to count as healthy.
const HEALTHY_AFTER: std::ops::RangeInclusive<u32> = 1..=600;

/// Refuses settings that no device takes.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_settings(settings: &Settings) -> Result<(), ApiError> {
    wanted::check(&settings.into())?;
    if settings.run_once && settings.restart != RestartPolicy::No {
        return Err(invalid("settings: what runs once is not started again; leave restart out."));
    }
    if settings.healthy_after_seconds.is_some_and(|seconds| !HEALTHY_AFTER.contains(&seconds)) {
        return Err(invalid("settings: healthy_after_seconds must be 1 to 600."));
    }
    Ok(())
}

/// Refuses notes that are longer than a line; gives it trimmed.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_note(note: Option<String>) -> Result<Option<String>, ApiError> {
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE || note.chars().any(char::is_control))
    {
        return Err(invalid(format!("The note must be one line of {MAX_NOTE} characters at most.")));
    }
    Ok(note)
}

/// Refuses a source whose parts do not fit together. The artifact is the one that it names, if it names one.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_source(source: &Source, artifact: Option<&Artifact>) -> Result<(), ApiError> {
    let kind = artifact.map(|artifact| artifact.kind);
    match source {
        Source::Image { image } => image.parse::<ImageReference>().map(drop),
        Source::ImageArchive { .. } => is_of(kind, &[ArtifactKind::ImageArchive], "an image archive"),
        Source::SourceBundle { dockerfile, .. } => {
            let Some(path) = dockerfile else {
                if kind == Some(ArtifactKind::Files) {
                    return Err(invalid(
                        "source: the archive has no Dockerfile at its root. Say where in it the Dockerfile is, or pack what is in the folder without the folder itself (`tar -C FOLDER -cf app.tar .`).",
                    ));
                }
                return is_of(kind, &[ArtifactKind::SourceBundle], "a tree with a Dockerfile at its root");
            };
            is_of(kind, &[ArtifactKind::SourceBundle, ArtifactKind::Files], "a tree of files")?;
            if path.starts_with('/') || !is_plain(path) {
                return Err(invalid(format!(
                    "source: {path:?} is no path in the bundle; use one such as docker/Dockerfile."
                )));
            }
            Ok(())
        }
        Source::Files { base, directory, install, .. } => {
            is_of(kind, &[ArtifactKind::Files, ArtifactKind::SourceBundle], "a tree of files")?;
            base.parse::<ImageReference>()?;
            if let Some(path) = directory
                && !(path.starts_with('/') && path.len() > 1 && is_plain(&path[1..]))
            {
                return Err(invalid(format!(
                    "source: {path:?} is no folder for the files; use one such as /app."
                )));
            }
            if let Some(command) = install
                && (command.trim().is_empty() || command.len() > MAX_INSTALL || command.contains('\0'))
            {
                return Err(invalid(format!(
                    "source: install must be a command of 1 to {MAX_INSTALL} bytes; leave it out if there is nothing to install."
                )));
            }
            Ok(())
        }
    }
}

fn is_of(found: Option<ArtifactKind>, wanted: &[ArtifactKind], what: &str) -> Result<(), ApiError> {
    if found.is_some_and(|found| wanted.contains(&found)) {
        return Ok(());
    }
    let found = match found {
        Some(ArtifactKind::ImageArchive) => "an image archive",
        Some(ArtifactKind::SourceBundle) => "a tree of files with a Dockerfile",
        Some(ArtifactKind::Files) => "a tree of files without a Dockerfile at its root",
        None => "nothing",
    };
    Err(invalid(format!(
        "source: the artifact is {found}, and {what} is needed. Choose another kind or file."
    )))
}

/// Whether it is a path below something: no empty parts, no way out.
fn is_plain(path: &str) -> bool {
    let parts_are_plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    path.len() <= MAX_PATH && parts_are_plain && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(kind: ArtifactKind) -> Artifact {
        Artifact {
            tenant: "acme".parse().unwrap(),
            digest: "ab".repeat(32).parse().unwrap(),
            name: "app.tar".to_owned(),
            kind,
            bytes: 1,
            unpacked_bytes: 1,
            architectures: vec![],
            uploaded_at: 0,
        }
    }

    /// Packing the folder itself instead of what is in it is the usual mistake.
    #[test]
    fn a_bundle_in_a_folder_of_its_own_is_told_the_way_out() {
        let bundle =
            Source::SourceBundle { artifact: artifact(ArtifactKind::Files).digest, dockerfile: None };
        let error = check_source(&bundle, Some(&artifact(ArtifactKind::Files))).unwrap_err();
        assert!(error.message.contains("tar -C FOLDER -cf app.tar ."), "{}", error.message);
    }

    /// What a device would refuse after minutes is refused at once, with the way out.
    #[test]
    fn sources_fit_their_artifacts() {
        use ArtifactKind::{Files, ImageArchive, SourceBundle};
        let digest = artifact(Files).digest;
        let bundle = |dockerfile: Option<&str>| Source::SourceBundle {
            artifact: digest.clone(),
            dockerfile: dockerfile.map(str::to_owned),
        };
        let files = |directory: Option<&str>, install: Option<&str>| Source::Files {
            artifact: digest.clone(),
            base: "python:3".to_owned(),
            directory: directory.map(str::to_owned),
            install: install.map(str::to_owned),
        };
        let archive = Source::ImageArchive { artifact: digest.clone() };
        for (source, kind) in [
            (archive.clone(), ImageArchive),
            (bundle(None), SourceBundle),
            (bundle(Some("docker/Dockerfile")), Files),
            (files(None, None), Files),
            (files(Some("/srv/app"), Some("pip install -r requirements.txt")), SourceBundle),
        ] {
            assert_eq!(check_source(&source, Some(&artifact(kind))), Ok(()), "{source:?}");
        }
        for (source, kind) in [
            (archive, Files),
            (bundle(None), Files),
            (bundle(None), ImageArchive),
            (bundle(Some("../Dockerfile")), SourceBundle),
            (bundle(Some("/etc/passwd")), SourceBundle),
            (files(Some("app"), None), Files),
            (files(Some("/"), None), Files),
            (files(Some("/a/../b"), None), Files),
            (files(None, Some(" ")), Files),
            (files(None, None), ImageArchive),
        ] {
            assert!(check_source(&source, Some(&artifact(kind))).is_err(), "{source:?} of {kind:?}");
        }
        assert!(check_source(&Source::Image { image: "a b".to_owned() }, None).is_err());
    }

    /// A run-once application that is started again never ends.
    #[test]
    fn settings_fit_each_other() {
        let once = Settings { run_once: true, ..Settings::default() };
        assert_eq!(check_settings(&once), Ok(()));
        assert!(check_settings(&Settings { restart: RestartPolicy::Always, ..once }).is_err());
        for seconds in [0, 601] {
            let settings = Settings { healthy_after_seconds: Some(seconds), ..Settings::default() };
            assert!(check_settings(&settings).is_err(), "{seconds}");
        }
        let named = Settings { env: [("A=B".to_owned(), String::new())].into(), ..Settings::default() };
        assert!(check_settings(&named).is_err());
    }
}
