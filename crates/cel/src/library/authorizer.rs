//! Authorization checks: Kubernetes' `library/authz.go`. Who is allowed what, the caller's [`Authorizer`] knows.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ecow::EcoString;

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::value::{Opaque, Value};

/// Decides checks that expressions ask for.
pub trait Authorizer: fmt::Debug + Send + Sync {
    fn authorize(&self, subject: &Subject, check: &Check) -> Decision;
}

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The user of the request.
    Requester,
    ServiceAccount {
        namespace: EcoString,
        name: EcoString,
    },
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A request to a path that is no resource; the verb is HTTP's, in lower case as written.
    Path {
        path: EcoString,
        verb: EcoString,
    },
    Resource {
        attributes: ResourceAttributes,
        verb: EcoString,
    },
}

/// A resource that is asked about. Empty is unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    pub group: EcoString,
    pub resource: EcoString,
    pub subresource: EcoString,
    pub namespace: EcoString,
    pub name: EcoString,
    /// Unparsed. One that does not parse is to be ignored, as authorizers do.
    pub field_selector: EcoString,
    pub label_selector: EcoString,
}

/// The answer to a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// The variable `authorizer`.
#[derive(Clone, Debug)]
pub struct AuthorizerValue {
    authorizer: Arc<dyn Authorizer>,
    subject: Subject,
}

impl AuthorizerValue {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer, subject: Subject::Requester }
    }

    /// The variable `authorizer.requestResource`.
    pub fn resource(&self, attributes: ResourceAttributes) -> Value {
        Value::opaque(ResourceCheck { authorizer: self.clone(), attributes })
    }
}

#[derive(Clone, Debug)]
struct PathCheck {
    authorizer: AuthorizerValue,
    path: EcoString,
}

#[derive(Clone, Debug)]
struct GroupCheck {
    authorizer: AuthorizerValue,
    group: EcoString,
}

#[derive(Clone, Debug)]
struct ResourceCheck {
    authorizer: AuthorizerValue,
    attributes: ResourceAttributes,
}

macro_rules! opaque {
    ($($type:ty => $name:literal),* $(,)?) => {$(
        impl Opaque for $type {
            fn type_name(&self) -> &str {
                $name
            }

            fn equals(&self, _other: &dyn Opaque) -> Result<bool, EvalError> {
                Err(EvalError::no_such_overload())
            }

            fn as_any(&self) -> &dyn Any {
                self
            }
        }
    )*};
}
opaque! {
    AuthorizerValue => "kubernetes.authorization.Authorizer",
    PathCheck => "kubernetes.authorization.PathCheck",
    GroupCheck => "kubernetes.authorization.GroupCheck",
    ResourceCheck => "kubernetes.authorization.ResourceCheck",
    Decision => "kubernetes.authorization.Decision",
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("path", |_, args| {
        let (authorizer, path) = with_text::<AuthorizerValue>("path", args)?;
        let path = not_empty("path", path)?;
        Ok(Value::opaque(PathCheck { authorizer: authorizer.clone(), path }))
    }),
    ("group", |_, args| {
        let (authorizer, group) = with_text::<AuthorizerValue>("group", args)?;
        Ok(Value::opaque(GroupCheck { authorizer: authorizer.clone(), group: group.clone() }))
    }),
    ("serviceAccount", |_, args| service_account(args)),
    ("resource", |_, args| {
        let (check, resource) = with_text::<GroupCheck>("resource", args)?;
        let resource = not_empty("resource", resource)?;
        let attributes =
            ResourceAttributes { group: check.group.clone(), resource, ..ResourceAttributes::default() };
        Ok(check.authorizer.resource(attributes))
    }),
    ("subresource", |_, args| set("subresource", args, |attributes| &mut attributes.subresource)),
    ("namespace", |_, args| set("namespace", args, |attributes| &mut attributes.namespace)),
    ("name", |_, args| set("name", args, |attributes| &mut attributes.name)),
    ("fieldSelector", |_, args| set("fieldSelector", args, |attributes| &mut attributes.field_selector)),
    ("labelSelector", |_, args| set("labelSelector", args, |attributes| &mut attributes.label_selector)),
    ("check", |_, args| check(args)),
    ("allowed", |_, args| decision("allowed", args).map(|decision| Value::Bool(decision.allowed))),
    ("errored", |_, args| decision("errored", args).map(|decision| Value::Bool(decision.error.is_some()))),
    ("error", |_, args| {
        decision("error", args).map(|decision| Value::from(decision.error.as_deref().unwrap_or_default()))
    }),
    ("reason", |_, args| decision("reason", args).map(|decision| Value::from(decision.reason.as_str()))),
];

fn with_text<'a, T: Opaque>(function: &str, args: &'a [Value]) -> Result<(&'a T, &'a EcoString), EvalError> {
    match args {
        [receiver, Value::String(text)] => {
            receiver.downcast::<T>().map(|value| (value, text)).ok_or_else(|| no_overload(function, args))
        }
        _ => Err(no_overload(function, args)),
    }
}

fn not_empty(what: &str, text: &EcoString) -> Result<EcoString, EvalError> {
    if text.trim().is_empty() {
        return Err(EvalError::new(format!("{what} must not be empty")));
    }
    Ok(text.clone())
}

fn service_account(args: &[Value]) -> Result<Value, EvalError> {
    let [receiver, Value::String(namespace), Value::String(name)] = args else {
        return Err(no_overload("serviceAccount", args));
    };
    let authorizer: &AuthorizerValue =
        receiver.downcast().ok_or_else(|| no_overload("serviceAccount", args))?;
    let is_name = name.len() <= 253 && name.split('.').all(is_label);
    if !is_name {
        return Err(EvalError::new("Invalid service account name"));
    }
    if namespace.len() > 63 || !is_label(namespace) {
        return Err(EvalError::new("Invalid service account namespace"));
    }
    let subject = Subject::ServiceAccount { namespace: namespace.clone(), name: name.clone() };
    Ok(Value::opaque(AuthorizerValue { authorizer: authorizer.authorizer.clone(), subject }))
}

/// A DNS label, of any length.
fn is_label(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|b| edge(*b) || *b == b'-')
        && bytes.first().is_some_and(|b| edge(*b))
        && bytes.last().is_some_and(|b| edge(*b))
}

fn set(
    function: &str,
    args: &[Value],
    field: fn(&mut ResourceAttributes) -> &mut EcoString,
) -> Result<Value, EvalError> {
    let (check, text) = with_text::<ResourceCheck>(function, args)?;
    let mut changed = check.clone();
    *field(&mut changed.attributes) = text.clone();
    Ok(Value::opaque(changed))
}

fn check(args: &[Value]) -> Result<Value, EvalError> {
    let [receiver, Value::String(verb)] = args else { return Err(no_overload("check", args)) };
    let verb = verb.clone();
    let (authorizer, check) = if let Some(check) = receiver.downcast::<PathCheck>() {
        (&check.authorizer, Check::Path { path: check.path.clone(), verb })
    } else if let Some(check) = receiver.downcast::<ResourceCheck>() {
        (&check.authorizer, Check::Resource { attributes: check.attributes.clone(), verb })
    } else {
        return Err(no_overload("check", args));
    };
    Ok(Value::opaque(authorizer.authorizer.authorize(&authorizer.subject, &check)))
}

fn decision<'a>(function: &str, args: &'a [Value]) -> Result<&'a Decision, EvalError> {
    match args {
        [value] => value.downcast().ok_or_else(|| no_overload(function, args)),
        _ => Err(no_overload(function, args)),
    }
}
