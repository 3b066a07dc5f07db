//! The tokens that service accounts once got by themselves: unused ones are first marked as invalid, then deleted.
//!
//! Each takes a year (`--legacy-service-account-token-clean-up-period`) without use. Only secrets that their account lists
//! were made in that way; what a pod mounts is in use.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS};
use drydock_client::{Controller, DeleteOptions, Informer, PatchType, WorkQueue};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};

use crate::Context;
use crate::util::time_at;

const PERIOD_DAYS: i64 = 365;
/// How often all secrets are looked at.
const LOOK: Duration = Duration::from_secs(24 * 3600);
const TYPE: &str = "kubernetes.io/service-account-token";
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
const ALL: &str = "all";

struct Cleaner {
    ctx: Context,
    secrets: Arc<Informer>,
    accounts: Arc<Informer>,
    pods: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Cleaner {
        secrets: ctx.informers.informer(&SECRETS),
        accounts: ctx.informers.informer(&SERVICE_ACCOUNTS),
        pods: ctx.informers.informer(&PODS),
        ctx,
    });
    queue.add(ALL);
    let again = queue.clone();
    let needs = [this.secrets.clone(), this.accounts.clone(), this.pods.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("legacy-token-cleaner", queue).needs(needs).start(&tasks, move |key| {
        let (this, again) = (this.clone(), again.clone());
        async move {
            again.add_after(key, LOOK);
            this.look_at_all().await
        }
    });
}

/// What is to be done about a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    MarkInvalid,
    Delete,
}

/// `limit` is the day before which a use no longer counts.
fn verdict(secret: &Object, limit: Date) -> Verdict {
    let day = |label: &str| secret.label(label).and_then(|text| text.parse::<Date>().ok());
    match secret.label(LAST_USED) {
        Some(_) if day(LAST_USED).is_none_or(|used| used >= limit) => Verdict::Keep,
        _ => match day(INVALID_SINCE) {
            None => Verdict::MarkInvalid,
            Some(since) if since >= limit => Verdict::Keep,
            Some(_) => Verdict::Delete,
        },
    }
}

impl Cleaner {
    async fn look_at_all(&self) -> Result<(), Status> {
        let now = self.ctx.clock.now();
        let today = now.to_zoned_datetime(TimeZone::UTC).datetime().date();
        let Ok(limit) = today.checked_sub(Span::new().days(PERIOD_DAYS)) else { return Ok(()) };
        let tracking = self.ctx.client.find(&CONFIG_MAPS, "kube-system", TRACKING).await?;
        let since = tracking.and_then(|map| map.str_at(&["data", "since"]).parse::<Date>().ok());
        if since.is_none_or(|since| since > limit) {
            return Ok(());
        }
        let oldest = now.checked_sub(SignedDuration::from_hours(PERIOD_DAYS * 24)).unwrap_or(now);
        for secret in self.secrets.list() {
            let old = time_at(&secret, &["metadata", "creationTimestamp"]).is_some_and(|made| made < oldest);
            if old
                && secret.str_at(&["type"]) == TYPE
                && !secret.is_deleting()
                && self.was_made_for_account(&secret)
            {
                self.judge(&secret, limit, today).await?;
            }
        }
        Ok(())
    }

    fn was_made_for_account(&self, secret: &Object) -> bool {
        let name = secret.annotation("kubernetes.io/service-account.name").unwrap_or("");
        let uid = secret.annotation("kubernetes.io/service-account.uid").unwrap_or("");
        self.accounts.get(secret.namespace(), name).is_some_and(|account| {
            let mut listed = account.array_at(&["secrets"]).iter();
            account.uid() == uid && listed.any(|one| one.str_at(&["name"]) == secret.name())
        })
    }

    async fn judge(&self, secret: &Object, limit: Date, today: Date) -> Result<(), Status> {
        let (namespace, name) = (secret.namespace(), secret.name());
        let outcome = match verdict(secret, limit) {
            Verdict::Keep => return Ok(()),
            _ if self.mounted(namespace).contains(name) => return Ok(()),
            Verdict::MarkInvalid => {
                let patch =
                    value!({"metadata": {"uid": secret.uid(), "labels": {INVALID_SINCE: today.to_string()}}});
                self.ctx.client.patch(&SECRETS, namespace, name, PatchType::Merge, patch).await.map(drop)
            }
            Verdict::Delete => {
                self.ctx.client.delete(&SECRETS, namespace, name, DeleteOptions::of_uid(secret.uid())).await
            }
        };
        match outcome {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }

    /// Names of the secrets that pods of the namespace mount.
    fn mounted(&self, namespace: &str) -> HashSet<String> {
        let pods = self.pods.list_in(namespace);
        let volumes = pods.iter().flat_map(|pod| pod.array_at(&["spec", "volumes"]));
        let names = volumes.map(|volume: &Value| volume.str_at(&["secret", "secretName"]).to_owned());
        names.filter(|name| !name.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_marked_a_year_after_its_use_and_deleted_a_year_later() {
        let limit: Date = "2026-01-01".parse().unwrap();
        let check = |labels: Value, expected| {
            let mut secret = value!({"metadata": {"name": "s"}});
            secret.set(&["metadata", "labels"], labels);
            assert_eq!(verdict(&Object::new(secret, 1), limit), expected);
        };
        check(value!({}), Verdict::MarkInvalid);
        check(value!({LAST_USED: "2026-03-01"}), Verdict::Keep);
        check(value!({LAST_USED: "not a day"}), Verdict::Keep);
        check(value!({LAST_USED: "2025-03-01"}), Verdict::MarkInvalid);
        check(value!({INVALID_SINCE: "2026-03-01"}), Verdict::Keep);
        check(value!({INVALID_SINCE: "2025-12-31"}), Verdict::Delete);
    }
}
