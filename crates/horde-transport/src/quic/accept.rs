//! Strangers that dial us.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::Incoming;
use tokio::sync::Semaphore;

use super::close::{Code, Ended, ended};
use super::endpoint::Inner;
use super::status::Refused;

/// Takes strangers in until the endpoint closes. Handshakes at once are bounded, and each has a deadline.
pub(crate) async fn run(inner: Arc<Inner>) {
    let free = Arc::new(Semaphore::new(inner.handshakes));
    while let Some(incoming) = inner.endpoint.accept().await {
        let Ok(permit) = free.clone().try_acquire_owned() else {
            // Busy: whoever cannot prove its address would cost us most.
            if incoming.remote_address_validated() || !incoming.may_retry() {
                incoming.refuse();
            } else if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            continue;
        };
        let inner = inner.clone();
        tokio::spawn(async move {
            take(&inner, incoming).await;
            drop(permit);
        });
    }
}

async fn take(inner: &Arc<Inner>, incoming: Incoming) {
    let address = incoming.remote_address();
    let mut known = None;
    let greeting = async {
        let connection = incoming.await.map_err(|error| ended(&error))?;
        inner.answer(known.insert(connection).clone()).await
    };
    match tokio::time::timeout(inner.timing.handshake, greeting).await {
        Ok(Ok(())) => {}
        Ok(Err(ended)) => report(inner, address, ended),
        Err(_late) => {
            let why = "the greeting did not end in time";
            if let Some(connection) = known {
                Code::Refused.close(&connection, why);
            }
            report(inner, address, Ended::Refused(why.into()));
        }
    }
}

fn report(inner: &Inner, address: SocketAddr, ended: Ended) {
    let (by_them, reason) = match ended {
        Ended::Refused(reason) => (false, reason),
        Ended::RefusedUs(reason) => (true, reason),
        other => return tracing::debug!(%address, ?other, "a stranger did not become a peer"),
    };
    let refused = Refused { address, by_them, reason };
    let node = inner.dispatch.local();
    if inner.refusals.add(refused.clone()) {
        tracing::warn!(%node, "{refused}");
    } else {
        tracing::debug!(%node, "{refused}");
    }
}
