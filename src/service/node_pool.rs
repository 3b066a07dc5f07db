//! Node pools: create, list, get, scale, delete.

use std::collections::BTreeMap;

use crate::database::cluster::{self as cluster_records, ClusterRecord};
use crate::database::node_pool::{self as records, Kubelet, NodePoolRecord, NodePoolState, Observed, Taint};
use crate::database::operation::{self as operation_records, OperationKind, OperationRecord};
use crate::database::{DatabaseError, Txn};

use super::cluster::{self, ClusterKey};
use super::error::{Result, ServiceError};
use super::operation::{self, Idempotency};
use super::validation::{self, Findings};
use super::{Page, PageRequest, Provider, Service};

/// A node pool to make. None takes the default.
#[derive(Clone, Debug, Default)]
pub struct NodePoolCreate {
    pub name: String,
    pub instance_type: Option<String>,
    pub nodes: u32,
    pub zones: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub spot: bool,
}

/// A node pool and the name of its cluster.
#[derive(Clone, Debug)]
pub struct NodePool {
    pub record: NodePoolRecord,
    pub cluster: ClusterRecord,
}

/// Of one pool.
pub const MAX_NODES: u32 = 10_000;

impl Service {
    /// Records a node pool to make.
    ///
    /// # Errors
    /// No such cluster, invalid fields, a name that is taken, or an idempotency key of another request.
    pub async fn node_pool_create(
        &self,
        key: &ClusterKey,
        request: NodePoolCreate,
        idempotency: Option<Idempotency>,
    ) -> Result<OperationRecord> {
        let cluster = self.cluster_record(key).await?;
        let mut findings = Findings::default();
        let provider = self.providers().provider_get(&cluster.scope.provider).ok();
        let pool = validate(request, &cluster, provider, "", &mut findings).await;
        if !findings.0.is_empty() {
            return Err(ServiceError::Invalid(findings.0));
        }
        let mut txn = self.inner.database.begin().await?;
        if let Some(earlier) = operation::replay_in_txn(&mut txn, idempotency.as_ref()).await? {
            return Ok(earlier);
        }
        let cluster = cluster::current_in_txn(&mut txn, &cluster.uid, key, None).await?;
        cluster::refuse_deleting(&cluster)?;
        if records::list_in_txn(&mut txn, &cluster.uid).await?.iter().any(|other| other.name == pool.name) {
            return Err(ServiceError::AlreadyExists { kind: "node pool", name: pool.name });
        }
        records::insert_in_txn(&mut txn, &pool).await?;
        let new = operation::new(OperationKind::NodePoolCreate, &cluster, Some(&pool), pool.nodes.max(1));
        let created = operation::insert_in_txn(&mut txn, &new, idempotency.as_ref()).await?;
        self.commit_pool(txn, &cluster.uid, []).await?;
        Ok(created)
    }

    /// # Errors
    /// When there is no such cluster or pool.
    pub async fn node_pool_get(&self, key: &ClusterKey, name: &str) -> Result<NodePool> {
        let cluster = self.cluster_record(key).await?;
        let record = self.inner.database.node_pool_find(&cluster.uid, name).await?;
        let record = record.ok_or_else(|| not_found(name))?;
        Ok(NodePool { record, cluster })
    }

    /// In order of name.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub async fn node_pool_list(
        &self,
        key: &ClusterKey,
        state: Option<NodePoolState>,
        page: &PageRequest,
    ) -> Result<Page<NodePool>> {
        let cluster = self.cluster_record(key).await?;
        let after = page.token.as_deref().unwrap_or_default();
        let records = self.inner.database.node_pool_list(&cluster.uid, state, after, page.fetch()).await?;
        let page = Page::cut(records, page, |record| record.name.clone());
        Ok(page.map(|record| NodePool { record, cluster: cluster.clone() }))
    }

    /// Records that the pool is to have another number of nodes.
    ///
    /// # Errors
    /// No such cluster or pool, another revision than required, too many nodes, or one that is being deleted.
    pub async fn node_pool_scale(
        &self,
        key: &ClusterKey,
        name: &str,
        nodes: u32,
        revision: Option<i64>,
    ) -> Result<OperationRecord> {
        let mut findings = Findings::default();
        findings.check("nodes", check_nodes(nodes));
        if !findings.0.is_empty() {
            return Err(ServiceError::Invalid(findings.0));
        }
        let found = self.node_pool_get(key, name).await?;
        let mut txn = self.inner.database.begin().await?;
        let pool = current_in_txn(&mut txn, &found.record, revision).await?;
        if pool.state == NodePoolState::Deleting {
            let message = format!("the node pool {name:?} is being deleted");
            return Err(ServiceError::Conflict(cluster_records::Reason::new("nodePoolDeleting", message)));
        }
        let open = open_of_in_txn(&mut txn, &pool).await?;
        let earlier: Vec<_> =
            open.into_iter().filter(|operation| operation.kind == OperationKind::NodePoolScale).collect();
        operation::supersede_in_txn(&mut txn, &earlier, "the node pool was scaled again").await?;
        let state = match pool.state {
            NodePoolState::Creating => NodePoolState::Creating,
            _ => NodePoolState::Scaling,
        };
        records::scale_in_txn(&mut txn, &pool.uid, nodes, state).await?;
        let steps = nodes.abs_diff(pool.observed.machines).max(1);
        let new = operation::new(OperationKind::NodePoolScale, &found.cluster, Some(&pool), steps);
        let created = operation::insert_in_txn(&mut txn, &new, None).await?;
        self.commit_pool(txn, &pool.cluster_uid, earlier).await?;
        Ok(created)
    }

    /// Records that the pool is to go: its nodes are drained and removed. A pool that is going answers the operation that
    /// removes it.
    ///
    /// # Errors
    /// No such cluster or pool, or another revision than required.
    pub async fn node_pool_delete(
        &self,
        key: &ClusterKey,
        name: &str,
        revision: Option<i64>,
    ) -> Result<OperationRecord> {
        let found = self.node_pool_get(key, name).await?;
        cluster::refuse_deleting(&found.cluster)?;
        let mut txn = self.inner.database.begin().await?;
        let pool = current_in_txn(&mut txn, &found.record, revision).await?;
        let open = open_of_in_txn(&mut txn, &pool).await?;
        if let Some(going) = open.iter().find(|operation| operation.kind == OperationKind::NodePoolDelete) {
            return Ok(going.clone());
        }
        operation::supersede_in_txn(&mut txn, &open, "the node pool is being deleted").await?;
        records::observe_in_txn(&mut txn, &pool.uid, NodePoolState::Deleting, None, pool.observed).await?;
        let steps = pool.observed.machines.max(1);
        let new = operation::new(OperationKind::NodePoolDelete, &found.cluster, Some(&pool), steps);
        let created = operation::insert_in_txn(&mut txn, &new, None).await?;
        self.commit_pool(txn, &pool.cluster_uid, open).await?;
        Ok(created)
    }

    async fn commit_pool(
        &self,
        mut txn: Txn,
        cluster_uid: &str,
        ended: impl IntoIterator<Item = OperationRecord>,
    ) -> Result<()> {
        cluster_records::touch_in_txn(&mut txn, cluster_uid).await?;
        txn.commit().await.map_err(DatabaseError::from)?;
        let ended: Vec<_> = ended.into_iter().collect();
        self.announce(ended.iter().map(|operation| operation.id.as_str()));
        self.oversee(cluster_uid);
        Ok(())
    }
}

/// The pool as it is in the transaction, if it is at the revision.
async fn current_in_txn(
    txn: &mut Txn,
    found: &NodePoolRecord,
    revision: Option<i64>,
) -> Result<NodePoolRecord> {
    let pool = records::get_in_txn(txn, &found.uid).await?.ok_or_else(|| not_found(&found.name))?;
    if revision.is_some_and(|revision| revision != pool.revision) {
        return Err(ServiceError::PreconditionFailed { kind: "node pool", found: pool.revision });
    }
    Ok(pool)
}

async fn open_of_in_txn(txn: &mut Txn, pool: &NodePoolRecord) -> Result<Vec<OperationRecord>> {
    let mut open = operation_records::open_in_txn(txn, &pool.cluster_uid).await?;
    open.retain(|operation| operation.node_pool.as_ref().is_some_and(|key| key.uid == pool.uid));
    Ok(open)
}

/// Makes a record of what is asked for, and adds what is wrong with it under `field`.
pub(super) async fn validate(
    request: NodePoolCreate,
    cluster: &ClusterRecord,
    provider: Option<&Provider>,
    field: &str,
    findings: &mut Findings,
) -> NodePoolRecord {
    findings.check(format!("{field}name"), validation::name(&request.name));
    findings.check(format!("{field}nodes"), check_nodes(request.nodes));
    validation::labels(findings, &format!("{field}labels"), &request.labels);
    validation::taints(findings, &format!("{field}taints"), &request.taints);
    let mut instance_type = request.instance_type;
    if let Some(provider) = provider {
        let region = &cluster.scope.region;
        let instance_type = instance_type.get_or_insert_with(|| provider.default_instance_type.clone());
        let outcome = provider.check_instance_type(region, instance_type).await;
        findings.check(format!("{field}instanceType"), outcome);
        for (i, message) in provider.check_zones(region, &request.zones).await {
            findings.add(format!("{field}zones[{i}]"), message);
        }
    }
    NodePoolRecord {
        uid: uuid::Uuid::new_v4().to_string(),
        cluster_uid: cluster.uid.clone(),
        name: request.name,
        instance_type: instance_type.unwrap_or_default(),
        nodes: request.nodes,
        version: cluster.version.clone(),
        kubelet: Kubelet::Simulated,
        zones: request.zones,
        labels: request.labels,
        taints: request.taints,
        spot: request.spot,
        state: NodePoolState::Creating,
        reason: None,
        observed: Observed::default(),
        revision: operation::first_revision(),
        created_at: operation::now(),
        updated_at: operation::now(),
    }
}

fn check_nodes(nodes: u32) -> Result<(), String> {
    if nodes > MAX_NODES { Err(format!("{nodes} must be {MAX_NODES} at most")) } else { Ok(()) }
}

fn not_found(name: &str) -> ServiceError {
    ServiceError::NotFound { kind: "node pool", name: name.to_owned() }
}
