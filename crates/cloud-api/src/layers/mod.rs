//! Decorators: one wrapper that carries every call of every capability through a stack of [`Layer`]s and [`Retry`].
//!
//! Owns no state but its layers'. Absent: knowledge of what a call means; an [`Operation`] is only a name.

mod faults;
mod metrics;
mod retry;
mod throttle;
mod wrap;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_runtime::{Stopwatch, wall};

pub use faults::Faults;
pub use metrics::{CallCount, CloudMetrics};
pub use retry::Retry;
pub use throttle::Throttle;

use crate::{CloudError, CloudProvider};

/// A method of a capability, as metrics and faults name it: `launch`, `load_balancer_ensure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub name: &'static str,
    /// Fault points ([`drydock_runtime::fault`]) before and after the call.
    pub before: &'static str,
    pub after: &'static str,
}

/// One attempt of a call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub provider: &'static str,
    pub operation: Operation,
    /// 0 for the first.
    pub attempt: u32,
    /// Of wall time; zero before the call.
    pub elapsed: Duration,
}

/// Sees every attempt of every call, and may stand in its way.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// An error keeps the call from the provider.
    async fn before(&self, _call: &Call) -> Result<(), CloudError> {
        Ok(())
    }

    /// May turn the outcome into a failure, as a lost answer does. An error cannot be turned into a success.
    async fn after(&self, _call: &Call, outcome: Result<(), CloudError>) -> Result<(), CloudError> {
        outcome
    }
}

/// Builds a decorated provider. The first layer is the outermost; retries go around all of them.
#[derive(Clone)]
pub struct Layers {
    retry: Retry,
    layers: Vec<Arc<dyn Layer>>,
}

impl Default for Layers {
    /// Without retries and layers.
    fn default() -> Self {
        Self { retry: Retry::never(), layers: Vec::new() }
    }
}

impl Layers {
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    #[must_use]
    pub fn layer(mut self, layer: Arc<dyn Layer>) -> Self {
        self.layers.push(layer);
        self
    }

    pub fn around(self, provider: Arc<dyn CloudProvider>) -> Arc<dyn CloudProvider> {
        let stack = Arc::new(Stack { provider: provider.name(), built: self });
        Arc::new(wrap::Layered::new(provider, stack))
    }
}

/// What carries a call.
struct Stack {
    provider: &'static str,
    built: Layers,
}

impl Stack {
    async fn call<'a, T: Send>(
        &self,
        operation: Operation,
        attempt: impl Fn() -> futures::future::BoxFuture<'a, Result<T, CloudError>> + Send + Sync,
    ) -> Result<T, CloudError> {
        let mut call = Call { provider: self.provider, operation, attempt: 0, elapsed: Duration::ZERO };
        loop {
            let error = match self.once(&mut call, &attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(delay) = self.built.retry.delay(call.attempt, &error) else { return Err(error) };
            tracing::debug!(operation = operation.name, error = %error, ?delay, "cloud call is tried again");
            wall::sleep(delay).await;
            call.attempt += 1;
            call.elapsed = Duration::ZERO;
        }
    }

    async fn once<'a, T: Send>(
        &self,
        call: &mut Call,
        attempt: &(impl Fn() -> futures::future::BoxFuture<'a, Result<T, CloudError>> + Send + Sync),
    ) -> Result<T, CloudError> {
        let mut entered = 0;
        let mut stopped = None;
        for layer in &self.built.layers {
            entered += 1;
            if let Err(error) = layer.before(call).await {
                stopped = Some(error);
                break;
            }
        }
        let watch = Stopwatch::start();
        let answer = match stopped {
            Some(error) => Err(error),
            None => attempt().await,
        };
        call.elapsed = watch.elapsed();
        let (answer, mut outcome) = match answer {
            Ok(answer) => (Some(answer), Ok(())),
            Err(error) => (None, Err(error)),
        };
        for layer in self.built.layers[..entered].iter().rev() {
            outcome = layer.after(call, outcome).await;
        }
        outcome?;
        answer.ok_or_else(|| {
            CloudError::new(crate::CloudErrorKind::Internal, call.operation.name, "a layer hid an error")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CloudErrorKind;
    use std::sync::atomic::{AtomicU32, Ordering};

    const OP: Operation =
        Operation { name: "launch", before: "cloud.launch.before", after: "cloud.launch.after" };

    fn stack(layers: Layers) -> Stack {
        Stack { provider: "mock", built: layers }
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_calls_are_tried_again_and_invalid_ones_are_not() {
        let metrics = Arc::new(CloudMetrics::default());
        let stack = stack(Layers::default().retry(Retry::default()).layer(metrics.clone()));
        let calls = AtomicU32::new(0);
        let result = stack
            .call(OP, || {
                let n = calls.fetch_add(1, Ordering::SeqCst);
                Box::pin(async move {
                    if n < 2 { Err(CloudError::new(CloudErrorKind::Throttled, "X", "slow")) } else { Ok(n) }
                })
            })
            .await;
        assert_eq!(result.unwrap(), 2);
        let refused = stack
            .call::<()>(OP, || {
                Box::pin(async { Err(CloudError::new(CloudErrorKind::InvalidRequest, "X", "bad")) })
            })
            .await;
        assert_eq!(refused.unwrap_err().kind, CloudErrorKind::InvalidRequest);
        let counts: Vec<_> = metrics.counts().into_iter().map(|c| (c.outcome, c.count)).collect();
        assert_eq!(counts, [("InvalidRequest", 1), ("OK", 1), ("Throttled", 2)]);
    }

    #[tokio::test]
    async fn a_fault_may_lose_the_answer_of_a_call_that_was_carried_out() {
        let faults = Arc::new(Faults::default());
        faults.lose_answer("launch", CloudErrorKind::Unreachable, 1);
        let stack = stack(Layers::default().layer(faults));
        let calls = AtomicU32::new(0);
        let attempt = || -> futures::future::BoxFuture<'static, Result<u32, CloudError>> {
            let n = calls.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Ok(n) })
        };
        assert_eq!(stack.call(OP, attempt).await.unwrap_err().kind, CloudErrorKind::Unreachable);
        assert_eq!(stack.call(OP, attempt).await.unwrap(), 1);
    }
}
