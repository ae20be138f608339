//! What the Docker engine's errors mean, in sentences for the person who gave the order. No I/O.

use bollard::errors::Error;
use ecep_fleet::image_reference::registry_of;

use crate::engine::EngineError;

/// Longest text of the engine that an error repeats.
const MAX_ENGINE_TEXT: usize = 400;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing<'a> {
    /// A question about the engine as a whole.
    Asking,
    /// Something with a container; the verb.
    Container(&'static str),
    /// Something with this image.
    Image(&'a str),
    /// A pull of this image.
    Pull(&'a str),
    /// An image's archive is being loaded.
    Load,
    /// An image is being built.
    Build,
    /// Something with this volume.
    Volume(&'a str),
    /// Something with this network.
    Network(&'a str),
}

/// The connection could not be had, or the two could not agree.
pub(super) fn unreachable(error: &Error) -> EngineError {
    EngineError::Unreachable(chain(error))
}

/// What an error of the engine means.
pub(super) fn read(doing: &Doing<'_>, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => of_status(doing, status_code, &message),
        Error::DockerStreamError { error } => of_status(doing, 500, &error),
        // An answer that this agent cannot read comes from an engine that is there.
        error @ (Error::JsonDataError { .. }
        | Error::JsonSerdeError { .. }
        | Error::URLEncodedError { .. }) => {
            EngineError::Failed(format!("the engine's answer cannot be read: {error}"))
        }
        other => unreachable(&other),
    }
}

/// What a refusal of the engine means, by its status and its text.
pub(super) fn of_status(doing: &Doing<'_>, status: u16, message: &str) -> EngineError {
    if let Some(port) = taken_port(message) {
        return EngineError::Conflict(format!(
            "the device's port {port} is taken by another container or program; choose another port, or leave `host` \
             out for any free one"
        ));
    }
    let told: String = message.trim().chars().take(MAX_ENGINE_TEXT).collect();
    match doing {
        Doing::Pull(image) => pull_failure(image, &told),
        Doing::Load => EngineError::Failed(format!("the engine cannot load the image's archive: {told}")),
        Doing::Build => EngineError::Failed(format!("the build failed: {told}")),
        Doing::Image(image) => match status {
            404 => EngineError::NotFound(format!("there is no image {image} on this device")),
            409 => EngineError::Conflict(format!(
                "the image {image} is in use; delete the containers that were created from it first ({told})"
            )),
            _ => EngineError::Failed(format!("the engine refused about image {image}: {told}")),
        },
        Doing::Volume(volume) => {
            EngineError::Failed(format!("the engine cannot make the volume {volume}: {told}"))
        }
        Doing::Network(network) if told.contains("overlaps") => EngineError::Conflict(format!(
            "the network {network} cannot be made: another network of this device has some of its addresses. Remove that \
             one, or give the control plane another --address-pool ({told})"
        )),
        Doing::Network(network) => {
            let text = format!("the engine refused about the network {network}: {told}");
            match status {
                404 => EngineError::NotFound(text),
                409 => EngineError::Conflict(text),
                _ => EngineError::Failed(text),
            }
        }
        Doing::Asking => EngineError::Failed(format!("the engine refused to answer: {told}")),
        Doing::Container(verb) => {
            let way_out = command_advice(&told).map(|advice| format!("; {advice}")).unwrap_or_default();
            let text = format!("the engine could not {verb} the container: {told}{way_out}");
            match status {
                404 => EngineError::NotFound(text),
                409 => EngineError::Conflict(text),
                400 => EngineError::Invalid(text),
                _ => EngineError::Failed(text),
            }
        }
    }
}

/// What to do where the command of a container cannot be run.
fn command_advice(told: &str) -> Option<&'static str> {
    let of_command = told.contains("exec: ") || told.contains("exec /");
    if !of_command {
        return None;
    }
    if told.contains("permission denied") {
        Some(
            "the command's file is not executable: name what runs it, as in `sh ./run.sh`, or pack it as a tar that keeps its mode",
        )
    } else if told.contains("not found") || told.contains("no such file or directory") {
        Some("the image has no such command: check its name and path, and that the image has what runs it")
    } else if told.contains("exec format error") {
        Some(
            "the command's file is for another architecture, or is a script whose first line does not name what runs it",
        )
    } else {
        None
    }
}

fn pull_failure(image: &str, told: &str) -> EngineError {
    let lower = told.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["not found", "unknown", "does not exist", "denied", "unauthorized"]) {
        return EngineError::NotFound(format!(
            "the image {image} is not on this device, and its registry has none by that name or does not give it out; \
             check the name and the tag ({told})"
        ));
    }
    if says(&["dial tcp", "no such host", "timeout", "connection", "tls", "http response", "eof", "lookup"]) {
        return EngineError::RegistryUnreachable(format!(
            "the image {image} is not on this device, and the registry {} cannot be reached; is the device on the internet, and may \
             it reach that registry? ({told})",
            registry_of(image)
        ));
    }
    if says(&["invalid reference"]) {
        return EngineError::Invalid(format!("{image} is not an image reference ({told})"));
    }
    EngineError::Failed(format!("the engine could not pull {image}: {told}"))
}

/// The port in one of the engine's several ways to say that it is taken.
fn taken_port(message: &str) -> Option<u16> {
    if !message.contains("port is already allocated") && !message.contains("address already in use") {
        return None;
    }
    ["0.0.0.0:", "[::]:", ":::"].iter().find_map(|before| {
        let (_, after) = message.split_once(before)?;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// An error and what it comes from: the outermost alone often says only "client error".
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(doing: Doing<'_>, status_code: u16, message: &str) -> EngineError {
        read(&doing, Error::DockerResponseServerError { status_code, message: message.to_owned() })
    }

    /// A taken port is the commonest failure of a start; every version of the engine words it differently.
    #[test]
    fn a_taken_port_is_a_conflict_that_names_it() {
        for message in [
            "driver failed programming external connectivity on endpoint ecep-c1 (ab): Bind for 0.0.0.0:8080 failed: \
             port is already allocated",
            "driver failed programming external connectivity: Error starting userland proxy: listen tcp4 0.0.0.0:8080: \
             bind: address already in use",
            "failed to set up container networking: failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: \
             address already in use",
        ] {
            let error = refused(Doing::Container("start"), 500, message);
            let EngineError::Conflict(text) = &error else { panic!("{error:?}") };
            assert!(text.contains("port 8080"), "{text}");
        }
    }

    /// A wrong name and a registry out of reach need different acts, so they must be different errors.
    #[test]
    fn a_wrong_image_and_a_lost_registry_are_told_apart() {
        let wrong = refused(Doing::Pull("a:b"), 404, "manifest for a:b not found: manifest unknown");
        assert!(matches!(wrong, EngineError::NotFound(_)), "{wrong:?}");
        let lost =
            refused(Doing::Pull("a:b"), 500, "Get \"https://r/v2/\": dial tcp: lookup r: no such host");
        assert!(matches!(lost, EngineError::RegistryUnreachable(_)), "{lost:?}");
    }

    /// The engine's status decides the kind, and its text stays within bounds.
    /// The engine says what it could not run, not what to do; a script without its mode is the commonest.
    #[test]
    fn a_command_that_cannot_be_run_has_a_way_out() {
        let before = "OCI runtime create failed: unable to start container process: ";
        for (text, advice) in [
            (r#"exec: "./run.sh": permission denied: unknown"#, "sh ./run.sh"),
            (r#"exec: "nope": executable file not found in $PATH: unknown"#, "no such command"),
            (r#"exec: "/a/b": stat /a/b: no such file or directory: unknown"#, "no such command"),
            ("exec /run.sh: exec format error", "architecture"),
        ] {
            let error = refused(Doing::Container("start"), 400, &format!("{before}{text}"));
            assert!(
                matches!(&error, EngineError::Invalid(told) if told.contains(text) && told.contains(advice)),
                "{error:?}"
            );
        }
        let other = refused(Doing::Container("start"), 500, "mkdir /sys/fs/cgroup/x: permission denied");
        assert!(
            matches!(&other, EngineError::Failed(told) if told.ends_with("permission denied")),
            "{other:?}"
        );
    }

    #[test]
    fn statuses_become_kinds() {
        assert!(matches!(refused(Doing::Container("start"), 404, "x"), EngineError::NotFound(_)));
        assert!(matches!(refused(Doing::Container("start"), 400, "x"), EngineError::Invalid(_)));
        assert!(matches!(refused(Doing::Image("a"), 409, "x"), EngineError::Conflict(_)));
        assert!(refused(Doing::Asking, 500, &"x".repeat(10_000)).to_string().len() < 1_000);
        assert!(matches!(read(&Doing::Asking, Error::RequestTimeoutError), EngineError::Unreachable(_)));
    }
}
