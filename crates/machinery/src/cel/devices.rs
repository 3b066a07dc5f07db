//! Expressions that select devices: what they may refer to, and what they may cost.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use drydock_cel::Program;
use drydock_cel::cost::{SizeEstimate, Sizes, estimate};
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::{Env, Types};
use drydock_cel::types::Type;

use super::library;

const DEVICE: &str = "kubernetes.DRADevice";

/// What evaluating one selector may cost, as estimated when it is written and as counted when it runs.
pub const DEVICE_SELECTOR_MAX_COST: u64 = 1_000_000;

/// Upstream's limits on devices: the characters of a driver's name, of a domain, of an attribute's name and of its
/// value, and how many attributes or capacities there are.
const LONGEST_DRIVER: u64 = 63;
const LONGEST_DOMAIN: u64 = 63;
const LONGEST_NAME: u64 = 32;
const LONGEST_VALUE: u64 = 64;
const MOST_ENTRIES: u64 = 32;

/// What is known of a device: since 1.36 also whether it can be allocated more than once.
struct DeviceType {
    can_be_shared: bool,
}

impl Types for DeviceType {
    fn has_type(&self, name: &str) -> bool {
        name == DEVICE
    }

    fn is_nameable(&self, _: &str) -> bool {
        false
    }

    fn field(&self, of: &str, field: &str) -> Option<Type> {
        let by_domain = |of: Type| Type::map(Type::String, Type::map(Type::String, of));
        Some(match (of, field) {
            (DEVICE, "driver") => Type::String,
            (DEVICE, "allowMultipleAllocations") if self.can_be_shared => Type::Bool,
            (DEVICE, "attributes") => by_domain(Type::Dyn),
            (DEVICE, "capacity") => by_domain(Type::named("kubernetes.Quantity")),
            _ => return None,
        })
    }
}

/// How large what a device has can be: upstream's `sizeEstimator`.
struct DeviceSizes;

impl Sizes for DeviceSizes {
    fn size(&self, path: &[Arc<str>], _: &Type) -> Option<SizeEstimate> {
        let path: Vec<&str> = path.iter().map(|step| &**step).collect();
        let most = match path.as_slice() {
            ["device", "driver"] => LONGEST_DRIVER,
            ["device", "allowMultipleAllocations"] => 1,
            ["device", "attributes" | "capacity"] | ["device", "attributes" | "capacity", "@values"] => {
                MOST_ENTRIES
            }
            ["device", "attributes" | "capacity", "@keys"] => LONGEST_DOMAIN,
            ["device", "attributes" | "capacity", "@values", "@keys"] => LONGEST_NAME,
            // Whatever an attribute is called, its value is no longer.
            ["device", "attributes", "@values", _] => LONGEST_VALUE,
            ["device"] | ["device", "capacity", "@values", "@values"] => 0,
            _ => return None,
        };
        Some(SizeEstimate { min: 0, max: most })
    }
}

/// A selector that compiled.
#[derive(Debug)]
pub struct DeviceSelector {
    pub program: Program,
    /// What evaluating it can cost.
    pub max_cost: u64,
}

/// Compiles the expression of a device selector of a cluster of this version, which knows one variable: `device`.
/// `language` says which functions there are: less for what is new, so that the cluster can go back.
///
/// # Errors
/// `compilation failed: …`, `must evaluate to bool or the unknown type, not int`, in upstream's words.
pub fn compile_device_selector(
    expression: &str,
    language: KubernetesVersion,
    cluster: KubernetesVersion,
) -> Result<DeviceSelector, String> {
    let env = env(language, cluster >= KubernetesVersion::V1_36);
    let checked = env.compile(expression).map_err(|issues| format!("compilation failed: {issues}"))?;
    match &checked.output {
        Type::Bool | Type::Dyn => {}
        other => return Err(format!("must evaluate to bool or the unknown type, not {other}")),
    }
    let program = Program::new(&checked, library())
        .map_err(|error| format!("program instantiation failed: {error}"))?;
    Ok(DeviceSelector { program, max_cost: estimate(&checked, &DeviceSizes).max })
}

fn env(language: KubernetesVersion, can_be_shared: bool) -> &'static Env {
    static ENVIRONMENTS: LazyLock<HashMap<(KubernetesVersion, bool), Env>> = LazyLock::new(|| {
        let versions = [
            KubernetesVersion::V1_33,
            KubernetesVersion::V1_34,
            KubernetesVersion::V1_35,
            KubernetesVersion::V1_36,
        ];
        let each = versions.into_iter().flat_map(|version| [(version, false), (version, true)]);
        let made = each.map(|(version, can_be_shared)| {
            let env = Env::new(version)
                .bindings()
                .variable("device", Type::named(DEVICE))
                .types(Arc::new(DeviceType { can_be_shared }));
            ((version, can_be_shared), env)
        });
        made.collect()
    });
    &ENVIRONMENTS[&(language, can_be_shared)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const V36: KubernetesVersion = KubernetesVersion::V1_36;

    #[test]
    fn selectors_may_bind_a_name() {
        let text = "cel.bind(d, device.attributes['dra.example.com'], d.on && d.size > 3)";
        assert!(compile_device_selector(text, V36, V36).is_ok());
        let why = compile_device_selector("cel.bind(a.b, 1, true)", V36, V36).unwrap_err();
        assert!(why.contains("cel.bind() variable names must be simple identifiers"), "{why}");
        // Elsewhere there is no such macro.
        assert!(Env::new(V36).compile("cel.bind(a, 1, a == 1)").is_err());
    }

    #[test]
    fn what_a_selector_can_cost_follows_from_the_sizes_of_devices() {
        let cost = |text: &str| compile_device_selector(text, V36, V36).unwrap().max_cost;
        assert!(cost("device.driver == 'x'") < 20);
        let nested = "device.attributes.exists(a, device.attributes.exists(b, device.attributes.exists(c, \
                      device.attributes.exists(d, a == b && c == d))))";
        assert!(cost(nested) > DEVICE_SELECTOR_MAX_COST, "{}", cost(nested));
    }

    #[test]
    fn clusters_before_1_36_do_not_know_of_shared_devices() {
        let compile = |cluster| compile_device_selector("device.allowMultipleAllocations", V36, cluster);
        assert!(compile(V36).is_ok());
        let why = compile(KubernetesVersion::V1_35).unwrap_err();
        assert!(why.contains("undefined field 'allowMultipleAllocations'"), "{why}");
        let sort = |language| compile_device_selector("[2, 1].sort() == [1, 2]", language, V36);
        assert!(sort(KubernetesVersion::V1_33).is_err() && sort(KubernetesVersion::V1_34).is_ok());
    }
}
