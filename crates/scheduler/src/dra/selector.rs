//! Expressions that select devices.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::Env;
use drydock_cel::types::Type;
use drydock_cel::value::{BuiltMap, Map as CelMap, MapView, Value as CelValue};
use drydock_cel::{Budget, EvalError, Program, Variables};
use drydock_machinery::cel::{DEVICE_SELECTOR_MAX_COST, DeviceSelector, compile_device_selector, library};
use drydock_machinery::{Key, Value};
use parking_lot::Mutex;

use super::slice::Device;

/// Programs that are kept; classes and claims share few expressions.
const KEPT: usize = 256;

/// What is stored was let in: nothing more is asked of it.
const NEWEST: KubernetesVersion = KubernetesVersion::V1_36;

type Compiled = Arc<Result<DeviceSelector, String>>;

/// Compiled expressions.
#[derive(Debug, Default)]
pub(super) struct Selectors(Mutex<HashMap<String, Compiled>>);

impl Selectors {
    /// Whether the expression selects the device.
    ///
    /// # Errors
    /// `CEL compile error: …` or `CEL runtime error: …`
    pub(super) fn matches(&self, expression: &str, device: &Device) -> Result<bool, String> {
        let selector = self.selector(expression);
        let selector = selector.as_ref().as_ref().map_err(|error| format!("CEL compile error: {error}"))?;
        let budget = Budget { cost: DEVICE_SELECTOR_MAX_COST };
        let evaluated = selector.program.evaluate(&DeviceVariable(device), budget);
        let value = evaluated.result.map_err(|error| format!("CEL runtime error: {error}"))?;
        value.as_bool().ok_or_else(|| {
            let of = value.type_name();
            format!("CEL runtime error: CEL result of type {of} could not be converted to bool: type conversion error from '{of}' to 'bool'")
        })
    }

    fn selector(&self, expression: &str) -> Compiled {
        if let Some(known) = self.0.lock().get(expression) {
            return known.clone();
        }
        let compiled = Arc::new(compile_device_selector(expression, NEWEST, NEWEST));
        let mut programs = self.0.lock();
        if programs.len() >= KEPT {
            programs.clear();
        }
        programs.insert(expression.to_owned(), compiled.clone());
        compiled
    }
}

/// `device`
struct DeviceVariable<'a>(&'a Device);

impl Variables for DeviceVariable<'_> {
    fn variable(&self, name: &str) -> Option<Result<CelValue, EvalError>> {
        (name == "device").then(|| as_value(self.0))
    }
}

fn as_value(device: &Device) -> Result<CelValue, EvalError> {
    let mut fields = BuiltMap::new();
    let attributes = device.attributes.iter().map(|(name, value)| {
        let value = attribute(value).map_err(|error| EvalError::new(format!("attribute {name}: {error}")))?;
        Ok((name, value))
    });
    let capacity = device
        .capacity
        .iter()
        .map(|(name, capacity)| Ok((name, called("quantity", &capacity.value.to_string())?)));
    fields.insert("driver".into(), CelValue::String(device.id.driver.clone()))?;
    fields.insert("allowMultipleAllocations".into(), device.is_shared.into())?;
    fields.insert("attributes".into(), by_domain(device, attributes)?)?;
    fields.insert("capacity".into(), by_domain(device, capacity)?)?;
    Ok(fields.into())
}

fn attribute(value: &Value) -> Result<CelValue, EvalError> {
    let own = |name: &str| value.get(name).filter(|value| !value.is_null());
    let native = ["int", "bool", "string"].into_iter().find_map(own);
    match (native, own("version").and_then(Value::as_str)) {
        (Some(native), _) => Ok(drydock_machinery::cel::from_json(native)),
        (None, Some(version)) => called("semver", version),
        (None, None) => Err(EvalError::new("unsupported attribute value")),
    }
}

/// A library's value, made of a text by the library's own function.
fn called(function: &'static str, text: &str) -> Result<CelValue, EvalError> {
    struct Text<'a>(&'a str);
    impl Variables for Text<'_> {
        fn variable(&self, name: &str) -> Option<Result<CelValue, EvalError>> {
            (name == "text").then(|| Ok(self.0.into()))
        }
    }
    static FUNCTIONS: LazyLock<HashMap<&'static str, Program>> = LazyLock::new(|| {
        let env = Env::new(KubernetesVersion::V1_36).variable("text", Type::String);
        let program = |function: &'static str| {
            let checked = env.compile(&format!("{function}(text)")).ok()?;
            Some((function, Program::new(&checked, library()).ok()?))
        };
        ["quantity", "semver"].into_iter().filter_map(program).collect()
    });
    let program = FUNCTIONS.get(function).ok_or_else(EvalError::no_such_overload)?;
    program.evaluate(&Text(text), Budget::default()).result
}

/// Values by domain and name. Names without a domain are in the driver's.
fn by_domain<'a>(
    device: &Device,
    values: impl Iterator<Item = Result<(&'a Key, CelValue), EvalError>>,
) -> Result<CelValue, EvalError> {
    let mut domains: HashMap<Key, BuiltMap> = HashMap::new();
    for value in values {
        let (name, value) = value?;
        let (domain, id) = name.split_once('/').unwrap_or((&device.id.driver, name));
        domains.entry(domain.into()).or_default().insert(id.into(), value)?;
    }
    let domains = domains.into_iter().map(|(domain, values)| (domain, values.into())).collect();
    Ok(CelValue::Map(CelMap::View(Arc::new(Domains(domains)))))
}

/// A map that has an empty one for every domain that it does not know.
#[derive(Debug)]
struct Domains(HashMap<Key, CelValue>);

impl MapView for Domains {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &str) -> Result<Option<CelValue>, EvalError> {
        Ok(Some(self.0.get(key).cloned().unwrap_or_else(|| BuiltMap::new().into())))
    }

    fn contains(&self, key: &str) -> Result<bool, EvalError> {
        Ok(self.0.contains_key(key))
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.0.keys().cloned().collect();
        keys.sort();
        keys
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::{Object, value};

    use super::super::slice::Slice;
    use super::*;

    #[test]
    fn expressions_see_attributes_and_capacity_by_domain() {
        let slice = Slice::new(&Object::new(
            value!({"metadata": {"name": "s"}, "spec": {"driver": "d.example.com", "pool": {"name": "p"}, "devices": [{
                "name": "g", "attributes": {
                    "model": {"string": "big"}, "other.com/rank": {"int": 3}, "on": {"bool": true}, "v": {"version": "1.2.3"},
                },
                "capacity": {"memory": {"value": "8Gi"}},
            }]}}),
            1,
        ));
        let selectors = Selectors::default();
        let matches = |expression: &str| selectors.matches(expression, &slice.devices[0]);
        for yes in [
            "device.driver == 'd.example.com' && device.attributes['d.example.com'].model == 'big'",
            "device.attributes['other.com'].rank >= 3 && device.attributes['d.example.com'].on",
            "device.capacity['d.example.com'].memory.isGreaterThan(quantity('4Gi'))",
            "device.attributes['d.example.com'].v.isLessThan(semver('2.0.0'))",
            "!has(device.attributes['unknown.com'].x) && !device.allowMultipleAllocations",
            "device.attributes['d.example.com'].on",
        ] {
            assert_eq!(matches(yes), Ok(true), "{yes}");
        }
        let missing = matches("device.attributes['d.example.com'].missing == 'x'").unwrap_err();
        assert_eq!(missing, "CEL runtime error: no such key: missing");
        assert!(
            matches("device.driver").unwrap_err().starts_with("CEL compile error: must evaluate to bool")
        );
        assert!(matches("device.nothing").unwrap_err().contains("undefined field 'nothing'"));
    }
}
