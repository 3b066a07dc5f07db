//! API services that other servers answer for: kube-aggregator's part.
//!
//! An APIService with a service routes its group and version to that service. `route` says how a server is reached,
//! `proxy` passes requests on, `in_process` asks for components of this process, `availability` checks servers and keeps the conditions, `local` sees to those without a
//! service, and `discovery` puts all of them into one list.
//!
//! State: the routes, published whole by one task; what was last learned of each server, written by the other.
//!
//! Deliberately absent: writes and watches in process are not routed.

mod availability;
mod discovery;
mod in_process;
mod local;
mod proxy;
mod route;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drydock_auth::Reader as _;
use drydock_machinery::{ObjectMeta as _, Value};
use drydock_runtime::Tasks;
use parking_lot::{Mutex, RwLock};
use rustls::client::ResolvesClientCert;

use crate::cache::{Cache, key_prefix};
use crate::http::path::Path;
use crate::server::Core;

pub(crate) use in_process::read;
pub(crate) use local::report_available;
pub(crate) use proxy::serve;
pub(crate) use route::Route;

const GROUP: &str = "apiregistration.k8s.io";
const PLURAL: &str = "apiservices";

/// What an aggregating API server shows of itself to others: a client certificate of the front proxy's authority.
pub struct FrontProxy {
    /// Asked for each connection: certificates are renewed.
    pub certificate: Arc<dyn ResolvesClientCert>,
}

/// The other servers of one API server.
pub(crate) struct Aggregation {
    identity: Option<FrontProxy>,
    routes: RwLock<Arc<Routes>>,
    learned: Mutex<HashMap<String, Learned>>,
    /// How often API services became unavailable, by name and reason.
    losses: Mutex<BTreeMap<(String, String), u64>>,
    /// Counts changes of what discovery shows.
    generation: AtomicU64,
}

/// By group and version.
type Routes = BTreeMap<(String, String), Arc<Route>>;

/// What a server said of itself.
#[derive(Clone, Debug, Default, PartialEq)]
struct Learned {
    /// As aggregated discovery has them.
    resources: Vec<Value>,
    /// Whether the last check succeeded.
    fresh: bool,
    /// Identifies its OpenAPI v3 document.
    openapi: Option<String>,
    /// What its OpenAPI v2 document says of the group version.
    swagger: Option<Arc<Value>>,
}

impl Aggregation {
    pub(crate) fn new(identity: Option<FrontProxy>) -> Self {
        Self {
            identity,
            routes: RwLock::default(),
            learned: Mutex::default(),
            losses: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The route of a request, if another server answers it.
    pub(crate) fn route(&self, path: &Path) -> Option<Arc<Route>> {
        match path {
            Path::Resource(path) => self.route_of(&path.group, &path.version),
            Path::Other(path) => match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
                ["apis", group, version] | ["openapi", "v3", "apis", group, version] => {
                    self.route_of(group, version)
                }
                _ => None,
            },
        }
    }

    /// The route of a group and version, if another server answers for it.
    fn route_of(&self, group: &str, version: &str) -> Option<Arc<Route>> {
        let routes = self.routes.read();
        if routes.is_empty() {
            return None;
        }
        routes.get(&(group.to_owned(), version.to_owned())).cloned()
    }

    fn routes(&self) -> Arc<Routes> {
        self.routes.read().clone()
    }

    fn publish(&self, routes: Routes) {
        let known: Vec<&String> = routes.values().map(|route| &route.name).collect();
        self.learned.lock().retain(|name, _| known.contains(&name));
        *self.routes.write() = Arc::new(routes);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn learn(&self, name: &str, learned: Learned) {
        let mut all = self.learned.lock();
        if all.get(name) != Some(&learned) {
            all.insert(name.to_owned(), learned);
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts that an API service became unavailable.
    fn lose(&self, name: &str, reason: &str) {
        *self.losses.lock().entry((name.to_owned(), reason.to_owned())).or_default() += 1;
    }

    /// Appends which API services are unavailable and how often they became so, as kube-aggregator tells it.
    pub(crate) fn write_metrics(&self, cache: &Cache, out: &mut String) {
        let _ = writeln!(out, "# TYPE aggregator_unavailable_apiservice gauge");
        for service in cache.list(GROUP, PLURAL, "") {
            let is_available =
                route::available(&service).is_some_and(|condition| condition.str_at(&["status"]) == "True");
            let value = u8::from(!is_available);
            let _ = writeln!(out, "aggregator_unavailable_apiservice{{name=\"{}\"}} {value}", service.name());
        }
        let losses = self.losses.lock();
        if !losses.is_empty() {
            let _ = writeln!(out, "# TYPE aggregator_unavailable_apiservice_total counter");
        }
        for ((name, reason), count) in losses.iter() {
            let _ = writeln!(
                out,
                "aggregator_unavailable_apiservice_total{{name=\"{name}\",reason=\"{reason}\"}} {count}"
            );
        }
    }

    fn learned(&self, name: &str) -> Learned {
        self.learned.lock().get(name).cloned().unwrap_or_default()
    }

    /// Paths and hashes of other servers' OpenAPI v3 documents.
    pub(crate) fn openapi(&self) -> Vec<(String, String)> {
        let routes = self.routes();
        let entry = |route: &Arc<Route>| {
            let hash = self.learned(&route.name).openapi?;
            Some((format!("apis/{}/{}", route.group, route.version), hash))
        };
        routes.values().filter_map(entry).collect()
    }

    /// What other servers' OpenAPI v2 documents say.
    pub(crate) fn swaggers(&self) -> Vec<Arc<Value>> {
        self.routes().values().filter_map(|route| self.learned(&route.name).swagger).collect()
    }
}

/// Follows the API services that there are.
pub(crate) fn start(core: &Arc<Core>, tasks: &Tasks) {
    let cache = core.registry.cache.by_prefix(&key_prefix(GROUP, PLURAL));
    let mut changed = cache.subscribe();
    core.aggregation.publish(route::all(core));
    let weak = Arc::downgrade(core);
    tasks.spawn("api-service-routes", async move {
        loop {
            changed.borrow_and_update();
            let Some(core) = weak.upgrade() else { return };
            let routes = route::all(&core);
            let same = {
                let before = core.aggregation.routes();
                before.len() == routes.len()
                    && before.values().zip(routes.values()).all(|(old, new)| old.revision == new.revision)
            };
            if !same {
                core.aggregation.publish(routes);
            }
            drop(core);
            if changed.changed().await.is_err() {
                return;
            }
        }
    });
    availability::start(core, tasks);
}
