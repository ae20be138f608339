//! The configuration: what is refused and how, what goes before the file, and what is printed.

use std::path::{Path, PathBuf};

use ecep_router::{Config, config};

const LISTEN: &str = "[[listen]]\nkind = \"websocket\"\naddress = \"127.0.0.1:0\"\n";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::load(file.path(), environment).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// A mistake is told with its place and what was meant, or the router runs with less protection than was written.
#[test]
fn mistakes_are_told_with_their_place() {
    let realm = "[[realm]]\nname = \"a\"\n[[realm.role]]\nname = \"x\"\n";
    for (text, expected) in [
        (
            "[limits]\nmax_conections = 3\n",
            "limits.max_conections is no known key; the nearest is limits.max_connections",
        ),
        ("[limit]\n", "limit is no known key; the nearest is limits"),
        ("max_connections = 3\n", "max_connections is no known key; there is limits.max_connections"),
        ("xyz = 3\n", "xyz is no known key; there are"),
        (
            "[limits]\nmax_connections = \"3\"\n",
            "limits.max_connections is \"3\"; it must be a whole number from 1 to 1048576",
        ),
        (
            "[limits]\nmax_connections = 0\n",
            "limits.max_connections is 0; it must be a whole number from 1 to 1048576",
        ),
        ("[limits]\nmax_queue_bytes = 1024\n", "it must be at least twice limits.max_message_bytes"),
        ("listen = 3\n", "listen is 3; it must be a list"),
        (
            "[[listen]]\nkind = \"websoket\"\naddress = \"127.0.0.1:0\"\n",
            "listen[0].kind is \"websoket\"; it must be \"websocket\" or \"rawsocket\"",
        ),
        ("[[listen]]\nkind = \"websocket\"\n", "listen[0].address is missing"),
        ("[[listen]]\nkind = \"websocket\"\naddress = \"here\"\n", "listen[0].address: "),
        (
            &format!("{LISTEN}allowed_origins = [\"a.example\"]\n"),
            "listen[0].allowed_origins[0]: \"a.example\" is no",
        ),
        (
            &format!("{LISTEN}allowed_origins = \"*\"\n"),
            "listen[0].allowed_origins is \"*\"; it must be a list",
        ),
        (
            "[[listen]]\nkind = \"rawsocket\"\naddress = \"127.0.0.1:0\"\nallowed_origins = [\"*\"]\n",
            "listen[0].allowed_origins is for WebSocket",
        ),
        (
            &format!("{realm}[[realm.role.rule]]\nurl = \"b\"\nallow = []\n"),
            "realm[0].role[0].rule[0].url is no known key; the nearest is realm[0].role[0].rule[0].uri",
        ),
        (
            &format!("{realm}rule = [{{ uri = \"b\", allow = [\"cal\"] }}]\n"),
            "realm[0].role[0].rule[0].allow[0] is \"cal\"; it must be \"call\" or",
        ),
        (&format!("{realm}trustlevel = -1\n"), "realm[0].role[0].trustlevel is -1"),
        (&format!("{realm}{realm}"), "realm[1].name \"a\" is there twice"),
        (
            "[[realm]]\nname = \"a\"\nanonymous_role = \"x\"\n",
            "realm[0].anonymous_role is \"x\", but realm a has no role x",
        ),
    ] {
        let said = load(text, &[]).map(|_| text).unwrap_err();
        assert!(said.contains(expected), "{text}\n{said}");
    }
    let said = load("[limits]\nmax_conections = 3\nmax_queue_byte = 4\n", &[]).unwrap_err();
    assert!(said.contains("max_conections") && said.contains("max_queue_byte "), "not all at once: {said}");
}

/// A container is configured by its environment; a misspelt variable must not be silently nothing.
#[test]
fn the_environment_goes_before_the_file() {
    let text = format!("{LISTEN}[limits]\nmax_connections = 3\n");
    let environment = [
        ("ECEP_ROUTER__LIMITS__MAX_CONNECTIONS", "50"),
        ("ECEP_ROUTER__LISTEN__0__ADDRESS", "127.0.0.2:80"),
        ("ECEP_ROUTER__LISTEN__0__ALLOWED_ORIGINS", "[\"http://a.example\"]"),
        ("ECEP_ROUTER__LISTEN__0__ALLOWED_ORIGINS__1", "loopback"),
        ("ECEP_ROUTER__LISTEN__1__KIND", "rawsocket"),
        ("ECEP_ROUTER__LISTEN__1__ADDRESS", "127.0.0.2:81"),
        ("ECEP_ROUTER__REALM__0__NAME", "com.example"),
        ("ECEP_ROUTER__REALM__0__STRICT_URIS", "true"),
        ("ECEP_ROUTER_OTHER", "no concern of ours"),
        ("LIMITS__MAX_CONNECTIONS", "1"),
    ];
    let config = load(&text, &environment).unwrap();
    assert_eq!(config.limits.max_connections, 50);
    let listen: Vec<String> = config.listen.iter().map(|listen| listen.address.to_string()).collect();
    assert_eq!(listen, ["127.0.0.2:80", "127.0.0.2:81"]);
    let origins = config.listen[0].allowed_origins.iter().cloned().map(String::from);
    assert_eq!(origins.collect::<Vec<_>>(), ["http://a.example", "loopback"]);
    assert!(config.realm[0].name == "com.example" && config.realm[0].strict_uris);

    for (name, value, expected) in [
        ("LIMITS__MAX_CONECTIONS", "3", "the nearest is limits.max_connections"),
        ("LIMITS__MAX_CONNECTIONS", "many", "limits.max_connections is \"many\"; it must be a whole number"),
        ("LIMITS__MAX_CONNECTIONS", "0", "limits.max_connections is 0; it must be a whole number from 1"),
        ("LIMITS__MAX_CONNECTIONS__X", "0", "there is nothing below it"),
        ("LISTEN__2__KIND", "rawsocket", "must be a number from 0 to 1, not 2"),
        ("LISTEN__FIRST__KIND", "rawsocket", "must be a number from 0 to 1, not first"),
    ] {
        let name = format!("ECEP_ROUTER__{name}");
        let said = load(&text, &[(&name, value)]).map(|_| &name).unwrap_err();
        assert!(said.contains(&format!("{name}: ")) && said.contains(expected), "{name}={value}\n{said}");
    }
}

/// What is printed can be kept as the configuration: nothing is lost on the way, and nothing of it is refused.
#[test]
fn what_is_printed_is_a_configuration() {
    let example = std::fs::read_to_string("src/config/example.toml").unwrap();
    for text in [LISTEN, &example] {
        let printed = load(text, &[]).unwrap().print().unwrap();
        assert!(printed.contains("max_connections = 20000"), "a default is missing:\n{printed}");
        let again = load(&printed, &[]).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again.print().unwrap(), printed);
    }
}

/// People read the reference, not the source: it must be of today, and its example must work.
#[test]
fn the_reference_is_fresh() {
    let example = std::fs::read_to_string("src/config/example.toml").unwrap();
    load(&example, &[]).unwrap();
    let on_disk = std::fs::read_to_string(docs("router-config.md")).unwrap_or_default();
    assert!(
        on_disk == config::reference(),
        "docs/router-config.md is old; run `cargo run -p ecep-router -- reference > docs/router-config.md`"
    );
}
