//! The procedures that this device serves to the control plane alone: those of moves, of copies and of shares that end. Thin: each checks, asks, and answers.

use std::sync::{Arc, OnceLock};

use ecep_link::LinkBuilder;
use ecep_proto::api::{
    CheckpointExpect, CheckpointSend, MigrationCheck, MigrationExpect, MigrationStart, MigrationStop,
    MigrationSurvey, Procedure, ShareEvict,
    error::{ApiError, ErrorKind},
    name::DeviceId,
    reply::Caller,
};

use crate::{engine::Engine, migration::Migrations, orders::Orders};

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

fn none() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "this device's engine cannot move containers")
}
