//! The command line that an engine's shim gives to an OCI runtime, and what becomes of `create` when it is to restore.
//! Pure: words in, words out.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// runc's global flags that take a value (runc(8)).
const GLOBAL_VALUES: [&str; 5] = ["log", "log-format", "root", "criu", "rootless"];

/// Where runc keeps its state unless told otherwise (runc(8)).
const DEFAULT_ROOT: &str = "/run/runc";

/// Flags of `create` that take a value and that `restore` has too (runc-create(8), runc-restore(8)).
const SHARED_VALUES: [&str; 3] = ["bundle", "console-socket", "pid-file"];

/// Flags of `create` that take a value and that `restore` lacks.
const CREATE_VALUES: [&str; 1] = ["preserve-fds"];

/// The one switch of `create` that `restore` has too.
const NO_PIVOT: &str = "no-pivot";

/// What the runtime is asked to do. Only the commands matter that an order changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Make a container.
    Create(Create),
    /// Start the process of a container that was made.
    Start(Start),
    /// Anything else.
    Other,
}

/// `create`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The container.
    pub id: String,
    /// The flags before the command, to be passed on as they are.
    pub globals: Vec<OsString>,
    /// Where runc writes messages for the engine.
    pub log: Option<PathBuf>,
    /// Where runc keeps its state.
    pub root: PathBuf,
    /// The OCI bundle.
    pub bundle: PathBuf,
    /// Where the first process's id is written.
    pub pid_file: Option<PathBuf>,
    /// The flags that `restore` understands too.
    shared: Vec<OsString>,
}

/// `start`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The container.
    pub id: String,
    /// Where runc writes messages for the engine.
    pub log: Option<PathBuf>,
}

impl Invocation {
    /// Understands the arguments (without the program's name).
    pub fn parse(arguments: &[OsString]) -> Self {
        let mut words = Words { words: arguments, at: 0 };
        let (mut log, mut root) = (None, PathBuf::from(DEFAULT_ROOT));
        while let Some(flag) = words.flag() {
            let value = GLOBAL_VALUES.contains(&&*flag.name).then(|| words.value(&flag)).flatten();
            match (&*flag.name, value) {
                ("log", Some(value)) => log = Some(value.into()),
                ("root", Some(value)) => root = value.into(),
                _ => {}
            }
        }
        let globals = arguments[..words.at].to_vec();
        // Flags come before the id (urfave/cli, which runc uses, ends them at the first plain word).
        let id = arguments.last().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
        match words.next().and_then(OsStr::to_str) {
            Some("create") => {
                // The bundle is the working folder unless told otherwise.
                let (bundle, pid_file, shared) = (".".into(), None, Vec::new());
                let create = Create { id, globals, log, root, bundle, pid_file, shared };
                Self::Create(create.parse(words))
            }
            Some("start") => Self::Start(Start { id, log }),
            _ => Self::Other,
        }
    }
}

impl Create {
    /// Understands what comes after the command.
    fn parse(mut self, mut words: Words<'_>) -> Self {
        while let Some(flag) = words.flag() {
            let name = if flag.name == "b" { "bundle" } else { &*flag.name };
            if SHARED_VALUES.contains(&name) {
                let Some(value) = words.value(&flag) else { break };
                match name {
                    "bundle" => self.bundle = value.into(),
                    "pid-file" => self.pid_file = Some(value.into()),
                    _ => {}
                }
                self.shared.extend([format!("--{name}").into(), value.to_owned()]);
            } else if CREATE_VALUES.contains(&name) {
                words.value(&flag);
            } else if name == NO_PIVOT {
                self.shared.push("--no-pivot".into());
            }
        }
        self
    }

    /// The arguments by which runc restores the container instead.
    pub fn restore_arguments(&self, images: &Path, work: &Path) -> Vec<OsString> {
        let mut arguments = self.globals.clone();
        arguments.extend(["restore", "--detach", "--file-locks"].map(OsString::from));
        arguments.extend(["--image-path".into(), images.into(), "--work-path".into(), work.into()]);
        arguments.extend(self.shared.iter().cloned());
        arguments.push(self.id.clone().into());
        arguments
    }
}

struct Words<'a> {
    words: &'a [OsString],
    at: usize,
}

struct Flag<'a> {
    name: String,
    attached: Option<&'a OsStr>,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a OsStr> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    /// The next word if it is a flag: `-b`, `--bundle` or `--bundle=value`.
    fn flag(&mut self) -> Option<Flag<'a>> {
        let word = self.words.get(self.at)?;
        let text = word.to_str()?.strip_prefix('-')?;
        let text = text.strip_prefix('-').unwrap_or(text);
        self.at += 1;
        Some(match text.split_once('=') {
            Some((name, value)) => Flag { name: name.into(), attached: Some(OsStr::new(value)) },
            None => Flag { name: text.into(), attached: None },
        })
    }

    fn value(&mut self, flag: &Flag<'a>) -> Option<&'a OsStr> {
        flag.attached.or_else(|| self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn create(text: &str) -> Create {
        match Invocation::parse(&words(text)) {
            Invocation::Create(create) => create,
            other => panic!("{other:?}"),
        }
    }

    /// What containerd 1.6 sends, word for word; every flag that places the container must survive.
    #[test]
    fn a_create_becomes_a_restore() {
        let create = create(
            "--root /r/moby --log /b/log.json --log-format json create --bundle /b --pid-file /b/init.pid 24ce",
        );
        assert_eq!((create.id.as_str(), create.bundle.as_path()), ("24ce", Path::new("/b")));
        assert_eq!(create.log.as_deref(), Some(Path::new("/b/log.json")));
        assert_eq!(
            create.restore_arguments(Path::new("/i"), Path::new("/w")),
            words(
                "--root /r/moby --log /b/log.json --log-format json restore --detach --file-locks \
                 --image-path /i --work-path /w --bundle /b --pid-file /b/init.pid 24ce"
            )
        );
    }

    /// Other shims write flags differently; a terminal and `--systemd-cgroup` (cgroup v2 machines) come along.
    #[test]
    fn other_notations_are_understood() {
        let create = create(
            "--debug --root=/r --systemd-cgroup create --no-pivot -b /b --preserve-fds 3 --no-new-keyring \
             --console-socket /c --pid-file=/p 24ce",
        );
        assert_eq!(create.pid_file.as_deref(), Some(Path::new("/p")));
        assert_eq!(
            create.restore_arguments(Path::new("/i"), Path::new("/w")),
            words(
                "--debug --root=/r --systemd-cgroup restore --detach --file-locks \
                 --image-path /i --work-path /w --no-pivot --bundle /b --console-socket /c --pid-file /p 24ce"
            )
        );
    }

    /// A flag's value that reads like a command is no command.
    #[test]
    fn only_the_command_is_taken_for_one() {
        assert_eq!(Invocation::parse(&words("--root start state 24ce")), Invocation::Other);
        assert_eq!(Invocation::parse(&words("--version")), Invocation::Other);
        assert_eq!(Invocation::parse(&[]), Invocation::Other);
        let start = Start { id: "24ce".into(), log: Some("/l".into()) };
        assert_eq!(Invocation::parse(&words("--log /l start 24ce")), Invocation::Start(start));
    }
}
