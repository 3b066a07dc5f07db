//! Taking a connection over from HTTP.

use std::sync::Arc;

use drydock_machinery::{Reason, Status};
use http::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::Answer;
use crate::http::handler::Req;

/// Upgraded connections of one API server at the same time.
const MOST: usize = 512;

/// Bounds the upgraded connections of one API server.
pub(crate) struct Upgrades(Arc<Semaphore>);

impl Default for Upgrades {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// A place among the upgraded connections, and the way to the connection itself.
pub(crate) struct Taken {
    on_upgrade: OnUpgrade,
    permit: OwnedSemaphorePermit,
}

/// # Errors
/// 429 when there are too many; 500 when the connection cannot be taken over, as those of HTTP/2.
pub(crate) fn take(request: &Req) -> Result<Taken, Status> {
    let permit = request.core.upgrades.0.clone().try_acquire_owned().map_err(|_| {
        let text = "too many upgraded connections, please try again later.";
        Status::new(429, Reason::TooManyRequests, text)
    })?;
    let on_upgrade = request.parts.extensions.get::<OnUpgrade>().cloned();
    let on_upgrade = on_upgrade
        .ok_or_else(|| Status::new(500, Reason::Unknown, "request connection cannot be hijacked"))?;
    Ok(Taken { on_upgrade, permit })
}

impl Taken {
    /// Answers `answer`, which switches protocols, and runs what `serve` makes of the connection in a task.
    pub(crate) fn switch<F>(
        self,
        request: &Req,
        answer: Response<()>,
        serve: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static,
    ) -> Answer
    where
        F: Future<Output = ()> + Send,
    {
        request.core.tasks.spawn("upgraded-connection", async move {
            let _permit = self.permit;
            match self.on_upgrade.await {
                Ok(upgraded) => serve(TokioIo::new(upgraded)).await,
                Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
            }
        });
        answer.map(|()| Default::default())
    }
}
