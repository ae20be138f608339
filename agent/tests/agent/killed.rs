//! Agents that are killed (SIGKILL) in the middle of what they do, on a real engine: the next one brings it to its end.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use ecep_agent::{
    engine::{Engine, EngineError, docker::DockerEngine, engine_name},
    random,
};
use ecep_channel::{header::Header, terminal::TerminalFrame};
use ecep_link::{CallError, Link};
use ecep_proto::api::{
    DeviceDeployment, DeviceReplacement, TerminalOpen,
    container::{ContainerState, ContainerView},
    error::ErrorKind,
    name::ContainerId,
    operation::OperationReply,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    ENGINE, LOOK_EVERY,
    orders::{ask, ordered},
    program::Program,
    real_docker, within,
};

fn docker(address: &str, arguments: &[&str]) -> String {
    let done =
        Command::new("docker").args(["-H", address]).args(arguments).output().expect("docker is there");
    assert!(done.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Orders an update; again while the agent has not done with the one before, whose container may be settled already.
async fn updated(control: &Link, mut order: Value) -> Result<OperationReply, CallError> {
    loop {
        order["operation"] = json!(random::operation_id().expect("an id"));
        match ordered::<DeviceReplacement>(control, order.clone()).await {
            Err(CallError::Remote { uri, .. }) if uri == ErrorKind::Conflict.uri() => sleep(LOOK_EVERY).await,
            ended => return ended,
        }
    }
}

fn version(number: u32, image: &str, settings: Value) -> Value {
    json!({
        "application": "killed", "version": number, "source": {"kind": "image", "image": image},
        "artifact_bytes": null, "settings": settings,
    })
}

/// All containers of the tenant at the engine, under whatever name.
fn names(address: &str, tenant: &str) -> Vec<String> {
    let of_tenant = format!("label={}={tenant}", ecep_proto::api::label::TENANT);
    let listed = docker(address, &["ps", "--all", "--filter", &of_tenant, "--format", "{{.Names}}"]);
    listed.lines().map(str::to_owned).collect()
}

/// Waits until the container is one again, and runs.
async fn settled(engine: &DockerEngine, address: &str, tenant: &str, id: &ContainerId) -> ContainerView {
    let name = engine_name(id);
    let settling = async {
        loop {
            if names(address, tenant) == [name.clone()]
                && let Ok(found) = engine.inspect(&name).await
                && found.view().state == ContainerState::Running
            {
                return found.view().clone();
            }
            sleep(LOOK_EVERY).await;
        }
    };
    within("one container", settling).await
}

/// An update that is cut off anywhere ends with one container of the same id, name and volume, which runs: the new one where it is
/// well, else the old one.
#[tokio::test]
async fn an_update_outlives_kills() {
    const TENANT: &str = "killed-update";
    /// Moments of each kind of update, from its beginning to its end.
    const MOMENTS: u32 = 7;
    let Some((address, image)) = real_docker::ready() else { return };
    let _alone = ENGINE.lock().await;
    let engine = DockerEngine::new(&address).expect("an address");
    let mut program = Program::start(&address, &[TENANT]).await;
    let well = json!({
        "command": ["sh", "-c", "trap 'exit 0' TERM; echo started >> /data/starts; sleep 600 & wait"],
        "volumes": [{"volume": "killed", "target": "/data"}], "healthy_after_seconds": 1,
    });
    let mut sick = well.clone();
    sick["command"] = json!(["sh", "-c", "sleep 0.3; exit 3"]);
    // It ends before that on the slowest machine, and that it has ended is seen at once.
    sick["healthy_after_seconds"] = json!(600);
    let order = json!({"tenant": TENANT, "version": version(1, &image, well.clone()), "name": "web", "operation": "killed-1"});
    let deployed = ordered::<DeviceDeployment>(program.cloud.control(), order).await.expect("deployed");
    let id = deployed.container_id.expect("an id");

    let (mut number, mut taken, mut cut_off) = (1, 1, 0);
    for (settings, is_well) in [(well, true), (sick, false)] {
        let mut update = || {
            number += 1;
            let version = version(number, &image, settings.clone());
            (number, json!({"tenant": TENANT, "container": id, "version": version}))
        };
        let (number, order) = update();
        let since = Instant::now();
        let whole = updated(program.cloud.control(), order).await;
        let took = since.elapsed();
        assert_eq!(whole.is_ok(), is_well, "{whole:?}");
        taken = if is_well { number } else { taken };
        for moment in 0..=MOMENTS {
            let (number, order) = update();
            let control = program.cloud.control().clone();
            let ordering = tokio::spawn(async move { updated(&control, order).await });
            if moment < MOMENTS {
                sleep(took * (2 * moment + 1) / (2 * MOMENTS)).await;
            } else {
                // Those may all have missed it, on a machine that was slower then, or is now.
                while !ordering.is_finished() && names(&address, TENANT) == [engine_name(&id)] {
                    sleep(LOOK_EVERY).await;
                }
            }
            program.kill();
            ordering.abort();
            let left = names(&address, TENANT);
            cut_off += u32::from(left != [engine_name(&id)]);
            program.start_again().await;
            let now = settled(&engine, &address, TENANT, &id).await;
            assert_eq!((&now.id, now.name.as_str()), (&id, "web"), "moment {moment}");
            let may_be = if is_well { vec![Some(taken), Some(number)] } else { vec![Some(taken)] };
            assert!(may_be.contains(&now.version), "moment {moment} of {left:?}: {:?}", now.version);
            taken = now.version.expect("one of them");
        }
    }
    assert!(cut_off > 0, "no update was cut off in the middle");
    let starts = docker(&address, &["exec", &engine_name(&id), "cat", "/data/starts"]);
    assert!(starts.lines().count() > 1, "the volume is another one");
    docker(&address, &["rm", "--force", &engine_name(&id)]);
}

/// A run whose agent is killed at any moment is told once, with all that it left, and does not run again when the order is repeated
/// because nobody has got its answer.
#[tokio::test]
async fn the_end_of_a_run_outlives_kills() {
    const TENANT: &str = "killed-run";
    const MOMENTS: u32 = 10;
    let Some((address, image)) = real_docker::ready() else { return };
    let _alone = ENGINE.lock().await;
    let engine = DockerEngine::new(&address).expect("an address");
    let mut program = Program::start(&address, &[TENANT]).await;
    let order = |number: u32| {
        let script = format!("echo at work {number}; mkdir /results; echo result {number} > /results/sum");
        let settings = json!({"run_once": true, "command": ["sh", "-c", script]});
        json!({
            "tenant": TENANT, "version": version(1, &image, settings), "name": format!("job-{number}"),
            "operation": format!("killed-run-{number}"),
        })
    };
    let mut took = Duration::ZERO;
    for number in 0..=MOMENTS {
        let since = Instant::now();
        if number > 0 {
            let (control, order) = (program.cloud.control().clone(), order(number));
            let ordering = tokio::spawn(async move { ordered::<DeviceDeployment>(&control, order).await });
            sleep(took * (2 * number - 1) / (2 * MOMENTS)).await;
            program.kill();
            ordering.abort();
            program.start_again().await;
        }
        let reply = ordered::<DeviceDeployment>(program.cloud.control(), order(number)).await;
        let id = reply.expect("an answer").container_id.expect("an id");
        let is_gone = async {
            while !matches!(engine.inspect(&engine_name(&id)).await, Err(EngineError::NotFound(_))) {
                sleep(LOOK_EVERY).await;
            }
        };
        within("the container to be gone", is_gone).await;
        if number == 0 {
            took = since.elapsed();
        }
        let ended = program.cloud.ended();
        let of_order: Vec<_> =
            ended.iter().filter(|end| end.container.name.as_str() == format!("job-{number}")).collect();
        assert!(!of_order.is_empty(), "{number}: it was deleted before anybody was told");
        for end in of_order {
            assert_eq!(
                (&end.container.id, end.container.exit_code),
                (&id, Some(0)),
                "{number}: it ran twice"
            );
            assert_eq!(end.lost, None, "{number}");
            let file = |file: &Option<ecep_proto::api::file::FileId>| {
                let stored = program.channel.file(file.as_ref().expect("it was stored").as_str());
                String::from_utf8_lossy(&stored.expect("it was stored before it was told")).into_owned()
            };
            assert_eq!(file(&end.log).matches(&format!("at work {number}")).count(), 1);
            assert!(file(&end.results).contains(&format!("result {number}\n")));
        }
    }
    assert_eq!(names(&address, TENANT), Vec::<String>::new());
}

/// Whoever has been in a terminal when the agent was killed has left nothing that goes on, and what others run in the container does.
#[tokio::test]
async fn a_terminals_command_ends_with_the_next_agent() {
    const TENANT: &str = "killed-shell";
    let Some((address, image)) = real_docker::ready() else { return };
    let _alone = ENGINE.lock().await;
    let mut program = Program::start(&address, &[TENANT]).await;
    let settings = json!({"command": ["sleep", "600"]});
    let order = json!({"tenant": TENANT, "version": version(1, &image, settings), "name": "shell", "operation": "killed-shell"});
    let deployed = ordered::<DeviceDeployment>(program.cloud.control(), order).await.expect("deployed");
    let id = deployed.container_id.expect("an id");
    let name = engine_name(&id);
    docker(&address, &["exec", "--detach", &name, "sleep", "4343"]);

    let mut ann = program.cloud.operator(TENANT).await;
    let opened = ask::<TerminalOpen>(&mut ann, json!({"container": id})).await.expect("opened");
    let header = Header::Terminal {
        tenant: TENANT.parse().expect("a name"),
        terminal: opened.terminal,
        authid: "ann".to_owned(),
    };
    let mut terminal = program.channel.open(&header).await;
    let typed = b"sleep 4242; sleep 4141\n".to_vec();
    TerminalFrame::Bytes(typed).write(&mut terminal).await.expect("typed");
    let runs = |seconds: &str| docker(&address, &["top", &name]).contains(&format!("sleep {seconds}"));
    let until = async |wanted: &dyn Fn() -> bool| {
        while !wanted() {
            sleep(LOOK_EVERY).await;
        }
    };
    within("the command", until(&|| runs("4242"))).await;
    program.kill();
    assert!(runs("4242"), "the engine ends it by itself: this test protects nothing");
    program.start_again().await;
    let is_over = || {
        let all = docker(&address, &["top", &name]);
        !["sleep 4242", "sleep 4141", " sh\n"].iter().any(|command| all.contains(command))
    };
    within("the end of the shell", until(&is_over)).await;
    assert!(runs("4343"), "somebody else's command was ended");
    program.kill();
    docker(&address, &["rm", "--force", &name]);
}
