//! Expressions that select devices: what they may refer to.

use std::sync::{Arc, LazyLock};

use drydock_cel::Program;
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::{Env, Types};
use drydock_cel::types::Type;

use super::library;

const DEVICE: &str = "kubernetes.DRADevice";

struct DeviceType;

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
            (DEVICE, "allowMultipleAllocations") => Type::Bool,
            (DEVICE, "attributes") => by_domain(Type::Dyn),
            (DEVICE, "capacity") => by_domain(Type::named("kubernetes.Quantity")),
            _ => return None,
        })
    }
}

/// Compiles the expression of a device selector, which knows one variable: `device`.
///
/// # Errors
/// `compilation failed: …`, `must evaluate to bool or the unknown type, not int`, in upstream's words.
pub fn compile_device_selector(expression: &str) -> Result<Program, String> {
    static ENV: LazyLock<Env> = LazyLock::new(|| {
        Env::new(KubernetesVersion::V1_36).variable("device", Type::named(DEVICE)).types(Arc::new(DeviceType))
    });
    let checked = ENV.compile(expression).map_err(|issues| format!("compilation failed: {issues}"))?;
    match &checked.output {
        Type::Bool | Type::Dyn => {}
        other => return Err(format!("must evaluate to bool or the unknown type, not {other}")),
    }
    Program::new(&checked, library()).map_err(|error| format!("program instantiation failed: {error}"))
}
