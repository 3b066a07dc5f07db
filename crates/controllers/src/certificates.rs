//! Certificate signing requests: signs what was approved, and forgets what is old.
//!
//! How to sign is the cluster's matter ([`CertificateSigner`]). Requests of kubelets for client certificates are
//! approved when their subject says who asked; all others wait for a person or another approver.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_client::resources::CERTIFICATE_SIGNING_REQUESTS;
use drydock_client::{Change, Controller, DeleteOptions, Request, Verb, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::{between, conditions, time_at};

const SIGNERS: [&str; 4] = [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/legacy-unknown",
];

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

    /// Whether a kubelet asks for a client certificate of its own, which is approved without a person.
    async fn is_own_kubelet_client(&self, request: SigningRequest) -> bool;
}

pub(crate) fn start(ctx: Context, signer: Arc<dyn CertificateSigner>) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
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
        return approve(ctx, signer, &csr).await;
    }
    sign(ctx, signer, &csr).await
}

async fn approve(ctx: &Context, signer: &dyn CertificateSigner, csr: &Object) -> Result<(), Status> {
    if csr.str_at(&["spec", "signerName"]) != SIGNERS[1] || !signer.is_own_kubelet_client(request(csr)).await
    {
        return Ok(());
    }
    let message = "Auto approving self kubelet client certificate after SubjectAccessReview.";
    let new = with_condition(ctx, csr, "Approved", "AutoApproved", message);
    let put = Request::new(Verb::Update, &CERTIFICATE_SIGNING_REQUESTS, "", csr.name());
    ctx.client.object(put.subresource("approval").body(new)).await.map(drop)
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

/// Deletes the request when its time is over, else comes back then. True when it was deleted.
async fn clean(ctx: &Context, queue: &WorkQueue, csr: &Object) -> Result<bool, Status> {
    let decided = csr.array_at(&["status", "conditions"]).first();
    let (since, keep) = match decided {
        Some(condition) => (time_at(condition, &["lastUpdateTime"]), KEEP_DECIDED),
        None => (time_at(csr, &["metadata", "creationTimestamp"]), KEEP_PENDING),
    };
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
