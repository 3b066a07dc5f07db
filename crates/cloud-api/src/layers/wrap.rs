//! The wrapper: every capability's methods, each carried by the [`Stack`].

use std::sync::Arc;

use async_trait::async_trait;

use super::{Operation, Stack};
use crate::{
    CloudError, CloudProvider, ClusterRef, Instance, InstanceGroups, InstanceType, Instances, LaunchRequest,
    LoadBalancer, LoadBalancerAddress, LoadBalancerRequest, LoadBalancers, PoolRequest, Route, Routes,
    Storage, Zones,
};

pub(super) struct Layered {
    inner: Arc<dyn CloudProvider>,
    stack: Arc<Stack>,
}

/// One capability and the stack around it.
struct On<T: ?Sized> {
    inner: Arc<T>,
    stack: Arc<Stack>,
}

impl Layered {
    pub(super) fn new(inner: Arc<dyn CloudProvider>, stack: Arc<Stack>) -> Self {
        Self { inner, stack }
    }

    fn on<T: ?Sized>(&self, inner: Arc<T>) -> Arc<On<T>> {
        Arc::new(On { inner, stack: self.stack.clone() })
    }
}

impl CloudProvider for Layered {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn provider_id_scheme(&self) -> &'static str {
        self.inner.provider_id_scheme()
    }

    fn instance_id(&self, provider_id: &str) -> Option<String> {
        self.inner.instance_id(provider_id)
    }

    fn instances(&self) -> Option<Arc<dyn Instances>> {
        self.inner.instances().map(|inner| self.on(inner) as Arc<dyn Instances>)
    }

    fn instance_groups(&self) -> Option<Arc<dyn InstanceGroups>> {
        self.inner.instance_groups().map(|inner| self.on(inner) as Arc<dyn InstanceGroups>)
    }

    fn load_balancers(&self) -> Option<Arc<dyn LoadBalancers>> {
        self.inner.load_balancers().map(|inner| self.on(inner) as Arc<dyn LoadBalancers>)
    }

    fn routes(&self) -> Option<Arc<dyn Routes>> {
        self.inner.routes().map(|inner| self.on(inner) as Arc<dyn Routes>)
    }

    fn zones(&self) -> Option<Arc<dyn Zones>> {
        self.inner.zones().map(|inner| self.on(inner) as Arc<dyn Zones>)
    }

    fn storage(&self) -> Option<Storage> {
        self.inner.storage()
    }
}

macro_rules! op {
    ($name:literal) => {
        Operation {
            name: $name,
            before: concat!("cloud.", $name, ".before"),
            after: concat!("cloud.", $name, ".after"),
        }
    };
}

/// Writes each method of a capability as a call through the stack.
macro_rules! forward {
    ($capability:ident { $($op:literal $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $capability for On<dyn $capability> {
            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer, CloudError> {
                self.stack.call(op!($op), || self.inner.$method($($arg),*)).await
            })*
        }
    };
}

forward!(Instances {
    "prepare_pool" prepare_pool(pool: &PoolRequest) -> Vec<String>;
    "release_pool" release_pool(cluster: &ClusterRef, node_pool: &str) -> ();
    "release_cluster" release_cluster(cluster: &ClusterRef) -> ();
    "launch" launch(request: &LaunchRequest) -> Instance;
    "list" list(cluster: &ClusterRef) -> Vec<Instance>;
    "get" get(cluster: &ClusterRef, id: &str) -> Option<Instance>;
    "terminate" terminate(cluster: &ClusterRef, id: &str) -> ();
    "instance_type" instance_type(region: &str, name: &str) -> InstanceType;
});

forward!(InstanceGroups {
    "instance_group_ensure" ensure(pool: &PoolRequest, size: u32) -> ();
    "instance_group_remove_instance" remove_instance(cluster: &ClusterRef, node_pool: &str, id: &str) -> ();
    "instance_group_delete" delete(cluster: &ClusterRef, node_pool: &str) -> ();
});

forward!(LoadBalancers {
    "load_balancer_ensure" ensure(balancer: &LoadBalancerRequest) -> Vec<LoadBalancerAddress>;
    "load_balancer_delete" delete(cluster: &ClusterRef, name: &str) -> ();
    "load_balancer_list" list(cluster: &ClusterRef) -> Vec<LoadBalancer>;
});

forward!(Routes {
    "route_list" list(cluster: &ClusterRef) -> Vec<Route>;
    "route_create" create(cluster: &ClusterRef, route: &Route) -> ();
    "route_delete" delete(cluster: &ClusterRef, route: &Route) -> ();
});

forward!(Zones {
    "regions" regions() -> Vec<String>;
    "zones" zones(region: &str) -> Vec<String>;
});
