//! Brings a container back as it was saved. A note on the disk tells what is to be settled where that does not come to its end.

use std::{collections::BTreeSet, path::Path};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::TenantSlug,
};
use ecep_runtime::{
    dump::RestoredBy,
    order::{Connections, Order, Then},
};

use super::{
    blocking, disk, failed, mobility, not_found,
    note::{Note, Work},
    targets,
};
use crate::{
    engine::{Engine, EngineContainer, EngineError, docker::mobility::Mobility},
    policy,
    reporter::Reporter,
    restoring,
};

/// Brings it back. Where this fails, a note may be left.
pub(super) async fn restore<E: Engine>(
    engine: &E,
    tenant: &TenantSlug,
    found: &EngineContainer,
    (place, data): (&Path, &Path),
    report: &Reporter,
) -> Result<(), ApiError> {
    let mobility = mobility(engine)?;
    let record = disk::read(place).ok_or_else(not_found)?;
    let engine_id = found.detail.engine_id.clone();
    let portrait = mobility.portrait(tenant, &engine_id, false).await.map_err(EngineError::into_api)?;
    let name = &found.view().name;
    if portrait.is_running {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!("container {name} runs; stop it first, what it has in memory would be lost"),
        ));
    }
    if portrait.image_id != record.image_id || targets(found) != record.volumes {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!("container {name} has another image or other volumes than the one that was saved"),
        ));
    }
    // Its processes bring what they were allowed along.
    let rights = policy::rights(tenant, &portrait.body);
    if rights != record.rights {
        let told = |rights: &BTreeSet<String>| match rights.is_empty() {
            true => "nothing beyond an ordinary container".to_owned(),
            false => rights.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        return Err(ApiError::new(
            ErrorKind::Forbidden,
            format!(
                "checkpoint {} is of a container with {}, and container {name} has {}; restore it into one with the same rights",
                record.view.name,
                told(&record.rights),
                told(&rights)
            ),
        ));
    }
    let restored_by = disk::restored_by(&portrait.runtime);
    if restored_by != disk::restored_by(&record.runtime) {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!(
                "checkpoint {} was saved of a container with the runtime {:?}, and container {name} has {:?}; restore it into one \
                 with the same runtime",
                record.view.name, record.runtime, portrait.runtime
            ),
        ));
    }
    refuse_if_shared(&mobility, &engine_id, &portrait.volumes).await?;
    report.phase("restoring", Some(&found.view().id), None);
    let id = &found.view().id;
    let note =
        |work| Note { tenant: tenant.clone(), container: id.clone(), engine_id: engine_id.clone(), work };
    let putting_back = note(Work::PuttingBack { place: place.to_owned() });
    putting_back.write(data).map_err(|error| failed(&error))?;
    let (from, into) = (place.to_owned(), portrait.clone());
    blocking(move || disk::put_back(&from, &into)).await?;
    note(Work::Starting).write(data).map_err(|error| failed(&error))?;
    let order = Order {
        images: disk::images(place),
        isolated: false,
        then: Then::Run,
        connections: Connections::Close,
        waits: false,
        addresses: found.view().address.into_iter().collect(),
    };
    let restored = if restored_by == RestoredBy::Us {
        restoring::restore(&mobility, &engine_id, order).await.map(drop)
    } else {
        restoring::restore_by_engine(&mobility, tenant, &engine_id, &order.images).await
    };
    let engine_failed = |why: String| ApiError::new(ErrorKind::Engine, why);
    restored.map_err(engine_failed)?;
    restoring::clear(&engine_id).map_err(engine_failed)?;
    Note::remove(data, id).map_err(|error| failed(&error))
}

/// What another container writes into a volume must not vanish under it.
async fn refuse_if_shared(
    mobility: &Mobility,
    engine_id: &str,
    volumes: &[(String, std::path::PathBuf)],
) -> Result<(), ApiError> {
    for (name, _) in volumes {
        let users = mobility.users_of_volume(name).await.map_err(EngineError::into_api)?;
        if users.iter().any(|user| user != engine_id) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "another container uses the volume {name}, too; delete that one first, or restore into a container with volumes of its own"
                ),
            ));
        }
    }
    Ok(())
}
