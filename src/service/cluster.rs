//! Clusters: create, list, get, change labels and settings, delete, kubeconfig.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::database::cluster::{
    self as records, ClusterFilter, ClusterRecord, ClusterSettings, ClusterState, NATIVE_ACCOUNT, Reason,
    Scope,
};
use crate::database::node_pool::{self as pool_records, NodePoolRecord, NodePoolState};
use crate::database::operation::{OperationKind, OperationRecord};
use crate::database::{Txn, operation as operation_records};

use super::control_plane::Credential;
use super::error::{Result, ServiceError};
use super::node_pool::{self, NodePoolCreate};
use super::operation::{self, Idempotency};
use super::settings::{self, SettingsUpdate};
use super::validation::{self, Findings};
use super::version::{self, DEFAULT_VERSION};
use super::{Page, PageRequest, Provider, Service};

/// Which cluster a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterKey {
    /// A name within the native account, or a uid.
    Native(String),
    /// An identity, as the clouds' own APIs name clusters.
    Scoped(Scope, String),
}

impl ClusterKey {
    fn name(&self) -> &str {
        match self {
            Self::Native(name) | Self::Scoped(_, name) => name,
        }
    }
}

/// A cluster to make. None takes the default.
#[derive(Clone, Debug, Default)]
pub struct ClusterCreate {
    pub provider: Option<String>,
    /// None is the native account, whose names follow the native rule; other accounts' doors have checked theirs.
    pub account: Option<String>,
    pub region: Option<String>,
    pub name: String,
    pub version: Option<String>,
    pub pod_cidr: Option<String>,
    pub service_cidr: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub settings: ClusterSettings,
    pub node_pools: Vec<NodePoolCreate>,
}

/// Changes of a cluster: a label with None is removed.
#[derive(Clone, Debug, Default)]
pub struct ClusterUpdate {
    pub labels: BTreeMap<String, Option<String>>,
    pub settings: SettingsUpdate,
}

/// A cluster as users see it.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub record: ClusterRecord,
    /// None until the control plane has started.
    pub endpoint: Option<Endpoint>,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub url: String,
    pub ca_pem: String,
}

pub const DEFAULT_POD_CIDR: &str = "10.244.0.0/16";
pub const DEFAULT_SERVICE_CIDR: &str = "10.96.0.0/12";

impl Service {
    /// Records a cluster to make, with its node pools.
    ///
    /// # Errors
    /// Invalid fields, a name that is taken, no port left, or an idempotency key of another request.
    pub async fn cluster_create(
        &self,
        request: ClusterCreate,
        idempotency: Option<Idempotency>,
    ) -> Result<OperationRecord> {
        let (mut cluster, pools) = self.validate(request).await?;
        let mut txn = self.inner.database.begin().await?;
        if let Some(earlier) = operation::replay_in_txn(&mut txn, idempotency.as_ref()).await? {
            return Ok(earlier);
        }
        if let Some(holder) = records::holder_in_txn(&mut txn, &cluster.scope, &cluster.name).await? {
            return Err(taken(&holder));
        }
        let seed = uuid::Uuid::try_parse(&cluster.uid).map(|uid| uid.as_u128()).unwrap_or_default();
        cluster.port = self.inner.ports.choose(&records::ports_in_txn(&mut txn).await?, seed)?;
        records::insert_in_txn(&mut txn, &cluster).await?;
        for pool in &pools {
            pool_records::insert_in_txn(&mut txn, pool).await?;
        }
        let wanted = pools.iter().map(|pool| pool.nodes).sum::<u32>();
        let new = operation::new(OperationKind::ClusterCreate, &cluster, None, wanted.saturating_add(1));
        let created = operation::insert_in_txn(&mut txn, &new, idempotency.as_ref()).await?;
        txn.commit().await.map_err(crate::database::DatabaseError::from)?;
        tracing::info!(
            cluster = cluster.name,
            uid = cluster.uid,
            operation = created.id,
            "cluster is to be made"
        );
        self.oversee(&cluster.uid);
        Ok(created)
    }

    async fn validate(&self, request: ClusterCreate) -> Result<(ClusterRecord, Vec<NodePoolRecord>)> {
        let mut findings = Findings::default();
        if request.account.is_none() {
            findings.check("name", validation::name(&request.name));
        }
        let version = request.version.unwrap_or_else(|| DEFAULT_VERSION.to_owned());
        findings.check("version", version::check(&version));
        let pod_cidr = request.pod_cidr.unwrap_or_else(|| DEFAULT_POD_CIDR.to_owned());
        let service_cidr = request.service_cidr.unwrap_or_else(|| DEFAULT_SERVICE_CIDR.to_owned());
        validation::networks(&mut findings, &pod_cidr, &service_cidr);
        validation::labels(&mut findings, "labels", &request.labels);
        if let Err(wrong) = settings::parse(&request.settings, &version) {
            findings.0.extend(wrong.0);
        }
        let provider = self.provider_of(request.provider.as_deref(), &mut findings);
        let mut region = request.region;
        // Where there is no such region there are no zones and instance types either, and to say so would not help.
        let mut place = provider;
        if let Some(provider) = provider {
            let region = region.get_or_insert_with(|| provider.default_region.clone());
            let found = provider.check_region(region).await;
            place = place.filter(|_| found.is_ok());
            findings.check("region", found);
        }
        let cluster = ClusterRecord {
            uid: uuid::Uuid::new_v4().to_string(),
            scope: Scope {
                provider: provider.map(|provider| provider.name().to_owned()).unwrap_or_default(),
                account: request.account.unwrap_or_else(|| NATIVE_ACCOUNT.to_owned()),
                region: region.unwrap_or_default(),
            },
            name: request.name,
            version,
            pod_cidr,
            service_cidr,
            labels: request.labels,
            settings: request.settings,
            port: 0,
            state: ClusterState::Creating,
            reason: None,
            revision: operation::first_revision(),
            created_at: operation::now(),
            updated_at: operation::now(),
            nodes_wanted: 0,
            nodes_ready: 0,
        };
        let mut pools: Vec<NodePoolRecord> = Vec::new();
        for (i, pool) in request.node_pools.into_iter().enumerate() {
            let field = format!("nodePools[{i}].");
            let pool = node_pool::validate(pool, &cluster, place, &field, &mut findings).await;
            if pools.iter().any(|other| other.name == pool.name) {
                findings.add(
                    format!("{field}name"),
                    format!("{:?} is the name of an earlier node pool", pool.name),
                );
            }
            pools.push(pool);
        }
        if findings.0.is_empty() { Ok((cluster, pools)) } else { Err(ServiceError::Invalid(findings.0)) }
    }

    fn provider_of(&self, name: Option<&str>, findings: &mut Findings) -> Option<&Provider> {
        let providers = self.providers();
        let Some(name) = name else { return providers.default() };
        match providers.check(name) {
            Ok(provider) => Some(provider),
            Err(message) => {
                findings.add("provider", message);
                None
            }
        }
    }

    /// # Errors
    /// When there is no such cluster.
    pub async fn cluster_get(&self, key: &ClusterKey) -> Result<Cluster> {
        Ok(self.view(self.cluster_record(key).await?))
    }

    pub(super) async fn cluster_record(&self, key: &ClusterKey) -> Result<ClusterRecord> {
        let found = match key {
            ClusterKey::Native(name) => self.inner.database.cluster_find(name).await?,
            ClusterKey::Scoped(scope, name) => self.inner.database.cluster_find_in(scope, name).await?,
        };
        found.ok_or_else(|| not_found(key))
    }

    /// In order of name.
    ///
    /// # Errors
    /// When the page token is not one of a list of clusters.
    pub async fn cluster_list(&self, filter: &ClusterFilter, page: &PageRequest) -> Result<Page<Cluster>> {
        let after =
            page.token.as_deref().map(|token| token.split_once('/').ok_or_else(bad_token)).transpose()?;
        let records = self.inner.database.cluster_list(filter, after, page.fetch()).await?;
        let page = Page::cut(records, page, |record| format!("{}/{}", record.name, record.uid));
        Ok(page.map(|record| self.view(record)))
    }

    /// Changes what can be changed at once.
    ///
    /// # Errors
    /// No such cluster, another revision than required, a cluster that is being deleted, or invalid labels or settings.
    pub async fn cluster_update(
        &self,
        key: &ClusterKey,
        update: ClusterUpdate,
        revision: Option<i64>,
    ) -> Result<Cluster> {
        let uid = self.cluster_record(key).await?.uid;
        let mut txn = self.inner.database.begin().await?;
        let cluster = current_in_txn(&mut txn, &uid, key, revision).await?;
        refuse_deleting(&cluster)?;
        let mut labels = cluster.labels;
        for (name, value) in update.labels {
            match value {
                Some(value) => labels.insert(name, value),
                None => labels.remove(&name),
            };
        }
        let mut findings = Findings::default();
        validation::labels(&mut findings, "labels", &labels);
        let mut settings = cluster.settings;
        update.settings.apply(&mut settings);
        if let Err(wrong) = settings::parse(&settings, &cluster.version) {
            findings.0.extend(wrong.0);
        }
        if !findings.0.is_empty() {
            return Err(ServiceError::Invalid(findings.0));
        }
        records::set_labels_and_settings_in_txn(&mut txn, &uid, &labels, &settings).await?;
        let changed = current_in_txn(&mut txn, &uid, key, None).await?;
        txn.commit().await.map_err(crate::database::DatabaseError::from)?;
        // In force when this answers; the reconciler does the same, in the order of the records.
        if let Some(plane) = self.inner.fleet.plane(&uid) {
            plane.configure(&changed.version, &changed.settings);
        }
        self.oversee(&uid);
        Ok(self.view(changed))
    }

    /// Records that the cluster is to go, with all it has. A cluster that is going answers the operation that removes it.
    ///
    /// # Errors
    /// No such cluster, or another revision than required.
    pub async fn cluster_delete(&self, key: &ClusterKey, revision: Option<i64>) -> Result<OperationRecord> {
        let uid = self.cluster_record(key).await?.uid;
        let mut txn = self.inner.database.begin().await?;
        let cluster = current_in_txn(&mut txn, &uid, key, revision).await?;
        let open = operation_records::open_in_txn(&mut txn, &uid).await?;
        if let Some(going) = open.iter().find(|operation| operation.kind == OperationKind::ClusterDelete) {
            return Ok(going.clone());
        }
        operation::supersede_in_txn(&mut txn, &open, "the cluster is being deleted").await?;
        records::set_state_in_txn(&mut txn, &uid, ClusterState::Deleting, None).await?;
        let mut machines = 0;
        for pool in pool_records::list_in_txn(&mut txn, &uid).await? {
            machines += pool.observed.machines;
            let state = NodePoolState::Deleting;
            pool_records::observe_in_txn(&mut txn, &pool.uid, state, None, pool.observed).await?;
        }
        let new = operation::new(OperationKind::ClusterDelete, &cluster, None, machines.saturating_add(1));
        let created = operation::insert_in_txn(&mut txn, &new, None).await?;
        txn.commit().await.map_err(crate::database::DatabaseError::from)?;
        tracing::info!(cluster = cluster.name, uid, operation = created.id, "cluster is to be deleted");
        self.announce(open.iter().map(|operation| operation.id.as_str()));
        self.oversee(&uid);
        Ok(created)
    }

    /// A kubeconfig of an administrator, as YAML.
    ///
    /// # Errors
    /// No such cluster, or its control plane does not serve (yet).
    pub async fn cluster_kubeconfig(&self, key: &ClusterKey, credential: Credential) -> Result<String> {
        let cluster = self.cluster_record(key).await?;
        refuse_deleting(&cluster)?;
        let plane = self.inner.fleet.plane(&cluster.uid).filter(|plane| plane.status().ready);
        let plane = plane.ok_or_else(|| not_serving(&cluster))?;
        plane.kubeconfig(credential).await.map_err(|error| ServiceError::Conflict(error.reason))
    }

    /// The cluster's audit log, one JSON document a line; nothing when it has none.
    ///
    /// # Errors
    /// No such cluster, or its control plane does not run.
    pub async fn cluster_audit_log(
        &self,
        key: &ClusterKey,
        follow: bool,
    ) -> Result<BoxStream<'static, Bytes>> {
        let cluster = self.cluster_record(key).await?;
        let plane = self.inner.fleet.plane(&cluster.uid).ok_or_else(|| not_serving(&cluster))?;
        let closing = self.closing();
        let log = plane.audit_log(follow);
        Ok(log.take_until(async move { closing.cancelled().await }).boxed())
    }

    fn view(&self, record: ClusterRecord) -> Cluster {
        let plane = self.inner.fleet.plane(&record.uid);
        let endpoint = plane.map(|plane| Endpoint { url: plane.endpoint(), ca_pem: plane.ca_pem() });
        Cluster { record, endpoint }
    }
}

/// The cluster, if it is at the revision.
pub(super) async fn current_in_txn(
    txn: &mut Txn,
    uid: &str,
    key: &ClusterKey,
    revision: Option<i64>,
) -> Result<ClusterRecord> {
    let cluster = records::get_in_txn(txn, uid).await?.ok_or_else(|| not_found(key))?;
    if revision.is_some_and(|revision| revision != cluster.revision) {
        return Err(ServiceError::PreconditionFailed { kind: "cluster", found: cluster.revision });
    }
    Ok(cluster)
}

pub(super) fn refuse_deleting(cluster: &ClusterRecord) -> Result<()> {
    if cluster.state == ClusterState::Deleting {
        let message = format!("the cluster {:?} is being deleted", cluster.name);
        return Err(ServiceError::Conflict(Reason::new("clusterDeleting", message)));
    }
    Ok(())
}

pub(super) fn not_serving(cluster: &ClusterRecord) -> ServiceError {
    let message = match &cluster.reason {
        Some(reason) => format!("the cluster {:?} does not serve: {}", cluster.name, reason.message),
        None => format!("the cluster {:?} is starting", cluster.name),
    };
    ServiceError::NotReady { message, retry_after: Duration::from_secs(1) }
}

pub(super) fn bad_token() -> ServiceError {
    ServiceError::Invalid(vec![super::FieldError::new("pageToken", "is not a page token of this list")])
}

fn not_found(key: &ClusterKey) -> ServiceError {
    ServiceError::NotFound { kind: "cluster", name: key.name().to_owned() }
}

fn taken(holder: &ClusterRecord) -> ServiceError {
    if holder.state == ClusterState::Deleting {
        let message = format!("a cluster {:?} is still being deleted", holder.name);
        return ServiceError::Conflict(Reason::new("clusterDeleting", message));
    }
    ServiceError::AlreadyExists { kind: "cluster", name: holder.name.clone() }
}
