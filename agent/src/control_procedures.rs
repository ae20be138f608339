//! The procedures that this device serves to the control plane alone: those of moves, of copies, of shares that end and of applications.
//! Thin: each checks, asks, and answers.

use std::sync::{Arc, OnceLock};

use ecep_link::LinkBuilder;
use ecep_proto::api::{
    CheckpointExpect, CheckpointSend, DeviceDeployment, DeviceReplacement, MigrationCheck, MigrationExpect,
    MigrationStart, MigrationStop, MigrationSurvey, Procedure, ShareEvict,
    application::{DeviceDeploy, DeviceUpdate},
    error::{ApiError, ErrorKind},
    name::DeviceId,
    operation::OperationReply,
    reply::Caller,
};

use crate::{
    applications::{Applications, cloud::Cloud},
    engine::Engine,
    migration::Migrations,
    orders::{Accepted, Orders},
};

/// Registers all of them on the link to the control plane. `migrations` is set once there are any.
pub fn serve<E: Engine>(
    mut link: LinkBuilder,
    device: &DeviceId,
    orders: &Arc<Orders<E>>,
    migrations: &Arc<OnceLock<Arc<Migrations<E>>>>,
) -> LinkBuilder {
    macro_rules! procedures {
        ($($procedure:ty => |$moves:ident, $request:ident| $answer:expr;)+) => { $(
            let own = Arc::clone(migrations);
            link = link.procedure::<$procedure, _, _>(
                <$procedure>::on(device),
                move |_: Caller, $request: <$procedure as Procedure>::Request| {
                    let own = Arc::clone(&own);
                    async move {
                        let $moves = own.get().ok_or_else(none)?;
                        $answer
                    }
                },
            );
        )+ };
    }
    procedures! {
        MigrationSurvey => |moves, request| moves.survey(request).await;
        MigrationCheck => |moves, request| moves.check(request).await;
        MigrationExpect => |moves, request| moves.expect(request);
        MigrationStart => |moves, request| moves.start(request);
        CheckpointExpect => |moves, request| moves.expect_checkpoint(&request);
        CheckpointSend => |moves, request| moves.send_checkpoint(request);
        MigrationStop => |moves, request| moves.stop(&request);
    }
    let orders = Arc::clone(orders);
    link.procedure::<ShareEvict, _, _>(ShareEvict::on(device), move |_: Caller, request| {
        let orders = Arc::clone(&orders);
        async move { orders.evict(request).await }
    })
}

/// Registers those of applications.
pub fn serve_applications<E: Engine, C: Cloud>(
    link: LinkBuilder,
    device: &DeviceId,
    applications: &Arc<Applications<E, C>>,
) -> LinkBuilder {
    let (deploying, updating) = (Arc::clone(applications), Arc::clone(applications));
    link.procedure::<DeviceDeployment, _, _>(
        DeviceDeployment::on(device),
        move |_: Caller, request: DeviceDeploy| {
            let applications = Arc::clone(&deploying);
            async move { answered(applications.deploy(request)).await }
        },
    )
    .procedure::<DeviceReplacement, _, _>(
        DeviceReplacement::on(device),
        move |_: Caller, request: DeviceUpdate| {
            let applications = Arc::clone(&updating);
            async move { answered(applications.update(request)).await }
        },
    )
}

async fn answered(accepted: Result<Accepted, ApiError>) -> Result<OperationReply, ApiError> {
    accepted?.answer().await
}

fn none() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "this device's engine cannot move containers")
}
