//! The authorizer that expressions may ask.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use drydock_auth::{Attributes, Authorizer, Decision, UserInfo};
use drydock_cel::library::{self, Check, Subject};
use parking_lot::Mutex;

use crate::cache::Cache;

/// Asks for one request's user. What was asked once is remembered: requests are decided at one moment.
pub(in crate::admission) struct Asker {
    authorizer: Arc<Authorizer>,
    cache: Arc<Cache>,
    user: UserInfo,
    known: Mutex<HashMap<String, library::Decision>>,
}

impl Asker {
    pub(in crate::admission) fn new(
        authorizer: &Arc<Authorizer>,
        cache: &Arc<Cache>,
        user: &UserInfo,
    ) -> Arc<Self> {
        let (authorizer, cache) = (authorizer.clone(), cache.clone());
        Arc::new(Self { authorizer, cache, user: user.clone(), known: Mutex::default() })
    }

    fn ask(&self, user: &UserInfo, check: &Check) -> library::Decision {
        let attributes = match check {
            Check::Path { path, verb } => Attributes::path(user, verb, path),
            Check::Resource { attributes: asked, verb } => Attributes {
                subresource: &asked.subresource,
                name: &asked.name,
                namespace: &asked.namespace,
                field_selector: &asked.field_selector,
                ..Attributes::resource(user, verb, &asked.group, &asked.resource)
            },
        };
        let decision = self.authorizer.authorize(&*self.cache, &attributes);
        let error = match &decision {
            Decision::NoOpinion { evaluation_error, .. } if !evaluation_error.is_empty() => {
                Some(evaluation_error.clone())
            }
            _ => None,
        };
        library::Decision { allowed: decision.is_allowed(), reason: decision.reason().to_owned(), error }
    }
}

impl library::Authorizer for Asker {
    fn authorize(&self, subject: &Subject, check: &Check) -> library::Decision {
        let key = format!("{subject:?} {check:?}");
        if let Some(known) = self.known.lock().get(&key) {
            return known.clone();
        }
        let decision = match subject {
            Subject::Requester => self.ask(&self.user, check),
            Subject::ServiceAccount { namespace, name } => {
                self.ask(&UserInfo::service_account(namespace, name), check)
            }
        };
        self.known.lock().insert(key, decision.clone());
        decision
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "authorizer for {}", self.user.name)
    }
}
