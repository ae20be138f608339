//! A tenant's devices and containers as a page for Prometheus.
//!
//! A page is kept for a second: however often somebody asks, it is made once. Bounded by the tenants, one page each.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use ecep_proto::api::{
    container::ContainerState,
    device::{DeviceView, Liveness},
    fleet::PlacedContainer,
    name::TenantSlug,
};

use crate::{
    control::ControlPlane,
    exposition::{Kind, Page, count},
    history::{ContainerKey, Present},
    metrics::name_of,
};

/// How long a page is kept.
const KEPT_MS: u64 = 1_000;

/// A family's name, its help, and the figure.
type Family = (&'static str, &'static str, fn(&Present) -> Option<f64>);

const DEVICE_RATES: [Family; 4] = [
    ("ecep_device_network_received_bytes_per_second", "Bytes received over its uplinks.", |present| {
        Some(present.network?[0])
    }),
    ("ecep_device_network_sent_bytes_per_second", "Bytes sent over its uplinks.", |present| {
        Some(present.network?[1])
    }),
    ("ecep_device_disk_read_bytes_per_second", "Bytes read from the containers' disk.", |present| {
        Some(present.disk?[0])
    }),
    ("ecep_device_disk_written_bytes_per_second", "Bytes written to the containers' disk.", |present| {
        Some(present.disk?[1])
    }),
];

const CONTAINER_RATES: [Family; 4] = [
    (
        "ecep_container_network_received_bytes_per_second",
        "Bytes received over its own interfaces.",
        |present| Some(present.network?[0]),
    ),
    ("ecep_container_network_sent_bytes_per_second", "Bytes sent over its own interfaces.", |present| {
        Some(present.network?[1])
    }),
    ("ecep_container_disk_read_bytes_per_second", "Bytes read from disks.", |present| Some(present.disk?[0])),
    ("ecep_container_disk_written_bytes_per_second", "Bytes written to disks.", |present| {
        Some(present.disk?[1])
    }),
];

/// The last page of each tenant, and when it was made.
#[derive(Debug, Default)]
pub struct Pages(Mutex<HashMap<TenantSlug, (u64, String)>>);

impl ControlPlane {
    /// The tenant's page.
    pub fn telemetry_of(&self, tenant: &TenantSlug) -> String {
        let now = self.clock.now();
        {
            let pages = self.telemetry.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, page)) = pages.get(tenant).filter(|(at, _)| now < at.saturating_add(KEPT_MS)) {
                return page.clone();
            }
        }
        let page = self.write(now, tenant);
        let mut pages = self.telemetry.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|_, (at, _)| now < at.saturating_add(KEPT_MS));
        pages.insert(tenant.clone(), (now, page.clone()));
        page
    }

    fn write(&self, now: u64, tenant: &TenantSlug) -> String {
        let (devices, mut containers) = {
            let view = self.view();
            (view.devices(now, tenant).devices, view.containers(now, tenant).containers)
        };
        containers.retain(|one| self.authority.is_visible(&one.container.id, &one.device));
        let mut at: HashMap<_, Vec<PlacedContainer>> = HashMap::new();
        for container in containers {
            at.entry(container.device.clone()).or_default().push(container);
        }
        let mut of_devices = Vec::new();
        let mut of_containers = Vec::new();
        for device in devices {
            let placed = at.remove(&device.id).unwrap_or_default();
            let keys: Vec<ContainerKey> =
                placed.iter().map(|one| (tenant.clone(), one.container.id.clone())).collect();
            let (own, present) = self.history.present(now, &device.id, &keys);
            of_containers.extend(placed.into_iter().zip(present));
            of_devices.push((device, own));
        }
        let mut page = Page::default();
        write_devices(&mut page, &of_devices);
        write_containers(&mut page, &of_containers);
        page.finish()
    }
}

fn write_devices(page: &mut Page, devices: &[(DeviceView, Option<Present>)]) {
    let mut family = |name, help: &str, value: &dyn Fn(&DeviceView, Option<&Present>) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for (device, present) in devices {
            if let Some(value) = value(device, present.as_ref()) {
                page.sample(&[("device", device.id.as_str()), ("device_name", &device.name)], value);
            }
        }
    };
    family("ecep_device_up", "Whether the device reports.", &|device, _| {
        Some(f64::from(u8::from(matches!(device.liveness, Liveness::Connected | Liveness::Degraded))))
    });
    family("ecep_device_last_seen_seconds", "When it last reported, in seconds since 1970.", &|device, _| {
        device.last_seen_at.map(|at| count(at / 1_000))
    });
    family("ecep_device_cores", "Cores that are online.", &|device, _| {
        device.facts.as_ref().map(|facts| f64::from(facts.cores))
    });
    family("ecep_device_memory_total_bytes", "Bytes of memory.", &|device, _| {
        device.facts.as_ref().map(|facts| count(facts.memory_total_bytes))
    });
    family("ecep_device_cpu_percent", "CPU in use, in percent of all cores together.", &|_, present| {
        present?.cpu_percent
    });
    family("ecep_device_memory_used_bytes", "Bytes of memory in use.", &|_, present| present?.memory_bytes);
    family("ecep_device_disk_free_bytes", "Free bytes on the containers' disk.", &|_, present| {
        present?.disk_free_bytes
    });
    for (name, help, rate) in DEVICE_RATES {
        family(name, help, &|_, present| rate(present?));
    }
    page.family("ecep_device_liveness", Kind::Gauge, "1 for how the device is.");
    for (device, _) in devices {
        let liveness = name_of(device.liveness);
        let labels = [("device", device.id.as_str()), ("device_name", &device.name), ("liveness", liveness)];
        page.sample(&labels, 1.0);
    }
}

fn write_containers(page: &mut Page, containers: &[(PlacedContainer, Option<Present>)]) {
    let mut family = |name, help: &str, value: &dyn Fn(&PlacedContainer, Option<&Present>) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for (placed, present) in containers {
            if let Some(value) = value(placed, present.as_ref()) {
                let container = &placed.container;
                let labels = [
                    ("device", placed.device.as_str()),
                    ("container", container.id.as_str()),
                    ("container_name", container.name.as_str()),
                    ("application", container.application.as_str()),
                ];
                page.sample(&labels, value);
            }
        }
    };
    family("ecep_container_running", "Whether the container runs, as last reported.", &|placed, _| {
        Some(f64::from(u8::from(placed.container.state == ContainerState::Running)))
    });
    family(
        "ecep_container_started_seconds",
        "When it was last started, in seconds since 1970.",
        &|placed, _| placed.container.started_at.map(|at| count(at / 1_000)),
    );
    family("ecep_container_cpu_percent", "CPU in use, in percent of one core.", &|_, present| {
        present?.cpu_percent
    });
    family("ecep_container_memory_bytes", "Bytes of memory in use.", &|_, present| present?.memory_bytes);
    for (name, help, rate) in CONTAINER_RATES {
        family(name, help, &|_, present| rate(present?));
    }
}
