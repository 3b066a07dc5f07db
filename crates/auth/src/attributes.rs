//! What a request wants, and whether it may.

use std::fmt;

use async_trait::async_trait;
use drydock_machinery::Status;
use drydock_machinery::status::{Reason, StatusDetails};

use crate::user::UserInfo;

/// What authorizers look at. Borrowed from the request: building it allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    pub user: &'a UserInfo,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or any other word for
    /// virtual verbs; the lower-case HTTP method for non-resource paths.
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub name: &'a str,
    pub namespace: &'a str,
    /// The URL's path; what decides when the request is not about a resource.
    pub path: &'a str,
    pub is_resource: bool,
    /// The request's `fieldSelector`, "" when there is none. The node authorizer reads it.
    pub field_selector: &'a str,
    /// The request's `labelSelector`, "" when there is none.
    pub label_selector: &'a str,
}

impl<'a> Attributes<'a> {
    /// A request about a path that is no resource.
    pub fn path(user: &'a UserInfo, verb: &'a str, path: &'a str) -> Self {
        Self { path, verb, is_resource: false, ..Self::resource(user, verb, "", "") }
    }

    /// A request about a resource; set the rest with struct update syntax.
    pub fn resource(user: &'a UserInfo, verb: &'a str, group: &'a str, resource: &'a str) -> Self {
        Self {
            user,
            verb,
            group,
            version: "*",
            resource,
            subresource: "",
            name: "",
            namespace: "",
            path: "",
            is_resource: true,
            field_selector: "",
            label_selector: "",
        }
    }

    pub fn is_read_only(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// The 403 that upstream answers when nobody allows the request.
    pub fn forbidden(&self, reason: &str) -> Status {
        let mut why = self.denial();
        if !reason.is_empty() {
            why.push_str(": ");
            why.push_str(reason);
        }
        if !self.is_resource {
            return Status::new(403, Reason::Forbidden, format!("forbidden: {why}"))
                .with_details(StatusDetails::default());
        }
        let (resource, group) = (self.resource, self.group);
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let message = if self.name.is_empty() {
            format!("{qualified} is forbidden: {why}")
        } else {
            format!("{qualified} {:?} is forbidden: {why}", self.name)
        };
        Status::new(403, Reason::Forbidden, message).with_details(StatusDetails {
            name: self.name.to_owned(),
            group: group.to_owned(),
            kind: resource.to_owned(),
            ..StatusDetails::default()
        })
    }

    fn denial(&self) -> String {
        let user = &self.user.name;
        if !self.is_resource {
            return format!("User {user:?} cannot {} path {:?}", self.verb, self.path);
        }
        let what = Joined(self.resource, self.subresource);
        let scope = if self.namespace.is_empty() {
            " at the cluster scope".to_owned()
        } else {
            format!(" in the namespace {:?}", self.namespace)
        };
        let verb = self.verb;
        format!("User {user:?} cannot {verb} resource \"{what}\" in API group {:?}{scope}", self.group)
    }
}

struct Joined<'a>(&'a str, &'a str);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if !self.1.is_empty() {
            write!(f, "/{}", self.1)?;
        }
        Ok(())
    }
}

/// The whole chain of authorizers, of which some may be on other machines.
#[async_trait]
pub trait Ask: Send + Sync {
    async fn ask(&self, attributes: &Attributes<'_>) -> Decision;
}

/// Functions that decide at once.
#[async_trait]
impl<F: Fn(&Attributes<'_>) -> Decision + Send + Sync> Ask for F {
    async fn ask(&self, attributes: &Attributes<'_>) -> Decision {
        self(attributes)
    }
}

/// What an authorizer thinks of a request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow {
        reason: String,
    },
    /// Refused, whatever other authorizers say.
    Deny {
        reason: String,
        /// As that of [`Decision::NoOpinion`].
        evaluation_error: String,
    },
    /// Not for this authorizer to say. Refused when no other allows it.
    NoOpinion {
        reason: String,
        /// What kept an authorizer from deciding, such as a server that does not answer; "" when nothing did.
        evaluation_error: String,
    },
}

impl Decision {
    pub fn allow(reason: impl Into<String>) -> Self {
        Self::Allow { reason: reason.into() }
    }

    pub fn no_opinion(reason: impl Into<String>) -> Self {
        Self::NoOpinion { reason: reason.into(), evaluation_error: String::new() }
    }

    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } | Self::Deny { reason, .. } | Self::NoOpinion { reason, .. } => reason,
        }
    }

    /// What kept an authorizer from deciding; "" when nothing did.
    pub fn evaluation_error(&self) -> &str {
        match self {
            Self::Allow { .. } => "",
            Self::Deny { evaluation_error, .. } | Self::NoOpinion { evaluation_error, .. } => {
                evaluation_error
            }
        }
    }

    /// # Errors
    /// Unless the decision is to allow: 500 when somebody could not be asked, else the 403 for `attributes`.
    pub fn into_result(self, attributes: &Attributes<'_>) -> Result<(), Status> {
        match self {
            Self::Allow { .. } => Ok(()),
            refused if !refused.evaluation_error().is_empty() => {
                Err(Status::internal(refused.evaluation_error()))
            }
            refused => Err(attributes.forbidden(refused.reason())),
        }
    }
}
