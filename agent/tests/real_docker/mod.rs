//! Where the Docker engine for tests is, and an image on it that needs no registry.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
    sync::Once,
};

const IMAGE: &str = "ecep/agent-test:1";
const DOCKERFILE: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

/// The engine's address and an image with a shell; `None`, with the reason printed, where there is no engine to
/// test with.
pub fn ready() -> Option<(String, String)> {
    let Ok(socket) = env::var("ECEP_TEST_DOCKER") else {
        eprintln!("skipped: set ECEP_TEST_DOCKER=/path/to/docker.sock to test with a real engine");
        return None;
    };
    let address = if socket.starts_with('/') { format!("unix://{socket}") } else { socket };
    // Once for all tests of this program: the image's name would go to another image under those that are at work.
    static BUILT: Once = Once::new();
    BUILT.call_once(|| build(&address));
    Some((address, IMAGE.to_owned()))
}

fn build(address: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).exists());
    let busybox = busybox.expect("busybox-static is installed");
    std::fs::copy(busybox, folder.path().join("busybox")).expect("busybox can be copied");
    let mut file = std::fs::File::create(folder.path().join("Dockerfile")).expect("a file");
    file.write_all(DOCKERFILE.as_bytes()).expect("written");
    let built = Command::new("docker")
        .args(["-H", address, "build", "--quiet", "--tag", IMAGE])
        .arg(folder.path())
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::null())
        .output()
        .expect("the docker client is installed");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}
