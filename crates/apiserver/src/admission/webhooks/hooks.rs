//! The webhooks of a cluster, as they are now, with their match conditions compiled.

use std::sync::Arc;

use drydock_cel::declare::KubernetesVersion;
use drydock_kinds::expression::{Compiler, Scope};
use drydock_machinery::{Object, ObjectMeta, Status, Value};
use parking_lot::Mutex;

use super::GROUP;
use crate::admission::expression::{Asker, Conditions, Inputs};
use crate::admission::matching::Criteria;
use crate::admission::versions::{Matched, Versioned};
use crate::admission::{AdmissionContext, AdmissionRequest};

/// One webhook of a configuration.
pub(super) struct Hook {
    configuration: Arc<Object>,
    index: usize,
    /// Tells it apart, whatever its name.
    pub(super) key: String,
    conditions: Conditions,
}

/// Keeps what was compiled as long as no configuration changes.
pub(super) struct Hooks {
    resource: &'static str,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    version: Option<u64>,
    hooks: Arc<[Hook]>,
}

impl Hooks {
    pub(super) fn new(resource: &'static str) -> Self {
        Self { resource, kept: Mutex::default() }
    }

    /// In the order of the configurations' names.
    pub(super) fn now(&self, context: &AdmissionContext<'_>) -> Arc<[Hook]> {
        let version = context.reader.version(GROUP, self.resource);
        let mut kept = self.kept.lock();
        if kept.version != Some(version) {
            let compiler = Compiler::plain(KubernetesVersion::of_minor(context.minor_version));
            let configurations = context.reader.list(GROUP, self.resource, "");
            kept.hooks = configurations.iter().flat_map(|own| of_configuration(own, &compiler)).collect();
            kept.version = Some(version);
        }
        kept.hooks.clone()
    }
}

pub(super) fn of_configuration(configuration: &Arc<Object>, compiler: &Compiler) -> Vec<Hook> {
    let hook = |(index, webhook): (usize, &Value)| Hook {
        configuration: configuration.clone(),
        index,
        key: format!("{}/{}/{index}", configuration.name(), webhook.str_at(&["name"])),
        conditions: Conditions::new(compiler, webhook, Scope::condition(false)),
    };
    configuration.array_at(&["webhooks"]).iter().enumerate().map(hook).collect()
}

impl Hook {
    pub(super) fn configuration_name(&self) -> &str {
        self.configuration.name()
    }

    pub(super) fn webhook(&self) -> &Value {
        self.configuration.array_at(&["webhooks"]).get(self.index).unwrap_or(&Value::Null)
    }

    pub(super) fn name(&self) -> &str {
        self.webhook().str_at(&["name"])
    }

    /// What the request is about to this webhook, and its objects in that version; None when it is not for it.
    ///
    /// # Errors
    /// 403 when a match condition cannot be evaluated, and failures are not to be ignored.
    pub(super) async fn sees(
        &self,
        context: &AdmissionContext<'_>,
        request: &AdmissionRequest<'_>,
        asker: &Arc<Asker>,
    ) -> Result<Option<(Matched, Versioned)>, Status> {
        let criteria = Criteria::of_webhook(self.webhook());
        let Some(matched) = criteria.matches(context.reader, context.resources, request)? else {
            return Ok(None);
        };
        let versioned = Versioned::new(context, request, &matched.kind).await?;
        if self.conditions.is_empty() {
            return Ok(Some((matched, versioned)));
        }
        // Conditions see the resource of the request, whatever the rule says.
        let seen = Matched { resource: request.resource.clone(), kind: matched.kind.clone() };
        let inputs = Inputs::new(request, &seen, &versioned).with_authorizer(request, asker);
        let ignored = self.webhook().str_at(&["failurePolicy"]) == "Ignore";
        match self.conditions.hold(&inputs, None, ignored).await {
            Ok(true) => Ok(Some((matched, versioned))),
            Ok(false) => Ok(None),
            Err(why) => {
                let resource = request.resource;
                Err(Status::forbidden(&resource.group, &resource.resource, &request.name, &why))
            }
        }
    }
}
