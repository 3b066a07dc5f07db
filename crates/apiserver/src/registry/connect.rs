//! Admission of connections: to pods' containers and ports, and through proxies.

use drydock_machinery::{Status, Value};

use super::{Call, Registry};
use crate::admission::Operation;

impl Registry {
    /// Asks admission whether the call may connect; `options` is what it connects with (a PodExecOptions and such).
    ///
    /// # Errors
    /// The refusal, as the client sees it.
    pub(crate) async fn admit_connection(&self, call: &mut Call, options: Value) -> Result<(), Status> {
        let options = self.admit(call, Operation::Connect, options, None).await?;
        self.admission_validate(call, Operation::Connect, &options, None).await
    }
}
