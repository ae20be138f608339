//! The allow-list from the attacker's side: everything that would leave the container.

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfigCgroupnsModeEnum, MountBindOptions,
    MountVolumeOptionsDriverConfig, PortBinding,
};

use super::*;

fn tenant() -> TenantSlug {
    "acme".parse().unwrap()
}

fn with_host(change: impl FnOnce(&mut HostConfig)) -> ContainerCreateBody {
    let mut host = HostConfig::default();
    change(&mut host);
    ContainerCreateBody { host_config: Some(host), ..ContainerCreateBody::default() }
}

fn volume(source: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(source.to_owned()),
        target: Some("/data".to_owned()),
        ..Mount::default()
    }
}

pub(crate) type Trick = (&'static str, ContainerCreateBody);

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn texts(one: &str) -> Option<Vec<String>> {
    Some(vec![one.to_owned()])
}

fn map(key: &str, value: &str) -> Option<HashMap<String, String>> {
    Some(HashMap::from([(key.to_owned(), value.to_owned())]))
}

/// Every way out of a container that the engine's API offers.
pub(crate) fn tricks() -> Vec<Trick> {
    vec![
        ("privileged", with_host(|host| host.privileged = Some(true))),
        ("cap_add", with_host(|host| host.cap_add = texts("SYS_ADMIN"))),
        ("devices", with_host(|host| host.devices = Some(vec![DeviceMapping::default()]))),
        ("device_cgroup_rules", with_host(|host| host.device_cgroup_rules = texts("c *:* rwm"))),
        ("device_requests", with_host(|host| host.device_requests = Some(vec![DeviceRequest::default()]))),
        ("binds", with_host(|host| host.binds = texts("/:/host"))),
        ("security_opt", with_host(|host| host.security_opt = texts("seccomp=unconfined"))),
        ("network_mode", with_host(|host| host.network_mode = text("host"))),
        ("network_mode", with_host(|host| host.network_mode = text("container:other"))),
        ("pid_mode", with_host(|host| host.pid_mode = text("host"))),
        ("ipc_mode", with_host(|host| host.ipc_mode = text("host"))),
        ("uts_mode", with_host(|host| host.uts_mode = text("host"))),
        ("userns_mode", with_host(|host| host.userns_mode = text("host"))),
        ("cgroupns_mode", with_host(|host| host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST))),
        ("cgroup_parent", with_host(|host| host.cgroup_parent = text("/"))),
        ("scheduling", with_host(|host| host.cpu_shares = Some(262_144))),
        ("scheduling", with_host(|host| host.blkio_weight = Some(1_000))),
        ("runtime", with_host(|host| host.runtime = text("my-runtime"))),
        ("sysctls", with_host(|host| host.sysctls = map("kernel.core_pattern", "|x"))),
        ("volume_driver", with_host(|host| host.volume_driver = text("nfs"))),
        ("volumes_from", with_host(|host| host.volumes_from = texts("other"))),
        ("links", with_host(|host| host.links = texts("other"))),
        (
            "host_ip",
            with_host(|host| {
                let binding = PortBinding { host_ip: text("10.0.0.1"), host_port: text("80") };
                host.port_bindings = Some(HashMap::from([("80/tcp".to_owned(), Some(vec![binding]))]));
            }),
        ),
        (
            "log_driver",
            with_host(|host| {
                host.log_config = Some(HostConfigLogConfig { typ: text("syslog"), config: None });
            }),
        ),
        (
            "log_driver",
            with_host(|host| {
                host.log_config =
                    Some(HostConfigLogConfig { typ: text("json-file"), config: map("env", "SECRET") });
            }),
        ),
        ("masked_paths", with_host(|host| host.masked_paths = Some(vec![]))),
        ("masked_paths", with_host(|host| host.readonly_paths = Some(vec![]))),
        ("mounts", with_host(|host| host.mounts = Some(vec![volume("ecep_other_data")]))),
        (
            "mounts",
            with_host(|host| {
                host.mounts = Some(vec![Mount { typ: Some(MountType::BIND), ..volume("/etc") }]);
            }),
        ),
        (
            "mounts",
            with_host(|host| {
                let bind_options = Some(MountBindOptions::default());
                host.mounts = Some(vec![Mount { bind_options, ..volume("ecep_acme_data") }]);
            }),
        ),
        (
            "mounts",
            with_host(|host| {
                let options = MountVolumeOptions {
                    driver_config: Some(MountVolumeOptionsDriverConfig::default()),
                    ..MountVolumeOptions::default()
                };
                host.mounts = Some(vec![Mount { volume_options: Some(options), ..volume("ecep_acme_data") }]);
            }),
        ),
        ("networks", in_network("ecep_other", EndpointSettings::default())),
        (
            "networks",
            in_network(
                "ecep_acme",
                EndpointSettings { driver_opts: Some(HashMap::new()), ..EndpointSettings::default() },
            ),
        ),
        ("network_mode", with_host(|host| host.network_mode = text("ecep_other"))),
        ("anonymous_volumes", ContainerCreateBody { volumes: texts("/x"), ..ContainerCreateBody::default() }),
    ]
}

fn in_network(network: &str, endpoint: EndpointSettings) -> ContainerCreateBody {
    let endpoints_config = Some(HashMap::from([(network.to_owned(), endpoint)]));
    ContainerCreateBody {
        networking_config: Some(NetworkingConfig { endpoints_config }),
        ..ContainerCreateBody::default()
    }
}

/// The tenant's own network, with an address and a name in it, is what containers live in.
#[test]
fn the_tenants_own_network_is_allowed() {
    let endpoint = EndpointSettings { aliases: texts("web"), ..EndpointSettings::default() };
    assert!(Policy::default().check(&tenant(), in_network("ecep_acme", endpoint)).is_ok());
}

/// Each of these would be root on the device, or a look at another tenant.
#[test]
fn every_way_out_is_forbidden_and_named() {
    for (setting, body) in tricks() {
        let error = Policy::default().check(&tenant(), body).expect_err(setting);
        assert_eq!(error.uri, ErrorKind::Forbidden);
        assert!(error.message.contains(setting), "{setting} is not named: {error}");
        assert!(error.message.contains(POLICY_FILE), "it does not say what to do: {error}");
        assert_eq!(error.details["settings"], serde_json::json!([setting]));
    }
}

/// What was saved with rights beyond an ordinary container's must be told from what was not, and from other such rights.
#[test]
fn rights_tell_containers_apart() {
    let ordinary = with_host(|host| host.mounts = Some(vec![volume("ecep_acme_data")]));
    assert!(rights(&tenant(), &ordinary).is_empty());
    for (setting, body) in tricks() {
        assert!(rights(&tenant(), &body).iter().any(|right| right.starts_with(setting)), "{setting}");
    }
    let with = |cap: &str| rights(&tenant(), &with_host(|host| host.cap_add = texts(cap)));
    assert_ne!(with("SYS_ADMIN"), with("NET_ADMIN"));
}

/// All offences are told at once, so that nobody has to find them one by one.
#[test]
fn all_offences_are_told_at_once() {
    let body = with_host(|host| {
        host.privileged = Some(true);
        host.pid_mode = text("host");
    });
    let error = Policy::default().check(&tenant(), body).unwrap_err();
    assert_eq!(error.details["settings"], serde_json::json!(["pid_mode", "privileged"]));
}

/// The owner's word counts, for exactly what it names.
#[test]
fn the_owner_allows_exactly_what_the_file_names() {
    let policy = Policy::parse("allow = [\"privileged\"]").unwrap();
    for (setting, body) in tricks() {
        assert_eq!(policy.check(&tenant(), body).is_ok(), setting == "privileged", "{setting}");
    }
}

/// A typing error in the policy must not silently allow nothing, or the wrong thing.
#[test]
fn an_unknown_word_in_the_policy_file_is_refused() {
    assert!(Policy::parse("allow = [\"privilegd\"]").unwrap_err().contains("privilegd"));
    assert!(Policy::parse("alow = []").is_err());
    assert!(Policy::load(Path::new("/nonexistent")).unwrap() == Policy::default());
}

/// The tenant's own plain volume is what mounts are for.
#[test]
fn the_tenants_own_volume_is_allowed() {
    let body = with_host(|host| host.mounts = Some(vec![volume("ecep_acme_data")]));
    assert!(Policy::default().check(&tenant(), body).is_ok());
}

/// Terminals are open where the owner says nothing of them, and closed where the owner says so, with what to do.
#[test]
fn the_owner_can_forbid_terminals() {
    for allows in ["", "terminals = true", "allow = [\"privileged\"]"] {
        assert!(Policy::parse(allows).unwrap().check_terminals().is_ok(), "{allows}");
    }
    let forbids = Policy::parse("terminals = false").unwrap();
    let refused = forbids.clone().without_settings().check_terminals().unwrap_err();
    assert!(
        refused.uri == ErrorKind::Forbidden && refused.message.contains("terminals = false"),
        "{refused:?}"
    );
    assert!(Policy::parse("terminals = \"no\"").is_err());
}
