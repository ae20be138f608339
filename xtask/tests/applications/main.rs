//! Applications on real engines, from the upload to what they leave: each kind, updates that fail and that succeed, what runs once and is
//! killed meanwhile, uploads that break, archives that were made to do harm, and two tenants with the same file. Needs root and what
//! `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this whole file is a test")]

mod archives;
mod large;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use ecep_proto::api::application::{
    AddVersion, DeployApplication, RunQuery, RunView, Settings, Source, UpdateContainer,
};
use ecep_proto::api::artifact::{ArtifactDigest, ArtifactRef};
use ecep_proto::api::container::{ContainerState, LogQuery, RestartPolicy};
use ecep_proto::api::http::CSRF_HEADER;
use ecep_proto::api::name::{ContainerId, TenantSlug};
use ecep_proto::api::placement::Target;
use ecep_proto::api::reply::Nothing;
use ecep_proto::api::roles::Role;
use ecep_proto::api::{
    ApplicationDeploy, ArtifactDelete, ArtifactListing, ContainerLogs, ContainerUpdate, RunListing,
    VersionAdd, label,
};
use xtask::report::Report;
use xtask::stack::{Cloud, DASHBOARD_API, Programs, Refused, Stack, WampError, agent_name};
use xtask::{lab, shell, wait};

const LIMIT: Duration = Duration::from_secs(180);
/// On which device everything runs: not the one whose engine the images were made on.
const NUMBER: u8 = 2;
/// An image with a shell, as the registry's name for it begins.
const SHELL: &str = "ecep/shell:1";

struct Scene {
    stack: Stack,
    /// Where files are made.
    folder: PathBuf,
    /// The name of [`SHELL`] that every device can pull.
    base: String,
}

impl Scene {
    fn start() -> Self {
        let name = format!("apps-{}", std::process::id());
        let root = lab::default_data_root();
        let stack = Stack::start(&mut Report::new(), &name, &root, 2, Programs::build_with_tests).unwrap();
        let folder = stack.lab().data_dir().join("applications");
        let context = folder.join("shell");
        fs::create_dir_all(&context).unwrap();
        fs::copy("/bin/busybox", context.join("busybox")).unwrap();
        let text = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
        fs::write(context.join("Dockerfile"), text).unwrap();
        let device = stack.lab().device(1);
        shell::output(device.docker().args(["build", "--quiet", "--tag", SHELL]).arg(&context)).unwrap();
        let base = lab::push_image(SHELL, device, stack.registry()).unwrap();
        Self { stack, folder, base }
    }

    /// Packs such files, with nothing else beside them.
    fn pack(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let (folder, packed) = (self.folder.join(name), self.folder.join(format!("{name}.tar.gz")));
        fs::create_dir_all(&folder).unwrap();
        for (path, text) in files {
            fs::write(folder.join(path), text).unwrap();
        }
        let mut tar = Command::new("tar");
        tar.args(["--create", "--gzip", "--file"]).arg(&packed).arg("--directory").arg(&folder).arg(".");
        shell::output(&mut tar).unwrap();
        packed
    }

    fn upload(&self, file: &Path) -> ArtifactDigest {
        self.patient().upload(self.stack.tenant(), &[file.to_owned()]).unwrap()
    }

    /// Judging takes its time on a busy machine.
    fn patient(&self) -> Cloud {
        self.stack.cloud().reached_at(self.stack.cloud().url(), LIMIT)
    }

    fn add(&self, application: &str, source: Source, settings: Settings) -> u32 {
        let add = AddVersion { application: application.parse().unwrap(), source, settings, note: None };
        self.stack.operator().ask::<VersionAdd>(&add).unwrap().number
    }

    /// Deploys the newest version; answers the container once the order has ended well.
    fn deploy(&self, application: &str) -> ContainerId {
        let order = self.order(application);
        let timed = self.stack.operator().ask_timed::<ApplicationDeploy>(&order, LIMIT).unwrap();
        timed.events.last().unwrap().container_id.clone().unwrap()
    }

    fn order(&self, application: &str) -> DeployApplication {
        DeployApplication {
            application: application.parse().unwrap(),
            version: None,
            target: Target::Devices { devices: vec![self.stack.id(NUMBER).clone()] },
            name: None,
            settings: None,
            operation: None,
        }
    }

    /// Waits until its output has this text.
    fn says(&self, container: &ContainerId, text: &str) {
        wait::until(&format!("{container} says {text:?}"), LIMIT, || {
            let query = LogQuery { container: container.clone(), tail: Some(100), since: None };
            let lines = self.stack.operator().call::<ContainerLogs>(self.stack.id(NUMBER), &query)?.lines;
            Ok(lines.iter().any(|line| line.text.contains(text)).then_some(()))
        })
        .unwrap();
    }

    /// What the engine has of it, whatever its state.
    fn engine_has(&self, container: &ContainerId) -> String {
        let filter = format!("label={}={container}", label::CONTAINER);
        let format = "{{.Names}} {{.Image}} {{.Status}}";
        let asked = ["ps", "--all", "--filter", &filter, "--format", format];
        self.stack.lab().device(NUMBER).run_docker(asked).unwrap()
    }

    fn runs(&self, application: &str) -> Vec<RunView> {
        let query = RunQuery { application: Some(application.parse().unwrap()), before: None };
        self.stack.operator().ask::<RunListing>(&query).unwrap().runs
    }

    fn stored(&self, file: &impl std::fmt::Display) -> Vec<u8> {
        let path = format!("/api/tenants/{}/files/{file}/content", self.stack.tenant());
        let mut bytes = Vec::new();
        self.patient().download(&path, &mut bytes).unwrap();
        bytes
    }
}

fn command(words: &[&str]) -> Settings {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    Settings { command: Some(command), ..Settings::default() }
}

/// Every kind of application is brought to a device, runs what was uploaded, and is told as its own version.
fn each_kind_runs(scene: &Scene) {
    let archive = scene.folder.join("shell.tar");
    let output = archive.display().to_string();
    scene.stack.lab().device(1).run_docker(["save", "--output", &output, SHELL]).unwrap();
    let archive = Source::ImageArchive { artifact: scene.upload(&archive) };
    let files = [("hello.txt", "hello from files\n"), ("install.sh", "tr a-z A-Z < hello.txt > loud.txt\n")];
    let files = Source::Files {
        artifact: scene.upload(&scene.pack("files", &files)),
        base: scene.base.clone(),
        directory: None,
        install: Some("sh install.sh".into()),
    };
    let dockerfile = format!(
        "FROM {}\nCOPY said.txt /said.txt\nCMD [\"sh\", \"-c\", \"cat /said.txt; exec sleep 6000\"]\n",
        scene.base
    );
    let bundle = [("Dockerfile", dockerfile.as_str()), ("said.txt", "hello from a Dockerfile\n")];
    let bundle =
        Source::SourceBundle { artifact: scene.upload(&scene.pack("bundle", &bundle)), dockerfile: None };
    let saying = |text: &str| command(&["sh", "-c", &format!("{text}; exec sleep 6000")]);
    for (name, source, settings, said) in [
        (
            "image",
            Source::Image { image: scene.base.clone() },
            saying("echo hello from a registry"),
            "hello from a registry",
        ),
        ("archive", archive, saying("echo hello from an archive"), "hello from an archive"),
        ("files", files, saying("cat loud.txt"), "HELLO FROM FILES"),
        ("bundle", bundle, Settings::default(), "hello from a Dockerfile"),
    ] {
        scene.add(name, source, settings);
        let container = scene.deploy(name);
        scene.says(&container, said);
        // The lists follow the device within a moment.
        let view = wait::until("it is listed as running", LIMIT, || {
            let view = scene.stack.placed(&container)?.container;
            Ok((view.state == ContainerState::Running).then_some(view))
        });
        assert_eq!(view.unwrap().version, Some(1), "{name}");
        scene.stack.delete(NUMBER, &container).unwrap();
        println!("{name}: runs");
    }
}

/// A version that does not stay up, or cannot be brought, leaves the one before it running; a good one replaces it; and back.
fn an_update_that_fails_is_rolled_back(scene: &Scene) {
    let version = |words: &[&str], healthy_after: u32| {
        let source = Source::Image { image: scene.base.clone() };
        scene.add("shop", source, Settings { healthy_after_seconds: Some(healthy_after), ..command(words) })
    };
    version(&["sh", "-c", "echo one; exec sleep 6000"], 2);
    let container = scene.deploy("shop");
    scene.says(&container, "one");
    let update = |version| {
        let order = UpdateContainer {
            container: container.clone(),
            version: Some(version),
            settings: None,
            operation: None,
        };
        scene.stack.operator().ask_timed::<ContainerUpdate>(&order, LIMIT)
    };
    let is = |version: u32| {
        // The lists follow the device within a moment.
        wait::until(&format!("version {version} runs, alone"), LIMIT, || {
            let view = scene.stack.placed(&container)?.container;
            let there = scene.engine_has(&container);
            ensure!(view.state == ContainerState::Running, "it is {:?}", view.state);
            ensure!(view.version == Some(version), "it is version {:?}", view.version);
            ensure!(there.lines().count() == 1, "the engine has {there:?}");
            Ok(Some(()))
        })
        .unwrap();
    };
    // It ends before that on the slowest machine, and that it has ended is seen at once.
    let broken = version(&["sh", "-c", "echo broken; exit 7"], 600);
    let refused = |version| {
        let error = update(version).unwrap_err();
        error.downcast::<WampError>().unwrap().message
    };
    let error = refused(broken);
    assert!(error.contains('7'), "{error}");
    is(1);
    scene.says(&container, "one");
    let missing =
        scene.add("shop", Source::Image { image: format!("{}-missing", scene.base) }, Settings::default());
    println!("shop: {}", refused(missing));
    is(1);
    let good = version(&["sh", "-c", "echo good; exec sleep 6000"], 2);
    update(good).unwrap();
    is(good);
    scene.says(&container, "good");
    update(1).unwrap();
    is(1);
    scene.stack.delete(NUMBER, &container).unwrap();
    println!("shop: two updates failed and were rolled back, two were made");
}

/// What an application that runs once has said and written is in the cloud, whole and once, and the engine has nothing left of it: also
/// where the agent is killed at some moment of it.
fn a_run_leaves_its_results(scene: &Scene) {
    let script = "echo working; sleep 1; mkdir -p /results/deep; echo 42 > /results/deep/answer; echo trouble >&2; exit 3";
    let settings = Settings { run_once: true, restart: RestartPolicy::No, ..command(&["sh", "-c", script]) };
    scene.add("report", Source::Image { image: scene.base.clone() }, settings);
    // Killed never, and at moments from its start to its end.
    for (round, kill_after) in
        [None, Some(0), Some(400), Some(1_000), Some(1_300), Some(1_800)].into_iter().enumerate()
    {
        let container = scene.deploy("report");
        if let Some(milliseconds) = kill_after {
            // The moment itself is what is tried: no event tells it.
            std::thread::sleep(Duration::from_millis(milliseconds));
            scene.stack.supervisor().kill(&agent_name(NUMBER)).unwrap();
        }
        let run = wait::until("the run is told", LIMIT, || {
            Ok(scene.runs("report").into_iter().find(|run| run.container.id == container))
        })
        .unwrap();
        assert_eq!((run.container.exit_code, run.oom_killed, &run.lost), (Some(3), false, &None));
        let log = String::from_utf8(scene.stored(&run.log.unwrap())).unwrap();
        assert!(log.contains("working") && log.contains("trouble"), "{log}");
        let results = scene.folder.join("results.tar");
        fs::write(&results, scene.stored(&run.results.unwrap())).unwrap();
        let mut tar = Command::new("tar");
        let listed =
            shell::output(tar.arg("--extract").arg("--to-stdout").arg("--file").arg(&results)).unwrap();
        assert_eq!(listed, "42\n");
        wait::until("the engine has nothing left of it", LIMIT, || {
            Ok(scene.engine_has(&container).is_empty().then_some(()))
        })
        .unwrap();
        assert_eq!(scene.runs("report").len(), round + 1, "each run is told once");
        println!("report: agent killed after {kill_after:?} ms");
        // The run may have been over before the kill.
        scene.stack.wait_served(NUMBER).unwrap();
    }
}

/// An upload whose connection breaks, and whose control plane is killed, goes on where it was and is what was sent.
fn an_upload_that_breaks_goes_on(scene: &Scene) {
    let packed = scene.pack("resumed", &[("noise", &archives::noise(6 << 20))]);
    let bytes = fs::read(&packed).unwrap();
    let cloud = scene.patient();
    let upload = cloud.begin_upload(scene.stack.tenant(), bytes.len() as u64).unwrap();
    // Half of what was announced, and then nothing: a cable was pulled.
    let half = bytes.len() / 2;
    let address = cloud.url().strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let cookie = cloud.cookie().unwrap();
    write!(
        connection,
        "PATCH {} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n{CSRF_HEADER}: 1\r\ntus-resumable: 1.0.0\r\n\
         upload-offset: 0\r\ncontent-type: application/offset+octet-stream\r\ncontent-length: {}\r\n\r\n",
        upload.path,
        bytes.len()
    )
    .unwrap();
    connection.write_all(&bytes[..half]).unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    // The control plane gives up on it, too.
    let _ = connection.read_to_end(&mut Vec::new());
    drop(connection);
    let offset = wait::until("what has arrived is told", LIMIT, || upload.offset().map(Some)).unwrap();
    assert!(offset > 0 && offset <= half as u64, "{offset} of {half}");
    scene.stack.supervisor().kill(DASHBOARD_API).unwrap();
    scene.stack.wait_control_plane().unwrap();
    let again = upload.offset().unwrap();
    assert_eq!(again, offset, "what was answered is kept");
    let rest = &bytes[usize::try_from(offset).unwrap()..];
    let artifact = upload.send(offset, rest.len() as u64, rest).unwrap().unwrap();
    let digest = shell::output(Command::new("sha256sum").arg(&packed)).unwrap();
    assert_eq!(artifact.to_string(), digest.split_whitespace().next().unwrap());
    println!("resumed: at {offset} of {}", bytes.len());
}

/// What was made to do harm is refused for what it is, by a sentence, and leaves nothing.
fn hostile_archives_are_refused(scene: &Scene) {
    let before = scene.stack.operator().ask::<ArtifactListing>(&Nothing {}).unwrap();
    for (name, bytes, word) in archives::hostile() {
        let file = scene.folder.join("hostile");
        fs::write(&file, bytes).unwrap();
        let error =
            scene.patient().upload(scene.stack.tenant(), std::slice::from_ref(&file)).expect_err(name);
        let refused = error.downcast_ref::<Refused>().unwrap_or_else(|| panic!("{name}: {error:#}"));
        assert_eq!(refused.0.status, 422, "{name}: {refused}");
        assert!(refused.0.detail.contains(word), "{name}: {refused}");
        println!("refused: {name}: {}", refused.0.detail);
    }
    let after = scene.stack.operator().ask::<ArtifactListing>(&Nothing {}).unwrap();
    assert_eq!(before, after, "nothing of them is kept, and nothing else is lost");
}

/// Two tenants have the same file: it is on the disk once, each pays for it, neither can take it from the other, and it goes with the last.
fn two_tenants_have_the_same_file(scene: &Scene) {
    let globex: TenantSlug = "globex".parse().unwrap();
    scene.stack.cloud().make_tenant(&globex, "Globex").unwrap();
    let theirs = scene.stack.client(&globex, "theirs", Role::Operator).unwrap();
    let ours = scene.stack.operator();
    let file = scene.pack("same", &[("same", "the same for both\n")]);
    let digest = scene.upload(&file);
    let again = scene.patient().upload(&globex, std::slice::from_ref(&file)).unwrap();
    assert_eq!(digest, again);
    let artifacts = scene.stack.lab().data_dir().join(DASHBOARD_API).join("artifacts");
    let on_disk = || {
        let name = digest.to_string();
        let mut find = Command::new("find");
        shell::output(find.arg(&artifacts).args(["-name", &format!("{name}*")])).unwrap().lines().count()
    };
    assert_eq!(on_disk(), 1);
    let bytes = fs::metadata(&file).unwrap().len();
    assert_eq!(
        theirs.ask::<ArtifactListing>(&Nothing {}).unwrap().used_bytes,
        bytes,
        "each pays for all of it"
    );
    let has = |client: &xtask::stack::Client| {
        client.ask::<ArtifactListing>(&Nothing {}).unwrap().artifacts.iter().any(|one| one.digest == digest)
    };
    ours.ask::<ArtifactDelete>(&ArtifactRef { digest: digest.clone() }).unwrap();
    assert!(!has(ours) && has(&theirs));
    assert_eq!(on_disk(), 1, "one who deletes it takes it from nobody else");
    ours.ask::<ArtifactDelete>(&ArtifactRef { digest: digest.clone() }).expect_err("it is the others' alone");
    theirs.ask::<ArtifactDelete>(&ArtifactRef { digest: digest.clone() }).unwrap();
    assert_eq!(on_disk(), 0);
    println!("same: once on the disk, gone with the last");
}

/// One platform for all: bringing it up takes longest.
#[test]
fn applications_on_real_engines() {
    let scene = Scene::start();
    each_kind_runs(&scene);
    an_update_that_fails_is_rolled_back(&scene);
    a_run_leaves_its_results(&scene);
    an_upload_that_breaks_goes_on(&scene);
    hostile_archives_are_refused(&scene);
    two_tenants_have_the_same_file(&scene);
    scene.stack.take_down().unwrap();
}
