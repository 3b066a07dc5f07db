//! Certificate signing requests: signs what was approved, and forgets what is old.
//!
//! How to sign is the cluster's matter ([`CertificateSigner`]). Requests of kubelets for client certificates are
//! approved when their subject says who asked; all others wait for a person or another approver.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_client::resources::CERTIFICATE_SIGNING_REQUESTS;
use drydock_client::{Change, Controller, DeleteOptions, Request, Verb, WorkQueue};
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;

use crate::Context;
use crate::util::{between, conditions, time_at};

/// How soon and how late failures are retried, as with upstream.
const RETRIES: Range<Duration> = Duration::from_millis(200)..Duration::from_secs(1000);
const SIGNERS: [&str; 4] = [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/legacy-unknown",
];

const SUBJECT_ACCESS_REVIEWS: GroupVersionResource =
    GroupVersionResource::new("authorization.k8s.io", "v1", "subjectaccessreviews");

/// How long until a kubelet's request that may not be approved yet is looked at again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How long requests stay: approved or failed ones an hour, pending ones a day.
const KEEP_DECIDED: Duration = Duration::from_secs(3600);
const KEEP_PENDING: Duration = Duration::from_secs(24 * 3600);

/// What a signing request is about.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    pub signer_name: String,
    /// As in `spec.request`: base64 of PEM.
    pub request: String,
    pub usages: Vec<String>,
    pub expiration: Option<Duration>,
    /// Who asked, and in which groups.
    pub username: String,
    pub groups: Vec<String>,
}

/// Why no certificate was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningError {
    /// The signer does not sign such requests; becomes the Failed condition's message.
    Refused(String),
    /// Tried again later.
    Failed(String),
}

/// The cluster's certificate authority, as far as controllers need it.
#[async_trait]
pub trait CertificateSigner: Send + Sync + 'static {
    /// The certificate as `status.certificate` holds it: base64 of PEM.
    ///
    /// # Errors
    /// When the signer refuses, or cannot now.
    async fn sign(&self, request: SigningRequest) -> Result<String, SigningError>;

    /// The user that a proper request for a kubelet's client certificate is for; None for all other requests.
    fn kubelet_client(&self, request: &SigningRequest) -> Option<String>;
}

pub(crate) fn start(ctx: Context, signer: Arc<dyn CertificateSigner>) {
    let queue = Arc::new(WorkQueue::with_retries(ctx.clock.clone(), RETRIES));
    let requests = ctx.informers.informer(&CERTIFICATE_SIGNING_REQUESTS);
    let to = queue.clone();
    requests.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let tasks = ctx.tasks.clone();
    let again = queue.clone();
    Controller::new("certificates", queue).needs([requests]).start(&tasks, move |key| {
        let (ctx, signer, again) = (ctx.clone(), signer.clone(), again.clone());
        async move { sync(&ctx, &*signer, &again, &key).await }
    });
}

async fn sync(
    ctx: &Context,
    signer: &dyn CertificateSigner,
    queue: &WorkQueue,
    key: &Key,
) -> Result<(), Status> {
    let Some(csr) = ctx.informers.informer(&CERTIFICATE_SIGNING_REQUESTS).get_key(key) else { return Ok(()) };
    if clean(ctx, queue, &csr).await? {
        return Ok(());
    }
    let known = SIGNERS.contains(&csr.str_at(&["spec", "signerName"]));
    let decided = |kind| conditions::is_true(&csr, kind);
    if !known || decided("Denied") || decided("Failed") || csr.at(&["status", "certificate"]).is_some() {
        return Ok(());
    }
    if !decided("Approved") {
        return approve(ctx, signer, queue, &csr).await;
    }
    sign(ctx, signer, &csr).await
}

async fn approve(
    ctx: &Context,
    signer: &dyn CertificateSigner,
    queue: &WorkQueue,
    csr: &Object,
) -> Result<(), Status> {
    if csr.str_at(&["spec", "signerName"]) != SIGNERS[1] {
        return Ok(());
    }
    let request = request(csr);
    let Some(user) = signer.kubelet_client(&request) else { return Ok(()) };
    let own = "Auto approving self kubelet client certificate after SubjectAccessReview.";
    let other = "Auto approving kubelet client certificate after SubjectAccessReview.";
    let mut message = None;
    if user == request.username && may_create(ctx, csr, "selfnodeclient").await? {
        message = Some(own);
    } else if may_create(ctx, csr, "nodeclient").await? {
        message = Some(other);
    }
    let Some(message) = message else {
        // Who asked may be given the right later.
        queue.add_after(csr.name(), ASK_AGAIN);
        return Ok(());
    };
    let new = with_condition(ctx, csr, "Approved", "AutoApproved", message);
    let put = Request::new(Verb::Update, &CERTIFICATE_SIGNING_REQUESTS, "", csr.name());
    ctx.client.object(put.subresource("approval").body(new)).await.map(drop)
}

/// Whether who made the request may have it approved without a person: upstream's question to its authorizer.
async fn may_create(ctx: &Context, csr: &Object, subresource: &str) -> Result<bool, Status> {
    let mut review = value!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": csr.str_at(&["spec", "username"]), "uid": csr.str_at(&["spec", "uid"]),
        "resourceAttributes": {"group": "certificates.k8s.io", "resource": "certificatesigningrequests",
            "subresource": subresource, "verb": "create", "version": "*"},
    }});
    for field in ["groups", "extra"] {
        if let Some(found) = csr.at(&["spec", field]) {
            review.set(&["spec", field], found.clone());
        }
    }
    let answer = ctx.client.create(&SUBJECT_ACCESS_REVIEWS, review).await?;
    Ok(answer.at(&["status", "allowed"]).and_then(Value::as_bool).unwrap_or(false))
}

async fn sign(ctx: &Context, signer: &dyn CertificateSigner, csr: &Object) -> Result<(), Status> {
    let new = match signer.sign(request(csr)).await {
        Ok(certificate) => {
            let mut new = csr.value().clone();
            new.set(&["status", "certificate"], certificate);
            new
        }
        Err(SigningError::Refused(why)) => {
            with_condition(ctx, csr, "Failed", "SignerValidationFailure", &why)
        }
        Err(SigningError::Failed(why)) => return Err(Status::internal(why)),
    };
    ctx.client.update_status(&CERTIFICATE_SIGNING_REQUESTS, new).await.map(drop)
}

fn with_condition(ctx: &Context, csr: &Object, kind: &str, reason: &str, message: &str) -> Value {
    let now = ctx.clock.now_rfc3339();
    let mut condition = conditions::new(kind, "True", reason, message, &now);
    condition.set(&["lastUpdateTime"], now);
    let mut new = csr.value().clone();
    conditions::set_in_place(&mut new, condition);
    new
}

fn request(csr: &Object) -> SigningRequest {
    let texts = |field: &str| {
        csr.array_at(&["spec", field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let seconds = csr.i64_at(&["spec", "expirationSeconds"]).and_then(|seconds| u64::try_from(seconds).ok());
    SigningRequest {
        signer_name: csr.str_at(&["spec", "signerName"]).to_owned(),
        request: csr.str_at(&["spec", "request"]).to_owned(),
        usages: texts("usages"),
        expiration: seconds.map(Duration::from_secs),
        username: csr.str_at(&["spec", "username"]).to_owned(),
        groups: texts("groups"),
    }
}

/// Since when a request is as it is, and how long it is kept like that.
///
/// Who decides writes the time, by their own clock: kubectl's stays behind a cluster whose time runs fast.
fn kept(csr: &Object) -> (Option<Timestamp>, Duration) {
    let created = time_at(csr, &["metadata", "creationTimestamp"]);
    match csr.array_at(&["status", "conditions"]).first() {
        Some(condition) => (time_at(condition, &["lastUpdateTime"]).max(created), KEEP_DECIDED),
        None => (created, KEEP_PENDING),
    }
}

/// Deletes the request when its time is over, else comes back then. True when it was deleted.
async fn clean(ctx: &Context, queue: &WorkQueue, csr: &Object) -> Result<bool, Status> {
    let (since, keep) = kept(csr);
    let now = ctx.clock.now();
    let age = between(since.unwrap_or(now), now);
    if age < keep {
        queue.add_after(csr.name(), keep - age);
        return Ok(false);
    }
    match ctx.client.delete(&CERTIFICATE_SIGNING_REQUESTS, "", csr.name(), DeleteOptions::default()).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::{Object, value};

    use super::{KEEP_DECIDED, KEEP_PENDING, kept};

    #[test]
    fn a_decision_by_a_clock_that_is_behind_counts_from_the_requests_creation() {
        let check = |decided: Option<&str>, since: &str, keep| {
            let mut csr = value!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T10:00:00Z"}});
            if let Some(time) = decided {
                csr.set(&["status", "conditions"], value!([{"type": "Approved", "lastUpdateTime": time}]));
            }
            assert_eq!(kept(&Object::new(csr, 1)), (since.parse().ok(), keep));
        };
        check(None, "2026-01-01T10:00:00Z", KEEP_PENDING);
        check(Some("2026-01-01T10:30:00Z"), "2026-01-01T10:30:00Z", KEEP_DECIDED);
        check(Some("2026-01-01T08:00:00Z"), "2026-01-01T10:00:00Z", KEEP_DECIDED);
    }
}
