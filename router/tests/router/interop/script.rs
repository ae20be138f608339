//! A program of another language that runs beside the test and prints what it sees, a line `[case, what]` for each case.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::client::within;

pub struct Script {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    complaints: JoinHandle<String>,
    /// The last case that it told.
    last: String,
}

impl Script {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the script starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().unwrap();
        let complaints = tokio::spawn(async move {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text).await;
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, complaints, last: String::new() }
    }

    /// The next case, and what the script saw in it.
    pub async fn next(&mut self) -> (String, Value) {
        let what = format!("what the script sees after {:?}", self.last);
        let Some(line) = within(&what, self.lines.next_line()).await.unwrap() else {
            panic!("the script has ended after {:?}: {}", self.last, (&mut self.complaints).await.unwrap());
        };
        let (case, seen): (String, Value) =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the script says {line:?}"));
        self.last.clone_from(&case);
        (case, seen)
    }

    /// It says this next. All differences are shown at once.
    pub async fn says(&mut self, expected: &[(&str, Value)]) {
        let mut differences = Vec::new();
        for (case, expected) in expected {
            let (name, seen) = self.next().await;
            if name != *case || seen != *expected {
                differences.push(format!("{case}: expected {expected}\n{name}: saw {seen}"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    /// It ends, and is content.
    pub async fn ends(mut self) {
        let status = within("the end of the script", self.child.wait()).await.unwrap();
        let complaints = within("all that the script says", self.complaints).await.unwrap();
        assert!(status.success(), "{complaints}");
    }
}

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/router/clients").join(name)
}
