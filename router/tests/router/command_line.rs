//! The program as it is started by a person, or by another program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use ecep_proto::api::realm::CONTROL;

fn router(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecep-router"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the program when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A parent process waits for the lines that say where the router listens; then clients can connect.
#[test]
fn dev_says_where_it_listens() {
    let mut child = Running(router(&["dev", "--ws", "127.0.0.1:0", "--raw", "127.0.0.1:0"]).spawn().unwrap());
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let mut lines = output.lines().map(|line| line.unwrap());
    for (kind, scheme) in [("websocket", "ws"), ("rawsocket", "rs")] {
        let line = lines.next().unwrap();
        let address =
            line.strip_prefix(&format!("listening {kind} {scheme}://")).unwrap_or_else(|| panic!("{line}"));
        std::net::TcpStream::connect(address).unwrap();
    }
    let hint: Vec<String> = lines.take(2).collect();
    assert!(hint[0].contains("realm1"), "{hint:?}");
}

/// A router that is open to everybody must not be reachable from elsewhere by mistake.
#[test]
fn dev_refuses_other_addresses() {
    let output = router(&["dev", "--ws", "0.0.0.0:0"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("0.0.0.0 is not a loopback address"), "{text}");
}

/// A mistake in the configuration is found at the start, and said in words.
#[test]
fn run_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.toml");
    let listen = "[[listen]]\nkind = \"websocket\"\naddress = \"127.0.0.1:0\"\n";
    for (text, expected) in [
        ("".to_owned(), "add a [[listen]]"),
        (format!("{listen}[limits]\nmax_conections = 3\n"), "max_conections"),
        (format!("{listen}[limits]\nmax_connections = 0\n"), "limits.max_connections is 0"),
        (format!("{listen}[[realm]]\nname = \"a\"\nanonymous_role = \"x\"\n"), "realm a has no role x"),
        (format!("{listen}[[realm]]\nname = \"{CONTROL}\"\n"), "belongs to the platform"),
        (
            format!("{listen}[platform]\ncontrol_ticket_file = \"/nowhere/ticket\"\n"),
            "can't read /nowhere/ticket",
        ),
    ] {
        std::fs::write(&path, &text).unwrap();
        let output = router(&["run", "--config", path.to_str().unwrap()]).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{text}\n{said}");
    }
}
