//! Whether other servers can be used: their Available conditions, and what they say of themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_auth::Reader as _;
use drydock_machinery::{ObjectMeta as _, Status, Value, openapi, value};
use drydock_runtime::{Tasks, wall};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use super::route::{self, Route, available, is_ready, slices};
use super::{GROUP, Learned, PLURAL, discovery, local};
use crate::cache::key_prefix;
use crate::registry::Registry;
use crate::server::Core;

/// How often a server is asked that was well, and one that was not: each time half as often.
const PERIOD: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);
/// Changes of services and their slices come in numbers.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Servers that are asked at the same time.
const CONCURRENCY: usize = 8;

/// A condition: status, reason, message.
type Verdict = (&'static str, &'static str, String);

pub(super) fn start(core: &Arc<Core>, tasks: &Tasks) {
    let subscribe =
        |group: &str, plural: &str| core.registry.cache.by_prefix(&key_prefix(group, plural)).subscribe();
    let mut services = subscribe("", "services");
    let mut slices = subscribe("discovery.k8s.io", "endpointslices");
    let mut registered = subscribe(GROUP, PLURAL);
    let mut definitions = subscribe("apiextensions.k8s.io", "customresourcedefinitions");
    let weak = Arc::downgrade(core);
    let clock = tasks.clock().clone();
    let mut ready = core.ready.subscribe();
    tasks.spawn("api-service-availability", async move {
        // Until then the server's owner writes what every cluster has, conditions included.
        if ready.wait_for(|ready| *ready).await.is_err() {
            return;
        }
        let mut rounds = Rounds::default();
        loop {
            for changed in [&mut services, &mut slices, &mut registered, &mut definitions] {
                changed.borrow_and_update();
            }
            let Some(core) = weak.upgrade() else { return };
            local::sync(&core).await;
            let remote = route::all(&core).into_values().collect::<Vec<_>>();
            let seen = behind(&core, &remote);
            let due = rounds.due(&remote, clock.now());
            for (name, well) in check_all(&core, due).await {
                rounds.note(name, well, clock.now());
            }
            drop(core);
            let pause = async {
                match rounds.next() {
                    Some(next) => clock.sleep_until(next).await,
                    // Nobody is to be asked again.
                    None => std::future::pending().await,
                }
            };
            let relevant = async {
                loop {
                    tokio::select! {
                        _ = services.changed(), if !remote.is_empty() => {}
                        _ = slices.changed(), if !remote.is_empty() => {}
                        _ = registered.changed() => return,
                        _ = definitions.changed() => return,
                    }
                    // Of all services and slices only those matter that a server is behind.
                    wall::sleep(DEBOUNCE).await;
                    for changed in [&mut services, &mut slices] {
                        changed.borrow_and_update();
                    }
                    if weak.upgrade().is_none_or(|core| behind(&core, &remote) != seen) {
                        return;
                    }
                }
            };
            tokio::select! {
                () = pause => {}
                () = relevant => rounds.all_are_due(),
            }
        }
    });
}

/// When each server is to be asked again, and how often in a row it was not well.
#[derive(Default)]
struct Rounds(HashMap<String, (Timestamp, u32)>);

impl Rounds {
    /// Those of `routes` whose time has come. Others than these are forgotten.
    fn due(&mut self, routes: &[Arc<Route>], now: Timestamp) -> Vec<Arc<Route>> {
        self.0.retain(|name, _| routes.iter().any(|route| route.name == *name));
        let is_due = |route: &&Arc<Route>| self.0.get(&route.name).is_none_or(|(next, _)| *next <= now);
        routes.iter().filter(is_due).cloned().collect()
    }

    fn note(&mut self, name: String, well: bool, now: Timestamp) {
        let failures = self.0.get(&name).map_or(0, |(_, failures)| *failures);
        let (pause, failures) = if well {
            (PERIOD, 0)
        } else {
            (PERIOD.min(RETRY * 2u32.pow(failures.min(8))), failures.saturating_add(1))
        };
        self.0.insert(name, (now.saturating_add(pause).unwrap_or(Timestamp::MAX), failures));
    }

    fn next(&self) -> Option<Timestamp> {
        self.0.values().map(|(next, _)| *next).min()
    }

    fn all_are_due(&mut self) {
        for (next, _) in self.0.values_mut() {
            *next = Timestamp::MIN;
        }
    }
}

/// The versions of the services and slices behind the routes.
fn behind(core: &Core, routes: &[Arc<Route>]) -> Vec<String> {
    let cache = &core.registry.cache;
    let of_route = |route: &Arc<Route>| {
        let (namespace, name) = route.service();
        let service = cache.get("", "services", namespace, name);
        let all = service.into_iter().chain(slices(&**cache, namespace, name));
        all.map(|object| format!("{}/{}", object.uid(), object.resource_version())).collect::<Vec<_>>()
    };
    routes.iter().flat_map(of_route).collect()
}

/// Checks the servers and writes what came of it; answers which are well.
async fn check_all(core: &Arc<Core>, due: Vec<Arc<Route>>) -> Vec<(String, bool)> {
    let checks: Vec<BoxFuture<'static, (String, bool)>> = due
        .into_iter()
        .map(|route| {
            let core = core.clone();
            async move { (route.name.clone(), check_one(core, route).await) }.boxed()
        })
        .collect();
    futures::stream::iter(checks).buffer_unordered(CONCURRENCY).collect().await
}

async fn check_one(core: Arc<Core>, route: Arc<Route>) -> bool {
    let verdict = check(&core, &route).await;
    let before = core.registry.cache.get(GROUP, PLURAL, "", &route.name);
    let was_available = before
        .and_then(|object| available(&object).map(|condition| condition.str_at(&["status"]) == "True"))
        .unwrap_or(false);
    match write(&core.registry, &route.name, &verdict).await {
        Ok(()) if was_available && verdict.0 != "True" => core.aggregation.lose(&route.name, verdict.1),
        Ok(()) => {}
        Err(error) => tracing::debug!(%error, name = route.name, "an APIService's condition was not written"),
    }
    verdict.0 == "True"
}

async fn check(core: &Core, route: &Route) -> Verdict {
    if let Some(missing) = missing(core, route) {
        core.aggregation
            .learn(&route.name, Learned { fresh: false, ..core.aggregation.learned(&route.name) });
        return missing;
    }
    match discover(core, route).await {
        Ok(learned) => {
            core.aggregation.learn(&route.name, learned);
            ("True", "Passed", "all checks passed".to_owned())
        }
        Err(why) => {
            let stale = Learned { fresh: false, ..core.aggregation.learned(&route.name) };
            core.aggregation.learn(&route.name, stale);
            ("False", "FailedDiscoveryCheck", why)
        }
    }
}

/// What the cluster does not have of the service.
fn missing(core: &Core, route: &Route) -> Option<Verdict> {
    let cache = &core.registry.cache;
    let (namespace, name) = route.service();
    let no = |reason: &'static str, message: String| Some(("False", reason, message));
    let shown = format!("service/{name} in {namespace:?}");
    let Some(service) = cache.get("", "services", namespace, name) else {
        return no("ServiceNotFound", format!("{shown} is not present"));
    };
    if service.str_at(&["spec", "type"]) != "ClusterIP" {
        return None;
    }
    let mut ports = service.array_at(&["spec", "ports"]).iter();
    let Some(port) = ports.find(|port| port.i64_at(&["port"]) == Some(i64::from(route.port))) else {
        return no("ServicePortError", format!("{shown} is not listening on port {}", route.port));
    };
    let port_name = port.str_at(&["name"]);
    let slices = slices(&**cache, namespace, name);
    if slices.is_empty() {
        return no("EndpointsNotFound", format!("cannot find endpointslices for {shown}"));
    }
    let has_endpoint = slices.iter().any(|slice| {
        let mut ports = slice.array_at(&["ports"]).iter();
        slice.array_at(&["endpoints"]).iter().any(is_ready)
            && ports.any(|port| port.str_at(&["name"]) == port_name && port.i64_at(&["port"]).is_some())
    });
    if !has_endpoint {
        let message = format!("endpointslices for {shown} have no addresses with port name {port_name:?}");
        return no("MissingEndpoints", message);
    }
    None
}

/// Asks the server which resources it has.
async fn discover(core: &Core, route: &Route) -> Result<Learned, String> {
    let path = format!("/apis/{}/{}", route.group, route.version);
    let url = format!("https://{}{path}", route.authority(core)?);
    let failed = |why: String| format!("failing or missing response from {url}: {why}");
    let answered = route.get(core, &path, "application/json").await;
    let (code, body) = answered.map_err(|why| failed(format!("Get {url:?}: {why}")))?;
    if !(200..300).contains(&code) {
        return Err(failed(format!("bad status from {url}: {code}")));
    }
    let list = Value::from_json(&body).unwrap_or_default();
    let openapi = route.get(core, "/openapi/v3", "application/json").await.ok().and_then(|(code, body)| {
        let index = (code == 200).then(|| Value::from_json(&body).ok()).flatten()?;
        let own = format!("apis/{}/{}", route.group, route.version);
        let url = index.str_at(&["paths", &own, "serverRelativeURL"]).to_owned();
        Some(url.split_once("hash=")?.1.split('&').next()?.to_owned())
    });
    let swagger = swagger(core, route, openapi.as_deref()).await;
    Ok(Learned { resources: discovery::aggregated(&list, route), fresh: true, openapi, swagger })
}

/// What the server's OpenAPI v2 says of the group version. As long as its version 3 is known to be the same, it is not
/// asked again; when it cannot be asked, it is what it was.
async fn swagger(core: &Core, route: &Route, hash: Option<&str>) -> Option<Arc<Value>> {
    let before = core.aggregation.learned(&route.name);
    if hash.is_some() && before.openapi.as_deref() == hash && before.swagger.is_some() {
        return before.swagger;
    }
    match route.get(core, "/openapi/v2", "application/json").await {
        Ok((200, body)) => {
            let prefix = format!("/apis/{}/{}/", route.group, route.version);
            openapi::v2_part(&Value::from_json(&body).ok()?, &prefix).map(Arc::new)
        }
        Ok((404, _)) => None,
        _ => before.swagger,
    }
}

/// Writes the condition where it says something else.
pub(super) async fn write(registry: &Registry, name: &str, verdict: &Verdict) -> Result<(), Status> {
    let Some(object) = registry.cache.get(GROUP, PLURAL, "", name) else { return Ok(()) };
    let (status, reason, message) = verdict;
    let says = |condition: &Value| {
        condition.str_at(&["status"]) == *status
            && condition.str_at(&["reason"]) == *reason
            && condition.str_at(&["message"]) == message
    };
    if available(&object).is_some_and(says) {
        return Ok(());
    }
    let now = registry.clock.now_rfc3339();
    registry
        .update_own(GROUP, PLURAL, name, move |current| {
            let before = available(current);
            let same = before.filter(|before| before.str_at(&["status"]) == *status);
            let since = same.map_or(now.as_str(), |before| before.str_at(&["lastTransitionTime"]));
            let condition = value!({"type": "Available", "status": *status, "reason": *reason,
                "message": message.as_str(), "lastTransitionTime": since});
            let others = current.array_at(&["status", "conditions"]).iter();
            let others = others.filter(|one| one.str_at(&["type"]) != "Available").cloned();
            let mut new = current.value().clone();
            new.set(&["status", "conditions"], others.chain([condition]).collect::<Vec<_>>());
            new
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_well_is_asked_less_and_less_often() {
        let mut rounds = Rounds::default();
        let pauses: Vec<i64> = [false, false, false, false, false, true, false]
            .map(|well| {
                rounds.note("a".to_owned(), well, Timestamp::UNIX_EPOCH);
                rounds.next().unwrap().as_second()
            })
            .to_vec();
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 2]);
        rounds.all_are_due();
        assert_eq!(rounds.next(), Some(Timestamp::MIN));
        assert!(rounds.due(&[], Timestamp::UNIX_EPOCH).is_empty() && rounds.next().is_none());
    }
}
