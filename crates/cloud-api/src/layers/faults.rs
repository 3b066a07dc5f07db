//! Makes calls fail on demand, before or after the cloud carried them out. Also passes the process-wide fault points
//! `cloud.OPERATION.before` and `cloud.OPERATION.after`.

use std::collections::HashMap;

use async_trait::async_trait;
use drydock_runtime::fault;
use parking_lot::Mutex;

use super::{Call, Layer};
use crate::{CloudError, CloudErrorKind};

/// A layer whose faults are set by a test or a user. Owns what is still to fail.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Planned>,
}

#[derive(Debug, Default)]
struct Planned {
    outage: Option<CloudErrorKind>,
    before: HashMap<&'static str, (CloudErrorKind, u32)>,
    after: HashMap<&'static str, (CloudErrorKind, u32)>,
}

impl Faults {
    /// The next `times` calls of `operation` do not reach the cloud.
    pub fn fail(&self, operation: &'static str, kind: CloudErrorKind, times: u32) {
        self.planned.lock().before.insert(operation, (kind, times));
    }

    /// The next `times` calls of `operation` are carried out, but their answers are lost.
    pub fn lose_answer(&self, operation: &'static str, kind: CloudErrorKind, times: u32) {
        self.planned.lock().after.insert(operation, (kind, times));
    }

    /// Every call fails with `kind` until this is called with None.
    pub fn set_outage(&self, kind: Option<CloudErrorKind>) {
        self.planned.lock().outage = kind;
    }
}

fn take(planned: &mut HashMap<&'static str, (CloudErrorKind, u32)>, name: &str) -> Option<CloudErrorKind> {
    let (kind, times) = planned.get_mut(name)?;
    *times = times.checked_sub(1)?;
    Some(*kind)
}

fn injected(call: &Call, kind: CloudErrorKind) -> CloudError {
    CloudError::new(kind, call.operation.name, format!("injected fault: {kind}"))
}

fn point(name: &'static str, call: &Call) -> Result<(), CloudError> {
    fault::point(name)
        .map_err(|error| CloudError::new(CloudErrorKind::Internal, call.operation.name, error.to_string()))
}

#[async_trait]
impl Layer for Faults {
    async fn before(&self, call: &Call) -> Result<(), CloudError> {
        point(call.operation.before, call)?;
        let mut planned = self.planned.lock();
        let kind = planned.outage.or_else(|| take(&mut planned.before, call.operation.name));
        kind.map_or(Ok(()), |kind| Err(injected(call, kind)))
    }

    async fn after(&self, call: &Call, outcome: Result<(), CloudError>) -> Result<(), CloudError> {
        outcome?;
        point(call.operation.after, call)?;
        let kind = take(&mut self.planned.lock().after, call.operation.name);
        kind.map_or(Ok(()), |kind| Err(injected(call, kind)))
    }
}
