//! The resource claim controller: claims made for pods from templates, and what claims are reserved for.
//!
//! A pod's entry that names a template gets a claim of its own, noted in the pod's `status.resourceClaimStatuses`. A claim
//! keeps only reservations of pods that may still run; with the last one its allocation goes, too, and a claim that was
//! made for a pod that will not run any more is deleted.
//!
//! Deliberately absent: claims of PodGroups, an alpha feature.

use std::sync::Arc;

use drydock_client::resources::{PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS};
use drydock_client::{
    Change, Controller, DeleteOptions, Informer, Options, PatchType, Request, Verb, WorkQueue,
};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use crate::Context;
use crate::util::owner::is_controlled_by;
use crate::util::{pod, split_key};

/// Which of its pod's entries a claim was made for.
const POD_CLAIM_NAME: &str = "resource.kubernetes.io/pod-claim-name";
/// Keeps an allocated claim.
const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
const FIELD_MANAGER: &str = "ResourceClaimController";
/// Pods by the keys of the templates that they name.
const BY_TEMPLATE: &str = "resource-claim-template";
/// Pods by the keys of the claims that they use.
const BY_CLAIM: &str = "resource-claim";
const BY_OWNER: &str = "pod-owner";
/// What a generated name may have before its five random characters.
const LONGEST_PREFIX: usize = 57;

struct Claims {
    ctx: Context,
    /// Keys are `pod:namespace/name` and `claim:namespace/name`.
    queue: Arc<WorkQueue>,
    pods: Arc<Informer>,
    claims: Arc<Informer>,
    templates: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Claims {
        pods: ctx.informers.informer(&PODS),
        claims: ctx.informers.informer(&RESOURCE_CLAIMS),
        templates: ctx.informers.informer(&RESOURCE_CLAIM_TEMPLATES),
        queue: queue.clone(),
        ctx,
    });
    this.pods.add_index(BY_TEMPLATE, |pod| keys_of(pod, |entry| template_of(entry).map(str::to_owned)));
    this.pods.add_index(BY_CLAIM, |pod| keys_of(pod, |entry| claim_of(pod, entry).map(str::to_owned)));
    this.claims
        .add_index(BY_OWNER, |claim| owning_pod(claim).map(|owner| owner.uid.into()).into_iter().collect());
    let me = this.clone();
    this.pods.on_change(move |change| me.pod_changed(&change));
    let me = this.clone();
    this.claims.on_change(move |change| {
        let claim = change.object();
        if !matches!(change, Change::Deleted(_)) {
            me.queue.add(format!("claim:{}", claim.key()));
        }
        for pod in me.pods.by_index(BY_CLAIM, &claim.key()) {
            me.queue.add(format!("pod:{}", pod.key()));
        }
    });
    let me = this.clone();
    this.templates.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            for pod in me.pods.by_index(BY_TEMPLATE, &change.object().key()) {
                me.queue.add(format!("pod:{}", pod.key()));
            }
        }
    });
    let needs = [this.pods.clone(), this.claims.clone(), this.templates.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("resource-claim", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

pub(crate) fn entries(pod: &Value) -> &[Value] {
    pod.array_at(&["spec", "resourceClaims"])
}

fn keys_of(pod: &Value, name: impl Fn(&Value) -> Option<String>) -> Vec<Key> {
    let names = entries(pod).iter().filter_map(name);
    names.map(|name| Key::from(format!("{}/{name}", pod.namespace()))).collect()
}

pub(crate) fn template_of(entry: &Value) -> Option<&str> {
    Some(entry.str_at(&["resourceClaimTemplateName"])).filter(|name| !name.is_empty())
}

/// The claim that an entry of the pod stands for, when that is known yet.
pub(crate) fn claim_of<'a>(pod: &'a Value, entry: &'a Value) -> Option<&'a str> {
    let named = entry.str_at(&["resourceClaimName"]);
    if !named.is_empty() {
        return Some(named);
    }
    noted(pod, entry).map(|status| status.str_at(&["resourceClaimName"])).filter(|name| !name.is_empty())
}

/// The claim that the scheduler made for extended resources.
fn extended_claim_of(pod: &Value) -> Option<&str> {
    let name = pod.str_at(&["status", "extendedResourceClaimStatus", "resourceClaimName"]);
    (!name.is_empty()).then_some(name)
}

fn noted<'a>(pod: &'a Value, entry: &Value) -> Option<&'a Value> {
    let mut statuses = pod.array_at(&["status", "resourceClaimStatuses"]).iter();
    statuses.find(|status| status.str_at(&["name"]) == entry.str_at(&["name"]))
}

/// It was written down that the entry needs no claim.
fn needs_no_claim(pod: &Value, entry: &Value) -> bool {
    template_of(entry).is_some() && noted(pod, entry).is_some() && claim_of(pod, entry).is_none()
}

/// Will not run any more.
fn is_done(pod: &Value) -> bool {
    pod::is_finished(pod) || (pod.is_deleting() && pod::node_name(pod).is_empty())
}

struct Owner<'a> {
    name: &'a str,
    uid: &'a str,
}

/// The pod that a claim was made for.
fn owning_pod(claim: &Value) -> Option<Owner<'_>> {
    let owner = claim.controller_ref()?;
    let is_pod = owner.str_at(&["apiVersion"]) == "v1" && owner.str_at(&["kind"]) == "Pod";
    is_pod.then(|| Owner { name: owner.str_at(&["name"]), uid: owner.str_at(&["uid"]) })
}

/// The start of a claim's name; long names of pod and entry are shortened alike.
fn generate_name(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    if whole.len() <= LONGEST_PREFIX {
        return whole;
    }
    let shortened =
        |text: &str| text.chars().take(text.len() * LONGEST_PREFIX / whole.len()).collect::<String>();
    format!("{}-{}", shortened(pod), shortened(entry))
}

fn new_claim(pod: &Object, entry: &str, template: &Value) -> Value {
    let mut claim = value!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {}});
    claim.set(&["metadata", "generateName"], generate_name(pod.name(), entry));
    claim.set(&["metadata", "namespace"], pod.namespace());
    for field in ["annotations", "labels"] {
        if let Some(map) = template.at(&["spec", "metadata", field]) {
            claim.set(&["metadata", field], map.clone());
        }
    }
    claim.set(&["metadata", "annotations", POD_CLAIM_NAME], entry);
    let owner =
        value!({"apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid(), "controller": true});
    claim.set(&["metadata", "ownerReferences"], vec![owner]);
    claim.set(&["spec"], template.at(&["spec", "spec"]).cloned().unwrap_or_else(Value::object));
    claim
}

impl Claims {
    fn pod_changed(&self, change: &Change<'_>) {
        let pod = change.object();
        if entries(pod).is_empty() && extended_claim_of(pod).is_none() {
            return;
        }
        if matches!(change, Change::Deleted(_)) || is_done(pod) {
            let named = entries(pod).iter().filter_map(|entry| claim_of(pod, entry));
            for name in named.chain(extended_claim_of(pod)) {
                self.queue.add(format!("claim:{}/{name}", pod.namespace()));
            }
        }
        if !matches!(change, Change::Deleted(_)) && !pod.is_deleting() {
            self.queue.add(format!("pod:{}", pod.key()));
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        match key.split_once(':') {
            Some(("pod", key)) => self.sync_pod(key).await,
            Some((_, key)) => self.sync_claim(key).await,
            None => Ok(()),
        }
    }

    async fn sync_pod(&self, key: &str) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(pod) = self.pods.get(namespace, name).filter(|pod| !pod.is_deleting()) else {
            return Ok(());
        };
        let mut made = Vec::new();
        for entry in entries(&pod) {
            match self.ensure_claim(&pod, entry).await {
                Ok(None) => {}
                Ok(Some(claim)) => made.push((entry.str_at(&["name"]).to_owned(), claim)),
                Err((what, status)) => {
                    let message = format!("PodResourceClaim {}: {what}", entry.str_at(&["name"]));
                    self.ctx.events.warning(&pod, "FailedResourceClaimCreation", message);
                    return Err(status);
                }
            }
        }
        if !made.is_empty() {
            self.note_claims(&pod, &made).await?;
        }
        if pod::node_name(&pod).is_empty() { Ok(()) } else { self.reserve_all(&pod).await }
    }

    /// The name of the claim that has to be noted for the entry; None when nothing is to be noted.
    async fn ensure_claim(&self, pod: &Object, entry: &Value) -> Result<Option<String>, (String, Status)> {
        let Some(template) = template_of(entry) else { return Ok(None) };
        if needs_no_claim(pod, entry) {
            return Ok(None);
        }
        let known = claim_of(pod, entry).and_then(|name| self.claims.get(pod.namespace(), name));
        if known.is_some_and(|claim| is_controlled_by(&claim, pod)) {
            return Ok(None);
        }
        let name = entry.str_at(&["name"]);
        if let Some(claim) =
            self.made_before(pod, name).await.map_err(|status| (status.to_string(), status))?
        {
            return Ok(Some(claim.name().to_owned()));
        }
        let Some(found) = self.templates.get(pod.namespace(), template) else {
            let missing = Status::not_found("resource.k8s.io", "resourceclaimtemplate", template);
            return Err((format!("resource claim template {template:?}: {missing}"), missing));
        };
        let created = self.ctx.client.create(&RESOURCE_CLAIMS, new_claim(pod, name, &found)).await;
        let created = created.map_err(|status| (format!("create ResourceClaim : {status}"), status))?;
        Ok(Some(created.name().to_owned()))
    }

    /// A claim made for the entry whose note was lost. The server is asked, too: the informer may lag behind.
    async fn made_before(&self, pod: &Object, entry: &str) -> Result<Option<Arc<Object>>, Status> {
        let is_it = |claim: &&Arc<Object>| {
            claim.annotation(POD_CLAIM_NAME) == Some(entry) && is_controlled_by(claim, pod)
        };
        let cached = self.claims.by_index(BY_OWNER, pod.uid());
        if let Some(claim) = cached.iter().find(is_it) {
            return Ok(Some(claim.clone()));
        }
        let all = self.ctx.client.list(&RESOURCE_CLAIMS, pod.namespace(), Options::default()).await?;
        Ok(all.items.iter().find(is_it).cloned())
    }

    async fn note_claims(&self, pod: &Object, made: &[(String, String)]) -> Result<(), Status> {
        let statuses: Vec<Value> =
            made.iter().map(|(entry, claim)| value!({"name": entry, "resourceClaimName": claim})).collect();
        let mut patch = value!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid(),
        }});
        patch.set(&["status", "resourceClaimStatuses"], statuses);
        let options =
            Options { field_manager: FIELD_MANAGER.to_owned(), force: Some(true), ..Options::default() };
        let request = Request::new(Verb::Patch(PatchType::Apply), &PODS, pod.namespace(), pod.name());
        self.ctx.client.object(request.subresource("status").options(options).body(patch)).await.map(drop)
    }

    /// A pod that came to its node without the scheduler gets its allocated claims reserved here.
    async fn reserve_all(&self, pod: &Object) -> Result<(), Status> {
        for entry in entries(pod) {
            let claim = claim_of(pod, entry).and_then(|name| self.claims.get(pod.namespace(), name));
            let Some(claim) = claim else { continue };
            if template_of(entry).is_some() && !is_controlled_by(&claim, pod) {
                continue;
            }
            let reserved = claim.array_at(&["status", "reservedFor"]);
            let is_reserved = reserved.iter().any(|consumer| consumer.str_at(&["uid"]) == pod.uid());
            let allocated =
                claim.at(&["status", "allocation"]).is_some_and(|allocation| !allocation.is_null());
            if allocated && !is_reserved && reserved.len() < 256 {
                let mut reserved = reserved.to_vec();
                reserved.push(value!({"resource": "pods", "name": pod.name(), "uid": pod.uid()}));
                let mut new = claim.value().clone();
                new.set(&["status", "reservedFor"], reserved);
                self.ctx.client.update_status(&RESOURCE_CLAIMS, new).await?;
            }
        }
        Ok(())
    }

    async fn sync_claim(&self, key: &str) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(claim) = self.claims.get(namespace, name) else { return Ok(()) };
        let reserved = claim.array_at(&["status", "reservedFor"]);
        let mut remaining = Vec::with_capacity(reserved.len());
        for consumer in reserved {
            if self.keeps(&claim, consumer).await? {
                remaining.push(consumer.clone());
            }
        }
        let unused = remaining.is_empty();
        let protected = claim.finalizers().any(|finalizer| finalizer == FINALIZER);
        if remaining.len() < reserved.len() || (protected && claim.is_deleting() && unused) {
            self.release(&claim, remaining, protected).await?;
        }
        if unused { self.delete_if_orphaned(&claim).await } else { Ok(()) }
    }

    /// Whether a reservation stands. Of consumers that are no pods nothing is known: theirs do.
    async fn keeps(&self, claim: &Object, consumer: &Value) -> Result<bool, Status> {
        if !consumer.str_at(&["apiGroup"]).is_empty() || consumer.str_at(&["resource"]) != "pods" {
            return Ok(true);
        }
        let (name, uid) = (consumer.str_at(&["name"]), consumer.str_at(&["uid"]));
        match self.pods.get(claim.namespace(), name) {
            Some(pod) => Ok(pod.uid() == uid && !is_done(&pod)),
            // The informer may not have it yet.
            None => {
                let pod = self.ctx.client.find(&PODS, claim.namespace(), name).await?;
                Ok(pod.is_some_and(|pod| pod.uid() == uid))
            }
        }
    }

    /// Writes what reservations are left; with the last one, allocation and finalizer go.
    async fn release(&self, claim: &Object, remaining: Vec<Value>, protected: bool) -> Result<(), Status> {
        let mut new = claim.value().clone();
        if remaining.is_empty() {
            new.remove(&["status", "reservedFor"]);
            if protected {
                new.remove(&["status", "allocation"]);
            }
        } else {
            new.set(&["status", "reservedFor"], remaining);
        }
        let claim = self.ctx.client.update_status(&RESOURCE_CLAIMS, new).await?;
        let allocated = claim.at(&["status", "allocation"]).is_some_and(|allocation| !allocation.is_null());
        if !protected || allocated {
            return Ok(());
        }
        let kept: Vec<Value> =
            claim.finalizers().filter(|name| *name != FINALIZER).map(Value::from).collect();
        let mut new = claim.value().clone();
        if kept.is_empty() {
            new.remove(&["metadata", "finalizers"]);
        } else {
            new.set(&["metadata", "finalizers"], kept);
        }
        self.ctx.client.update(&RESOURCE_CLAIMS, new).await.map(drop)
    }

    /// Deletes a claim made for a pod that was replaced or will not run any more, though it is still there.
    async fn delete_if_orphaned(&self, claim: &Object) -> Result<(), Status> {
        let Some(owner) = owning_pod(claim) else { return Ok(()) };
        let Some(pod) = self.pods.get(claim.namespace(), owner.name) else { return Ok(()) };
        if (pod.uid() == owner.uid && !is_done(&pod)) || claim.is_deleting() {
            return Ok(());
        }
        let options = DeleteOptions::of_uid(claim.uid());
        match self.ctx.client.delete(&RESOURCE_CLAIMS, claim.namespace(), claim.name(), options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cluster;

    #[tokio::test]
    async fn a_claim_for_extended_resources_is_released_when_its_pod_is_gone() {
        let (server, tasks) = cluster().await;
        let client = server.client();
        let mut pod =
            value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d"}});
        pod.set(&["status", "extendedResourceClaimStatus", "resourceClaimName"], "c");
        let uid = client.create(&PODS, pod).await.unwrap().uid().to_owned();
        let mut claim = value!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {"name": "c", "namespace": "d", "finalizers": [FINALIZER]}, "status": {"allocation": {}},
        });
        claim.set(&["status", "reservedFor"], value!([{"resource": "pods", "name": "p", "uid": uid}]));
        client.create(&RESOURCE_CLAIMS, claim).await.unwrap();
        client.delete(&PODS, "d", "p", DeleteOptions::default().grace(0)).await.unwrap();
        let is_free = |claim: &Arc<Object>| claim.finalizers().next().is_none();
        server.until(|s| s.all(&RESOURCE_CLAIMS).iter().all(is_free)).await;
        tasks.close().await;
    }

    fn pod(status: Value) -> Object {
        let mut pod = value!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d", "uid": "u"},
            "spec": {"resourceClaims": [{"name": "g", "resourceClaimTemplateName": "t"}]},
        });
        pod.set(&["status"], status);
        Object::new(pod, 1)
    }

    #[test]
    fn an_entry_stands_for_the_claim_that_the_status_notes() {
        let fresh = pod(value!({}));
        assert_eq!(claim_of(&fresh, &entries(&fresh)[0]), None);
        assert!(!needs_no_claim(&fresh, &entries(&fresh)[0]));
        let made = pod(value!({"resourceClaimStatuses": [{"name": "g", "resourceClaimName": "p-g-x"}]}));
        assert_eq!(claim_of(&made, &entries(&made)[0]), Some("p-g-x"));
        let none = pod(value!({"resourceClaimStatuses": [{"name": "g"}]}));
        assert!(needs_no_claim(&none, &entries(&none)[0]));
    }

    #[test]
    fn long_names_are_shortened_alike() {
        assert_eq!(generate_name("p", "g"), "p-g-");
        let name = generate_name(&"p".repeat(60), &"g".repeat(60));
        assert!(name.len() <= LONGEST_PREFIX, "{name}");
        assert!(name.contains("p-g"));
    }

    #[test]
    fn a_claim_is_made_from_its_template() {
        let template = value!({"spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {}}}});
        let claim = new_claim(&pod(value!({})), "g", &template);
        assert_eq!(claim.annotation(POD_CLAIM_NAME), Some("g"));
        assert_eq!(claim.label("a"), Some("b"));
        assert_eq!(owning_pod(&claim).map(|owner| owner.uid), Some("u"));
    }
}
