//! The authorizer that expressions may ask.
//!
//! Expressions are evaluated without waiting, and some authorizers are on other machines. A check that is not answered at
//! once leaves its answer to be awaited ([`Asker::take_waiting`]), and what was evaluated counts for nothing: with the
//! answer known, it is evaluated again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_cel::library::{self, Check, Subject};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::admission::{AdmissionContext, AdmissionRequest};
use crate::cache::Cache;
use crate::seams::Authorizer;

/// Asks for one request's user. What was asked once is remembered: requests are decided at one moment.
pub(in crate::admission) struct Asker {
    authorizer: Arc<dyn Authorizer>,
    cache: Arc<Cache>,
    user: UserInfo,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, library::Decision>,
    waiting: Option<Waiting>,
}

/// A check, by its key, whose answer is under way.
pub(in crate::admission) struct Waiting {
    key: String,
    answer: BoxFuture<'static, library::Decision>,
}

impl Asker {
    pub(in crate::admission) fn new(
        context: &AdmissionContext<'_>,
        request: &AdmissionRequest<'_>,
    ) -> Arc<Self> {
        let (authorizer, cache) = (context.authorizer.clone(), context.cache.clone());
        Arc::new(Self { authorizer, cache, user: request.user.clone(), state: Mutex::default() })
    }

    /// What the evaluation that just ended lacked an answer to.
    pub(super) fn take_waiting(&self) -> Option<Waiting> {
        self.state.lock().waiting.take()
    }

    pub(super) async fn wait(&self, waiting: Waiting) {
        let decision = waiting.answer.await;
        self.state.lock().known.insert(waiting.key, decision);
    }

    fn ask(&self, subject: &Subject, check: &Check) -> BoxFuture<'static, library::Decision> {
        let user = match subject {
            Subject::Requester => self.user.clone(),
            Subject::ServiceAccount { namespace, name } => UserInfo::service_account(namespace, name),
        };
        let (authorizer, cache, check) = (self.authorizer.clone(), self.cache.clone(), check.clone());
        let decide = async move { decision(authorizer.decide(&*cache, &attributes(&user, &check)).await) };
        decide.boxed()
    }
}

fn attributes<'a>(user: &'a UserInfo, check: &'a Check) -> Attributes<'a> {
    match check {
        Check::Path { path, verb } => Attributes::path(user, verb, path),
        Check::Resource { attributes: asked, verb } => Attributes {
            subresource: &asked.subresource,
            name: &asked.name,
            namespace: &asked.namespace,
            field_selector: &asked.field_selector,
            label_selector: &asked.label_selector,
            ..Attributes::resource(user, verb, &asked.group, &asked.resource)
        },
    }
}

fn decision(decision: Decision) -> library::Decision {
    let error = Some(decision.evaluation_error()).filter(|error| !error.is_empty() && !decision.is_allowed());
    library::Decision {
        allowed: decision.is_allowed(),
        reason: decision.reason().to_owned(),
        error: error.map(str::to_owned),
    }
}

impl library::Authorizer for Asker {
    fn authorize(&self, subject: &Subject, check: &Check) -> library::Decision {
        let key = format!("{subject:?} {check:?}");
        let mut state = self.state.lock();
        if let Some(known) = state.known.get(&key) {
            return known.clone();
        }
        // What follows from an answer that is not there is not worth asking.
        if state.waiting.is_some() {
            return library::Decision::default();
        }
        let mut answer = self.ask(subject, check);
        match (&mut answer).now_or_never() {
            Some(decision) => {
                state.known.insert(key, decision.clone());
                decision
            }
            None => {
                state.waiting = Some(Waiting { key, answer });
                library::Decision::default()
            }
        }
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "authorizer for {}", self.user.name)
    }
}
