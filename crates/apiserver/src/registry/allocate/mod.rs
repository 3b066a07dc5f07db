//! Addresses and ports that Services are given: who has which, and giving them out.
//!
//! The API server is the only writer of its tenant's Services, so what is taken is known here and derived from the
//! cache at first use. A reservation that is not kept (the write failed) is given back. Users see, and can take,
//! addresses as IPAddress objects.

mod pool;
mod ports;
mod range;
pub(crate) mod records;
mod service;

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta as _, Status, Value};
use parking_lot::Mutex;

use crate::admission::Reader;
use crate::resources::Resource;
use pool::Pool;
pub use range::ServiceRange;

/// A tenant's Service addresses.
#[derive(Clone)]
pub(crate) struct Allocators {
    range: ServiceRange,
    pool: Arc<Mutex<Option<Pool>>>,
}

/// What a write has been given. Dropped without [`Reserved::keep`], it goes back.
pub(crate) struct Reserved {
    pool: Arc<Mutex<Option<Pool>>>,
    addresses: Vec<std::net::Ipv4Addr>,
    ports: Vec<u16>,
    /// Of a dry run, of which upstream asks less.
    dry_run: bool,
}

impl Allocators {
    pub(crate) fn new(range: ServiceRange) -> Self {
        Self { range, pool: Arc::default() }
    }

    /// Gives a new Service its cluster IP and node ports. Other kinds pass unchanged.
    pub(crate) fn reserve_for_create(
        &self,
        reader: &dyn Reader,
        resource: &Resource,
        object: &mut Value,
        dry_run: bool,
    ) -> Result<Reserved, Status> {
        let mut reserved = self.nothing();
        reserved.dry_run = dry_run;
        if is_service(resource) {
            self.with_pool(reader, |pool| service::create(pool, object, &mut reserved))?;
        } else if records::is_record(resource)
            && let Ok(ip) = object.name().parse()
        {
            self.with_pool(reader, |pool| {
                if pool.mark_address(ip) {
                    reserved.addresses.push(ip);
                }
                Ok(())
            })?;
        }
        Ok(reserved)
    }

    /// Gives a changed Service what it newly needs, and fills in what the client left out of what it has.
    pub(crate) fn reserve_for_update(
        &self,
        reader: &dyn Reader,
        resource: &Resource,
        object: &mut Value,
        old: &Value,
        dry_run: bool,
    ) -> Result<Reserved, Status> {
        let mut reserved = self.nothing();
        reserved.dry_run = dry_run;
        if is_service(resource) {
            self.with_pool(reader, |pool| service::update(pool, object, old, &mut reserved))?;
        }
        Ok(reserved)
    }

    /// Takes back what `old` had and `new` has no more.
    pub(crate) fn release_difference(&self, resource: &Resource, old: &Value, new: Option<&Value>) {
        if !is_service(resource) {
            return;
        }
        let mut pool = self.pool.lock();
        let Some(pool) = pool.as_mut() else { return };
        let kept = new.map(service::addresses_of).unwrap_or_default();
        service::addresses_of(old)
            .iter()
            .filter(|ip| !kept.contains(ip))
            .for_each(|ip| pool.release_address(*ip));
        let kept = new.map(service::ports_of).unwrap_or_default();
        service::ports_of(old)
            .iter()
            .filter(|port| !kept.contains(port))
            .for_each(|port| pool.release_port(*port));
    }

    /// Takes back what `old`, which is gone, had. A record of a Service's address that stands comes back.
    pub(crate) fn release_object(&self, resource: &Resource, old: &Value) {
        if records::is_record(resource)
            && !records::is_managed(old)
            && let Ok(ip) = old.name().parse()
        {
            self.release(ip);
        }
        self.release_difference(resource, old, None);
    }

    fn release(&self, ip: std::net::Ipv4Addr) {
        if let Some(pool) = self.pool.lock().as_mut() {
            pool.release_address(ip);
        }
    }

    pub(crate) fn nothing(&self) -> Reserved {
        Reserved { pool: self.pool.clone(), addresses: Vec::new(), ports: Vec::new(), dry_run: false }
    }

    fn with_pool(
        &self,
        reader: &dyn Reader,
        f: impl FnOnce(&mut Pool) -> Result<(), Status>,
    ) -> Result<(), Status> {
        let mut pool = self.pool.lock();
        let pool = pool.get_or_insert_with(|| {
            let mut pool = Pool::new(self.range);
            for record in reader.list("networking.k8s.io", "ipaddresses", "") {
                if let Ok(ip) = record.name().parse() {
                    pool.mark_address(ip);
                }
            }
            for service in reader.list("", "services", "") {
                for ip in service::addresses_of(service.value()) {
                    pool.mark_address(ip);
                }
                for port in service::ports_of(service.value()) {
                    pool.mark_port(port);
                }
            }
            pool
        });
        let cidrs = reader.list("networking.k8s.io", "servicecidrs", "");
        pool.set_more(cidrs.iter().filter(|cidr| is_ready(cidr)).flat_map(|cidr| ranges(cidr)).collect());
        f(pool)
    }
}

impl Reserved {
    /// The write happened; a dry run gives everything back.
    pub(crate) fn keep(mut self) {
        if !self.dry_run {
            self.addresses.clear();
            self.ports.clear();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.addresses.is_empty() && self.ports.is_empty() {
            return;
        }
        let mut pool = self.pool.lock();
        let Some(pool) = pool.as_mut() else { return };
        self.addresses.iter().for_each(|ip| pool.release_address(*ip));
        self.ports.iter().for_each(|port| pool.release_port(*port));
    }
}

/// Nothing is taken from a range that is not ready yet or is about to go.
fn is_ready(cidr: &Object) -> bool {
    let mut conditions = cidr.array_at(&["status", "conditions"]).iter();
    let ready =
        |condition: &Value| condition.str_at(&["type"]) == "Ready" && condition.str_at(&["status"]) == "True";
    !cidr.is_deleting() && conditions.any(ready)
}

fn ranges(cidr: &Object) -> Vec<ServiceRange> {
    let texts = cidr.array_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str);
    texts.filter_map(ServiceRange::parse).collect()
}

pub(crate) fn is_service(resource: &Resource) -> bool {
    resource.gvr.resource == "services" && resource.gvr.group.is_empty()
}
