//! What the cloud opens here because somebody wants to look at a container: its output as it comes, a terminal. Who may was judged
//! by the cloud, and for terminals by this device; whose container it is, is judged here once more.

mod log;
mod terminal;

use std::sync::Arc;

use ecep_channel::{
    channel::Offer,
    header::{Header, Refusal, RefusalCode},
};
use ecep_proto::api::error::{ApiError, ErrorKind};
use tokio::sync::{Semaphore, mpsc};

use crate::{engine::Engine, orders::Orders};

/// Open at once on this device; each holds a connection to the engine and some buffers.
const MAX_VIEWS: usize = 64;

/// Takes them, for ever.
pub(crate) async fn take<E: Engine>(orders: Arc<Orders<E>>, mut offers: mpsc::Receiver<Offer>) {
    let places = Arc::new(Semaphore::new(MAX_VIEWS));
    while let Some(offer) = offers.recv().await {
        let (orders, place) = (Arc::clone(&orders), Arc::clone(&places).try_acquire_owned());
        tokio::spawn(async move {
            let _place = match place {
                Ok(place) => place,
                Err(_) => {
                    let text = format!("{MAX_VIEWS} logs and terminals are open on this device; close one");
                    refuse(offer, Refusal::new(RefusalCode::Busy, text)).await;
                    return;
                }
            };
            match offer.header.clone() {
                Header::Log { tenant, container, wish } => {
                    log::serve(&orders, offer, &tenant, container, wish).await;
                }
                Header::Terminal { tenant, terminal, authid } => {
                    terminal::serve(&orders, offer, &tenant, &terminal, &authid).await;
                }
                _ => {
                    let text = "the device does not show that";
                    refuse(offer, Refusal::new(RefusalCode::Unsupported, text)).await;
                }
            }
        });
    }
}

async fn refuse(offer: Offer, refusal: Refusal) {
    // The cloud is told, or it is gone.
    drop(offer.refuse(refusal).await);
}

/// As the cloud gets it.
fn refusal(error: ApiError) -> Refusal {
    let code = match error.uri {
        ErrorKind::NotFound => RefusalCode::NotFound,
        ErrorKind::Forbidden => RefusalCode::Forbidden,
        ErrorKind::Limit => RefusalCode::Busy,
        _ => RefusalCode::Failed,
    };
    Refusal::new(code, error.message)
}
