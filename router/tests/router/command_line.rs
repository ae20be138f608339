//! The program as it is started by a person, or by another program.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use ecep_proto::api::realm::CONTROL;
use ecep_proto::codec::Serializer;
use ecep_router::TransportKind;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::client::Client;

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

/// A parent process waits for the lines that say where the router listens; then clients can connect, and pages of this
/// machine, but none of elsewhere: everybody may do everything.
#[test]
fn dev_says_where_it_listens() {
    let mut child = Running(router(&["dev", "--ws", "127.0.0.1:0", "--raw", "127.0.0.1:0"]).spawn().unwrap());
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let mut lines = output.lines().map(|line| line.unwrap());
    for (kind, scheme) in [("websocket", "ws"), ("rawsocket", "rs")] {
        let line = lines.next().unwrap();
        let address =
            line.strip_prefix(&format!("listening {kind} {scheme}://")).unwrap_or_else(|| panic!("{line}"));
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        if kind == "websocket" {
            assert!(answer_to_page(&mut stream, "http://localhost:3000").starts_with("HTTP/1.1 101 "));
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            // As a name that was pointed to this machine would have it.
            assert!(answer_to_page(&mut stream, "http://evil.example").starts_with("HTTP/1.1 403 "));
        }
    }
    let hint: Vec<String> = lines.take(2).collect();
    assert!(hint[0].contains("realm1"), "{hint:?}");
    assert!(hint[1].contains("docs/router-quickstart.md"), "{hint:?}");
}

/// The first line of the answer to a page of that origin, whose host is the router's own name.
fn answer_to_page(stream: &mut std::net::TcpStream, origin: &str) -> String {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// Unix sockets are named as TCP ones are, in the order of the configuration.
#[test]
fn run_says_where_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let (path, socket) = (folder.path().join("router.toml"), folder.path().join("router.sock"));
    let text = format!(
        "[[listen]]\nkind = \"rawsocket\"\naddress = {socket:?}\n\
         [[listen]]\nkind = \"websocket\"\naddress = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut child = Running(router(&["run", "--config", path.to_str().unwrap()]).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    assert_eq!(lines.next().unwrap(), format!("listening rawsocket unix:{}", socket.display()));
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    assert!(lines.next().unwrap().starts_with("listening websocket ws://127.0.0.1:"));
}

/// A router that is open to everybody must not be reachable from elsewhere by mistake.
#[test]
fn dev_refuses_other_addresses() {
    let output = router(&["dev", "--ws", "0.0.0.0:0"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("0.0.0.0 is not a loopback address"), "{text}");
}

/// Two routers on one port, as when a demo runs already: the second one says what to do, once.
#[test]
fn a_taken_address_is_told_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = router(&["dev", "--ws", &address, "--raw", "127.0.0.1:0"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("can't listen on {address}: ")), "{said}");
    assert!(said.contains("or choose another one"), "{said}");
    assert_eq!(said.matches("Address already in use").count(), 1, "{said}");
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

/// A fleet is larger than what most systems let a program open that does not ask for more.
#[tokio::test(flavor = "multi_thread")]
async fn more_clients_are_served_than_the_usual_limit_of_files_allows() {
    const USUAL: usize = 64;
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -S -n {USUAL}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_ecep-router"),
    ]);
    command.args(["dev", "--ws", "127.0.0.1:0", "--raw", "127.0.0.1:0"]);
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix("listening websocket ws://").unwrap().parse().unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 * USUAL {
        let mut client = Client::connect(address, TransportKind::WebSocket, Serializer::Json).await;
        client.join("realm1").await;
        clients.push(client);
    }
    assert_eq!(clients.len(), 2 * USUAL);
}

/// Tickets travel in messages: whatever is asked to be logged, a message must not be.
#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_logged() {
    const SECRET: &str = "a-ticket-that-nobody-may-read";
    let mut command = router(&["dev", "--ws", "127.0.0.1:0", "--raw", "127.0.0.1:0"]);
    command.env("RUST_LOG", "trace,tungstenite=trace,tungstenite::protocol=trace");
    let mut child = Running(command.spawn().unwrap());
    let mut log = child.0.stderr.take().unwrap();
    let logged = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).map(|_| text)
    });
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let mut request = line.strip_prefix("listening websocket ").unwrap().into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "wamp.2.json".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let hello = format!(r#"[1, "realm1", {{"roles": {{"caller": {{}}}}, "authid": "{SECRET}"}}]"#);
    socket.send(Message::text(hello)).await.unwrap();
    socket.next().await.unwrap().unwrap();
    socket.send(Message::text(format!(r#"[48, 1, {{}}, "com.nothing", ["{SECRET}"]]"#))).await.unwrap();
    socket.next().await.unwrap().unwrap();
    drop(child);
    let logged = logged.join().unwrap().unwrap();
    assert!(logged.contains("session joins"), "nothing was logged, so this shows nothing:\n{logged}");
    assert!(!logged.contains(SECRET), "{logged}");
}

/// SIGHUP reads the file again: a wrong one changes nothing and the log says why, a right one holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reads_the_configuration_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.toml");
    let text = |role: &str| {
        format!(
            "[[listen]]\nkind = \"rawsocket\"\naddress = \"127.0.0.1:0\"\n\
             [[realm]]\nname = \"a\"\nanonymous_role = \"{role}\"\n\
             [[realm.role]]\nname = \"one\"\n[[realm.role]]\nname = \"two\"\n"
        )
    };
    std::fs::write(&path, text("one")).unwrap();
    let mut child = Running(router(&["run", "--config", path.to_str().unwrap()]).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix("listening rawsocket rs://").unwrap().parse().unwrap();
    let mut reload = |config: String, expected: &str| {
        std::fs::write(&path, config).unwrap();
        let told = Command::new("kill").args(["-HUP", &child.0.id().to_string()]).status().unwrap();
        assert!(told.success());
        // Ends with the program, if it never says so.
        let mut said = log.find(|line| line.as_ref().unwrap().contains("was read again")).unwrap().unwrap();
        if said.ends_with("wrong:") {
            said = log.next().unwrap().unwrap();
        }
        assert!(said.contains(expected), "{said}");
    };
    let authrole = async || {
        let mut client = Client::connect(address, TransportKind::RawSocket, Serializer::Json).await;
        client.join("a").await.details["authrole"].as_str().unwrap().to_owned()
    };
    assert_eq!(authrole().await, "one");
    reload(text("three"), "realm a has no role three");
    assert_eq!(authrole().await, "one");
    reload(text("two"), "holds now");
    assert_eq!(authrole().await, "two");
}

/// What the router would run with is shown without starting it, and without the secrets.
#[test]
fn the_configuration_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let ticket = folder.path().join("ticket");
    std::fs::write(&ticket, "a-secret").unwrap();
    let path = folder.path().join("router.toml");
    let text = format!(
        "[[listen]]\nkind = \"websocket\"\naddress = \"127.0.0.1:0\"\n\
         [[realm]]\nname = \"a\"\n[[realm.role]]\nname = \"r\"\n\
         [[realm.principal]]\nauthid = \"p\"\nrole = \"r\"\nticket_file = {ticket:?}\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut command = router(&["run", "--config", path.to_str().unwrap(), "--print-config"]);
    let output = command.env("ECEP_ROUTER__LIMITS__MAX_CONNECTIONS", "50").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("max_connections = 50") && printed.contains("ticket_file"), "{printed}");
    assert!(!printed.contains("a-secret"), "{printed}");
    std::fs::write(&path, &printed).unwrap();
    let again = router(&["run", "--config", path.to_str().unwrap(), "--print-config"]).output().unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), printed);
}
