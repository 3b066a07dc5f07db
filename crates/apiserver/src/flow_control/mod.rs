//! FlowSchemas and PriorityLevelConfigurations: which of them a request belongs to, and what becomes of their objects.
//!
//! One task follows both kinds. It keeps the table that requests are classified by, and the `Dangling` condition of each
//! schema. The table is published as a whole; a request reads the one of its time.
//!
//! Deliberately absent: queues. A request is told what it belongs to, and is served at once.

mod rules;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use drydock_auth::Attributes;
use drydock_client::{Client, Options, PatchType, Request, Verb};
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta as _, Status, Value, value};
use drydock_runtime::Tasks;
use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};
use tokio::sync::watch;

use self::rules::Rule;
use crate::cache::{ResourceCache, key_prefix};
use crate::server::Core;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const SCHEMAS: GroupVersionResource = GroupVersionResource::new(GROUP, "v1", "flowschemas");
/// Who upstream's server is when it writes the condition.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";
/// How many requests upstream's server answers at a time, by default: the levels share them.
const SEATS: f64 = 600.0;

/// What requests are classified by. Clones see the same table.
#[derive(Clone)]
pub(crate) struct FlowControl {
    table: watch::Receiver<Arc<Table>>,
}

/// The schemas in the order in which they are tried, and the levels.
#[derive(Default)]
struct Table {
    schemas: Vec<Schema>,
    /// Name and nominal limit.
    levels: Vec<(String, u64)>,
}

struct Schema {
    rules: Vec<Rule>,
    uid: HeaderValue,
    level_uid: HeaderValue,
}

impl FlowControl {
    /// Reads what there is, then follows it in a task. The second half is what the task is started with, once there is
    /// a client.
    pub(crate) fn new(cache: &crate::cache::Cache) -> (Self, Follower) {
        let schemas = cache.by_prefix(&key_prefix(GROUP, &SCHEMAS.resource));
        let levels = cache.by_prefix(&key_prefix(GROUP, "prioritylevelconfigurations"));
        let (publish, table) = watch::channel(Arc::new(Table::new(&objects(&schemas), &objects(&levels))));
        (Self { table }, Follower { schemas, levels, publish })
    }

    /// Writes into `headers` what the request belongs to.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, of: &Attributes<'_>) {
        let table = self.table.borrow().clone();
        let Some(schema) = table.schemas.iter().find(|schema| schema.matches(of)) else { return };
        headers.insert(HeaderName::from_static("x-kubernetes-pf-flowschema-uid"), schema.uid.clone());
        headers
            .insert(HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid"), schema.level_uid.clone());
    }

    pub(crate) fn write_metrics(&self, out: &mut String) {
        let family = "apiserver_flowcontrol_nominal_limit_seats";
        let _ = writeln!(out, "# TYPE {family} gauge");
        for (level, seats) in &self.table.borrow().levels {
            let _ = writeln!(out, "{family}{{priority_level=\"{level}\"}} {seats}");
        }
    }
}

impl Table {
    /// Schemas whose level does not exist match nothing.
    fn new(schemas: &[Arc<Object>], levels: &[Arc<Object>]) -> Self {
        let uids: HashMap<&str, &str> = levels.iter().map(|level| (level.name(), level.uid())).collect();
        let mut ordered: Vec<&Arc<Object>> = schemas.iter().collect();
        ordered.sort_by_key(|schema| (schema.i64_at(&["spec", "matchingPrecedence"]), schema.name()));
        let schemas = ordered.into_iter().filter_map(|schema| {
            let level_uid = header(uids.get(level_of(schema))?)?;
            let rules = schema.array_at(&["spec", "rules"]).iter().map(Rule::read).collect();
            Some(Schema { rules, uid: header(schema.uid())?, level_uid })
        });
        Self { schemas: schemas.collect(), levels: limits(levels) }
    }
}

impl Schema {
    fn matches(&self, of: &Attributes<'_>) -> bool {
        self.rules.iter().any(|rule| rule.matches(of))
    }
}

fn header(uid: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(uid).ok()
}

fn level_of(schema: &Object) -> &str {
    schema.str_at(&["spec", "priorityLevelConfiguration", "name"])
}

/// Each level's share of the server's seats, rounded up.
fn limits(levels: &[Arc<Object>]) -> Vec<(String, u64)> {
    let shares = |level: &Object| {
        let kind = if level.str_at(&["spec", "type"]) == "Exempt" { "exempt" } else { "limited" };
        level.i64_at(&["spec", kind, "nominalConcurrencyShares"]).unwrap_or(0).max(0) as f64
    };
    let all: f64 = levels.iter().map(|level| shares(level)).sum();
    let seats = |level: &Object| if all > 0.0 { (SEATS * shares(level) / all).ceil() as u64 } else { 0 };
    levels.iter().map(|level| (level.name().to_owned(), seats(level))).collect()
}

/// The task's half of [`FlowControl`].
pub(crate) struct Follower {
    schemas: Arc<ResourceCache>,
    levels: Arc<ResourceCache>,
    publish: watch::Sender<Arc<Table>>,
}

impl Follower {
    pub(crate) fn start(self, core: &Arc<Core>, client: Client) {
        let tasks: &Tasks = &core.tasks;
        let (mut schemas, mut levels) = (self.schemas.subscribe(), self.levels.subscribe());
        let clock = core.registry.clock.clone();
        tasks.spawn("flow-control", async move {
            loop {
                schemas.borrow_and_update();
                levels.borrow_and_update();
                let (all_schemas, all_levels) = (objects(&self.schemas), objects(&self.levels));
                self.publish.send_replace(Arc::new(Table::new(&all_schemas, &all_levels)));
                for schema in &all_schemas {
                    let exists = all_levels.iter().any(|level| level.name() == level_of(schema));
                    if let Some(object) = with_condition(schema, exists, &clock.now_rfc3339())
                        && let Err(error) = apply_status(&client, object).await
                        && !error.is_not_found()
                    {
                        tracing::debug!(%error, name = schema.name(), "the schema's condition was not written");
                    }
                }
                tokio::select! {
                    changed = schemas.changed() => if changed.is_err() { return },
                    changed = levels.changed() => if changed.is_err() { return },
                }
            }
        });
    }
}

/// What is to be applied for the condition to be right; None when it is.
fn with_condition(schema: &Object, exists: bool, now: &str) -> Option<Value> {
    let level = level_of(schema);
    let named = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = if exists {
        ("False", "Found", format!("{named} and it exists"))
    } else {
        ("True", "NotFound", format!("{named} but there is no such object"))
    };
    let conditions = schema.array_at(&["status", "conditions"]);
    let is_right = |condition: &Value| {
        condition.str_at(&["type"]) == "Dangling"
            && condition.str_at(&["status"]) == status
            && condition.str_at(&["reason"]) == reason
            && condition.str_at(&["message"]) == message
    };
    if conditions.iter().any(is_right) {
        return None;
    }
    Some(value!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": schema.name(), "uid": schema.uid()},
        "status": {"conditions": [{"type": "Dangling", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": now}]}}))
}

fn objects(cache: &ResourceCache) -> Vec<Arc<Object>> {
    cache.snapshot().objects.iter().map(|(_, object)| object.clone()).collect()
}

async fn apply_status(client: &Client, object: Value) -> Result<(), Status> {
    let options = Options { field_manager: MANAGER.to_owned(), force: Some(true), ..Options::default() };
    let request = Request::new(Verb::Patch(PatchType::Apply), &SCHEMAS, "", object.name());
    client.call(request.subresource("status").options(options).body(object)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: Value) -> Arc<Object> {
        Arc::new(Object::new(json, 1))
    }

    fn level(name: &str, shares: i64) -> Arc<Object> {
        object(value!({"metadata": {"name": name, "uid": format!("{name}-uid")},
            "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": shares}}}))
    }

    fn schema(name: &str, precedence: i64, level: &str, user: &str) -> Arc<Object> {
        object(value!({"metadata": {"name": name, "uid": format!("{name}-uid")},
            "spec": {"matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": level},
                "rules": [{"subjects": [{"kind": "User", "user": {"name": user}}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]}}))
    }

    #[test]
    fn the_first_schema_whose_level_exists_is_told() {
        let schemas = [
            schema("late", 900, "small", "*"),
            schema("early", 5, "gone", "*"),
            schema("annas", 10, "large", "anna"),
        ];
        let table = Table::new(&schemas, &[level("small", 1), level("large", 2)]);
        let (_publish, table) = watch::channel(Arc::new(table));
        let flow = FlowControl { table };
        for (user, expect) in [("anna", ["annas-uid", "large-uid"]), ("bob", ["late-uid", "small-uid"])] {
            let mut headers = HeaderMap::new();
            let user = drydock_auth::UserInfo::new(user, &[]);
            flow.tell(&mut headers, &Attributes::path(&user, "get", "/version"));
            let found = ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"]
                .map(|name| headers[name].to_str().unwrap());
            assert_eq!(found, expect);
        }
        let mut metrics = String::new();
        flow.write_metrics(&mut metrics);
        let line = "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"large\"} 400";
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }

    #[test]
    fn a_condition_that_is_right_is_left_alone() {
        let mut schema = schema("a", 1, "small", "*").value().clone();
        let new = with_condition(&object(schema.clone()), false, "now").unwrap();
        assert_eq!(new.str_at(&["metadata", "uid"]), "a-uid");
        schema.set(&["status"], new.get("status").cloned().unwrap());
        assert_eq!(with_condition(&object(schema.clone()), false, "later"), None);
        let found = with_condition(&object(schema), true, "later").unwrap();
        let condition = &found.array_at(&["status", "conditions"])[0];
        assert_eq!(condition.str_at(&["reason"]), "Found");
    }
}
