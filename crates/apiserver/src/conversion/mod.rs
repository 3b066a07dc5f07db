//! Between the versions of a custom resource: by changing nothing but `apiVersion`, or by asking the definition's webhook.
//!
//! Objects are stored in the version that was the storage version when they were written. A [`Conversion`] belongs to
//! one definition as it is now, is shared by its versions, and goes with it. What it made of stored objects is kept,
//! a bounded number of them: watchers and readers of one version ask the webhook once.
//!
//! Deliberately absent: what a schema does to an object (pruning, defaults); that is the registry's `convert`.

mod review;

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::status::Reason;
use drydock_machinery::{GroupVersionKind, Object, ObjectMeta, Schema, Status, Value};
use parking_lot::Mutex;

use crate::admission::Reader;

/// How long a webhook may take: upstream's default for REST clients.
const SECONDS: u64 = 30;
/// How many objects one review carries at most.
const BATCH: usize = 100;
/// How many converted objects are kept, and bytes of them, at least; twice as many at most.
const KEPT: usize = 512;
const KEPT_BYTES: usize = 2 << 20;

/// How a definition's objects are converted.
pub(crate) struct Conversion {
    webhook: Option<Webhook>,
    /// By `apiVersion`, of all versions, served or not.
    schemas: HashMap<String, Schema>,
    kept: Mutex<Kept>,
}

struct Webhook {
    client_config: Value,
    /// The first review version that both sides speak.
    review_version: Option<&'static str>,
}

/// Converted objects in two generations: the older one is dropped when the younger one is full.
#[derive(Default)]
struct Kept {
    young: HashMap<Known, Weighed>,
    old: HashMap<Known, Weighed>,
    /// Of the young ones.
    bytes: usize,
}

/// An object, and how many bytes it has as JSON.
type Weighed = (Arc<Object>, usize);

/// An object's uid, its revision, and the version it was converted to.
type Known = (String, u64, String);

impl Conversion {
    /// `schemas` has every version of the definition, by `apiVersion`.
    pub(crate) fn new(definition: &Value, schemas: HashMap<String, Schema>) -> Self {
        let conversion = definition.at(&["spec", "conversion"]).unwrap_or(&Value::Null);
        let webhook = (conversion.str_at(&["strategy"]) == "Webhook").then(|| {
            let versions = conversion.array_at(&["webhook", "conversionReviewVersions"]).iter();
            let mut versions = versions.filter_map(Value::as_str);
            Webhook {
                client_config: conversion.at(&["webhook", "clientConfig"]).cloned().unwrap_or_default(),
                review_version: versions
                    .find_map(|version| ["v1", "v1beta1"].into_iter().find(|own| *own == version)),
            }
        });
        Self { webhook, schemas, kept: Mutex::default() }
    }

    pub(crate) fn schema(&self, api_version: &str) -> Option<&Schema> {
        self.schemas.get(api_version)
    }

    /// The object in another version, where nobody needs to be asked for that.
    pub(crate) fn without_asking(&self, object: &Value, api_version: &str) -> Option<Value> {
        if object.api_version() == api_version {
            return Some(object.clone());
        }
        let known = self.schemas.contains_key(api_version) && self.schemas.contains_key(object.api_version());
        if self.webhook.is_some() || !known {
            return None;
        }
        let mut object = object.clone();
        object.set(&["apiVersion"], api_version);
        Some(object)
    }

    /// Stored objects in the version `api_version`, as the schema has yet to see them.
    ///
    /// # Errors
    /// What the webhook did wrong.
    pub(crate) async fn stored(
        &self,
        reader: &dyn Reader,
        objects: Vec<Arc<Object>>,
        api_version: &str,
    ) -> Result<Vec<Arc<Object>>, Status> {
        let mut converted = objects;
        let mut missing: Vec<usize> = Vec::new();
        for (i, object) in converted.iter_mut().enumerate() {
            if object.api_version() == api_version {
                continue;
            }
            let kept = self.webhook.as_ref().and_then(|_| self.kept.lock().get(object, api_version));
            match kept {
                Some(kept) => *object = kept,
                None => missing.push(i),
            }
        }
        for batch in missing.chunks(BATCH) {
            let values = batch.iter().map(|i| converted[*i].value().clone()).collect();
            let values = self.convert(reader, values, api_version).await?;
            for (i, value) in batch.iter().zip(values) {
                let made = Arc::new(Object::new(value, converted[*i].revision()));
                if self.webhook.is_some() {
                    self.kept.lock().keep(&converted[*i], api_version, made.clone());
                }
                converted[*i] = made;
            }
        }
        Ok(converted)
    }

    /// Objects in the version `api_version`, in their order.
    ///
    /// # Errors
    /// What the webhook did wrong; and objects in a version that the definition no longer has.
    pub(crate) async fn convert(
        &self,
        reader: &dyn Reader,
        objects: Vec<Value>,
        api_version: &str,
    ) -> Result<Vec<Value>, Status> {
        for object in &objects {
            let own = object.api_version();
            if !self.schemas.contains_key(own) {
                return Err(failed(format!("request to convert CR from an invalid group/version: {own}")));
            }
        }
        let Some(webhook) = &self.webhook else {
            return Ok(objects
                .into_iter()
                .map(|mut object| {
                    if object.api_version() != api_version {
                        object.set(&["apiVersion"], api_version);
                    }
                    object
                })
                .collect());
        };
        let foreign = |object: &Value| object.api_version() != api_version;
        let asked: Vec<Value> = objects.iter().filter(|object| foreign(object)).cloned().collect();
        if asked.is_empty() {
            return Ok(objects);
        }
        let mut answered = ask(reader, webhook, asked, api_version).await?.into_iter();
        let pick = |object: Value| if foreign(&object) { answered.next() } else { Some(object) };
        Ok(objects.into_iter().filter_map(pick).collect())
    }
}

async fn ask(
    reader: &dyn Reader,
    webhook: &Webhook,
    objects: Vec<Value>,
    api_version: &str,
) -> Result<Vec<Value>, Status> {
    let Some(version) = webhook.review_version else {
        return Err(failed("no supported conversion review versions".to_owned()));
    };
    // Messages name the first object's kind, as it is.
    let kind = objects.first().map(|object| shown(&object.gvk())).unwrap_or_default();
    let asked = review::request(&objects, api_version, version);
    let answer = crate::webhook::call(reader, &webhook.client_config, SECONDS, &asked).await;
    let answered = answer.and_then(|answer| review::objects(&answer, &asked));
    let answered = answered.map_err(|why| failed(format!("conversion webhook for {kind} failed: {why}")))?;
    review::settle(&objects, answered, api_version)
        .map_err(|why| failed(format!("conversion webhook for {kind} returned {why}")))
}

/// Go's form of a kind.
fn shown(kind: &GroupVersionKind) -> String {
    format!("{}, Kind={}", kind.api_version(), kind.kind)
}

/// An error that upstream gives no reason to.
fn failed(message: String) -> Status {
    Status::new(500, Reason::Unknown, message)
}

impl Kept {
    fn get(&mut self, object: &Object, api_version: &str) -> Option<Arc<Object>> {
        let known = known(object, api_version);
        if let Some((found, _)) = self.young.get(&known) {
            return Some(found.clone());
        }
        let found = self.old.get(&known)?.clone();
        self.put(known, found.clone());
        Some(found.0)
    }

    fn keep(&mut self, object: &Object, api_version: &str, made: Arc<Object>) {
        let bytes = made.value().to_json().len();
        self.put(known(object, api_version), (made, bytes));
    }

    fn put(&mut self, known: Known, made: Weighed) {
        if made.1 > KEPT_BYTES {
            return;
        }
        if self.young.len() >= KEPT || self.bytes + made.1 > KEPT_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += made.1;
        self.young.insert(known, made);
    }
}

fn known(object: &Object, api_version: &str) -> Known {
    (object.uid().to_owned(), object.revision(), api_version.to_owned())
}

impl std::fmt::Debug for Conversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strategy = if self.webhook.is_some() { "Webhook" } else { "None" };
        f.debug_struct("Conversion").field("strategy", &strategy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
