//! The programs of docs/router-quickstart.md, taken from the page and run against the real program: those that serve and
//! those that use, each pair of languages.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::autobahn::PYTHON;
use super::wampy::node_modules;
use crate::client::within;

const PAGE: &str = include_str!("../../../../docs/router-quickstart.md");
const SERVE: &str = include_str!("../clients/quick_start_serve.rs");
const USE: &str = include_str!("../clients/quick_start_use.rs");
const CARGO: &str = include_str!("../../../../Cargo.toml");

/// Tells this test's own program to be one of Rust's.
const BE_A_PROGRAM: &str = "ECEP_TEST_BE_A_PROGRAM";

/// The programs in Rust. Run as a part of this test's own program: what a test compiles is fresh.
mod serving {
    include!("../clients/quick_start_serve.rs");

    #[test]
    fn program() {
        if std::env::var_os(super::BE_A_PROGRAM).is_some() {
            main().unwrap();
        }
    }
}

mod using {
    include!("../clients/quick_start_use.rs");

    #[test]
    fn program() {
        if std::env::var_os(super::BE_A_PROGRAM).is_some() {
            main().unwrap();
        }
    }
}

/// The code blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = PAGE.split(fence.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// How to start both programs of a language.
struct Language {
    name: &'static str,
    serve: Box<dyn Fn() -> Command>,
    uses: Box<dyn Fn() -> Command>,
}

impl Language {
    /// Both are one block each, for this interpreter.
    fn of_scripts(name: &'static str, extension: &str, interpreter: PathBuf, folder: &Path) -> Self {
        let blocks = blocks(&name.to_lowercase());
        assert_eq!(blocks.len(), 2, "the programs in {name}");
        let [serve, uses] = [("serve", blocks[0]), ("use", blocks[1])].map(|(role, text)| {
            let path = folder.join(format!("{role}.{extension}"));
            std::fs::write(&path, text).unwrap();
            let interpreter = interpreter.clone();
            move || {
                let mut command = Command::new(&interpreter);
                command.arg(&path);
                command
            }
        });
        Self { name, serve: Box::new(serve), uses: Box::new(uses) }
    }

    fn rust() -> Self {
        assert_eq!(
            blocks("rust"),
            [SERVE, USE],
            "the programs of the page are those in tests/router/clients"
        );
        for line in
            blocks("toml")[0].lines().filter(|line| line.contains("rmp") || line.contains("wamp_async"))
        {
            assert!(CARGO.lines().any(|ours| ours == line), "the workspace has another version than {line}");
        }
        let [serve, uses] = ["serving", "using"].map(|role| {
            move || {
                let mut command = Command::new(std::env::current_exe().unwrap());
                let test = format!("interop::quick_start::{role}::program");
                command.args(["--exact", &test, "--nocapture"]).env(BE_A_PROGRAM, "1");
                command
            }
        });
        Self { name: "Rust", serve: Box::new(serve), uses: Box::new(uses) }
    }

    fn all(folder: &TempDir) -> Vec<Self> {
        let mut all = vec![Self::rust()];
        match std::env::var_os(PYTHON) {
            Some(python) => all.push(Self::of_scripts("Python", "py", python.into(), folder.path())),
            None => println!("without Python: set {PYTHON}"),
        }
        match node_modules() {
            Some(modules) => {
                std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
                all.push(Self::of_scripts("JavaScript", "mjs", "node".into(), folder.path()));
            }
            None => println!("without JavaScript: there is no wampy"),
        }
        all
    }
}

/// A program that runs, and what it prints.
struct Running {
    name: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(name: &'static str, mut command: Command, url: &str) -> Self {
        command.env("WAMP_URL", url).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { name, child, lines }
    }

    /// Waits until it prints this. Libraries may print more.
    async fn prints(&mut self, text: &str) {
        loop {
            let line = within(text, self.lines.next_line()).await.unwrap();
            if line.unwrap_or_else(|| panic!("{} ended without {text:?}", self.name)).ends_with(text) {
                return;
            }
        }
    }
}

#[tokio::test]
async fn quick_start() {
    let folder = tempfile::tempdir().unwrap();
    let languages = Language::all(&folder);
    let mut router = Command::new(env!("CARGO_BIN_EXE_ecep-router"));
    router.args(["dev", "--ws", "127.0.0.1:0", "--raw", "127.0.0.1:0"]).stderr(Stdio::null());
    let mut router = Running::start("the router", router, "");
    let line = within("the router", router.lines.next_line()).await.unwrap().unwrap();
    let url = format!("{}/ws", line.strip_prefix("listening websocket ").unwrap());
    for server in &languages {
        let mut serves = Running::start(server.name, (server.serve)(), &url);
        serves.prints("ready").await;
        for user in &languages {
            let mut program = Running::start(user.name, (user.uses)(), &url);
            program.prints("2 + 3 = 5").await;
            serves.prints(&format!("event: hello from {}", user.name)).await;
            let status = within("the end of the program", program.child.wait()).await.unwrap();
            assert!(status.success(), "{} with {}: {status}", user.name, server.name);
        }
        serves.child.kill().await.unwrap();
    }
    router.child.kill().await.unwrap();
}
