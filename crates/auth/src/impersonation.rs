//! Acting as someone else: `Impersonate-*` headers and what they demand.
//!
//! As upstream since 1.36, a requestor may impersonate under a constraint (`impersonate:<mode>` on who, and
//! `impersonate-on:<mode>:<verb>` on what) or without (`impersonate`). Modes are tried in order, but first the one by
//! which the requestor last succeeded; when none allows it, the answer is that of the first that was tried.

use std::collections::HashMap;

use drydock_machinery::Status;
use drydock_machinery::go_text::path_unescape;
use parking_lot::Mutex;

use crate::attributes::{Ask, Attributes};
use crate::tokens::NODE_NAME;
use crate::user::{
    GROUP_AUTHENTICATED, GROUP_MASTERS, GROUP_NODES, GROUP_UNAUTHENTICATED, NODE_PREFIX, USER_ANONYMOUS,
    UserInfo,
};

const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user that a request's headers ask to be. Header names are in lower case. None when they ask for nothing.
///
/// # Errors
/// 400 when groups, a UID or extra are asked for, but no user.
pub fn wanted_user<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Option<UserInfo>, Status> {
    let mut wanted = UserInfo::default();
    let mut is_asked = false;
    // Of a header that comes more than once, the first counts.
    let (mut user, mut uid) = (None, None);
    for (name, value) in headers {
        match name {
            "impersonate-user" => {
                user.get_or_insert(value);
            }
            "impersonate-uid" => {
                uid.get_or_insert(value);
            }
            "impersonate-group" => wanted.groups.push(value.to_owned()),
            _ => match name.strip_prefix("impersonate-extra-") {
                Some(key) => wanted.extra.entry(extra_key(key)).or_default().push(value.to_owned()),
                None => continue,
            },
        }
        is_asked = true;
    }
    user.unwrap_or("").clone_into(&mut wanted.name);
    uid.unwrap_or("").clone_into(&mut wanted.uid);
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    let says_something = !wanted.uid.is_empty() || !wanted.groups.is_empty() || !wanted.extra.is_empty();
    if is_asked && says_something {
        return Err(Status::bad_request(nameless(&wanted)));
    }
    Ok(None)
}

/// Shows the user as Go's `%#v` does.
fn nameless(wanted: &UserInfo) -> String {
    let strings = |of: &[String]| {
        let shown: Vec<String> = of.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", shown.join(", "))
    };
    let groups = if wanted.groups.is_empty() { "[]string(nil)".to_owned() } else { strings(&wanted.groups) };
    let extra: Vec<String> =
        wanted.extra.iter().map(|(key, values)| format!("{key:?}:{}", strings(values))).collect();
    let extra = if extra.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", extra.join(", ")) };
    format!(
        "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:map[string][]string{extra}}} without \
         impersonating a user name",
        wanted.uid
    )
}

/// By which mode each requestor last succeeded. It only changes the order in which modes are tried.
#[derive(Debug, Default)]
pub struct LastModes(Mutex<HashMap<String, Mode>>);

impl LastModes {
    const MAX: usize = 10_000;

    fn of(&self, requestor: &str) -> Option<Mode> {
        self.0.lock().get(requestor).copied()
    }

    fn remember(&self, requestor: &str, mode: Mode) {
        let mut modes = self.0.lock();
        if modes.len() >= Self::MAX {
            modes.clear();
        }
        modes.insert(requestor.to_owned(), mode);
    }
}

/// Who a request goes on as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonated {
    pub user: UserInfo,
    /// What the sender was allowed to impersonate by: `impersonate:user-info`; "" without a constraint.
    pub constraint: String,
}

/// Who the request goes on as, when its sender (`attributes.user`) may be `wanted`.
///
/// # Errors
/// The 403 that names what the sender may not do.
pub async fn impersonate(
    authorize: &dyn Ask,
    last: &LastModes,
    wanted: &UserInfo,
    attributes: &Attributes<'_>,
) -> Result<Impersonated, Status> {
    let mut first = None;
    let requestor = attributes.user;
    let preferred = last.of(&requestor.name);
    let others = MODES.into_iter().filter(|mode| Some(*mode) != preferred);
    for mode in preferred.into_iter().chain(others) {
        if !mode.applies(wanted, requestor) {
            continue;
        }
        match mode.check(authorize, wanted, attributes).await {
            Ok(user) => {
                last.remember(&requestor.name, mode);
                return Ok(Impersonated { user, constraint: mode.constraint() });
            }
            Err(status) => {
                first.get_or_insert(status);
            }
        }
    }
    Err(first.unwrap_or_else(|| attributes.forbidden("all impersonation modes failed")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    fn applies(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        let node = wanted.name.strip_prefix(NODE_PREFIX).filter(|name| !name.is_empty());
        let account = wanted.as_service_account();
        match self {
            Self::AssociatedNode => {
                let own = requestor.extra.get(NODE_NAME).and_then(|names| names.first()).map(String::as_str);
                only_name && node.is_some() && requestor.as_service_account().is_some() && own == node
            }
            Self::ArbitraryNode => only_name && node.is_some(),
            Self::ServiceAccount => only_name && account.is_some(),
            Self::UserInfo => node.is_none() && account.is_none(),
            Self::Legacy => true,
        }
    }

    fn constraint(self) -> String {
        if self == Self::Legacy { String::new() } else { format!("impersonate:{}", self.name()) }
    }

    async fn check(
        self,
        authorize: &dyn Ask,
        wanted: &UserInfo,
        attributes: &Attributes<'_>,
    ) -> Result<UserInfo, Status> {
        let (verb, group) = if self == Self::Legacy {
            ("impersonate".to_owned(), "")
        } else {
            let on = format!("impersonate-on:{}:{}", self.name(), attributes.verb);
            check(authorize, &Attributes { verb: &on, ..*attributes }).await?;
            (self.constraint(), AUTHENTICATION)
        };
        let about = |group: &'static str, resource: &'static str| {
            Attributes::resource(attributes.user, &verb, group, resource)
        };

        let mut user = wanted.clone();
        self.check_name(authorize, wanted, &mut user, about(group, "users")).await?;
        if !wanted.uid.is_empty() {
            check(authorize, &Attributes { name: &wanted.uid, ..about(AUTHENTICATION, "uids") }).await?;
        }
        let groups = about(group, "groups");
        if self != Self::Legacy && wanted.is_in_group(GROUP_MASTERS) {
            let why = "impersonating the system:masters group is not allowed";
            return Err(Attributes { name: GROUP_MASTERS, ..groups }.forbidden(why));
        }
        for name in &wanted.groups {
            check(authorize, &Attributes { name, ..groups }).await?;
        }
        for (key, values) in &wanted.extra {
            for value in values {
                let extra = about(AUTHENTICATION, "userextras");
                check(authorize, &Attributes { subresource: key, name: value, ..extra }).await?;
            }
        }
        complete_groups(&mut user);
        Ok(user)
    }

    async fn check_name(
        self,
        authorize: &dyn Ask,
        wanted: &UserInfo,
        user: &mut UserInfo,
        users: Attributes<'_>,
    ) -> Result<(), Status> {
        if let Some((namespace, name)) = wanted.as_service_account() {
            if wanted.groups.is_empty() {
                user.groups = UserInfo::service_account(namespace, name).groups;
            }
            let account = Attributes { resource: "serviceaccounts", namespace, name, ..users };
            return check(authorize, &account).await;
        }
        match wanted.name.strip_prefix(NODE_PREFIX) {
            Some(node) if matches!(self, Self::AssociatedNode | Self::ArbitraryNode) => {
                user.groups = vec![GROUP_NODES.to_owned()];
                let name = if self == Self::AssociatedNode { "*" } else { node };
                check(authorize, &Attributes { resource: "nodes", name, ..users }).await
            }
            _ => check(authorize, &Attributes { name: &wanted.name, ..users }).await,
        }
    }
}

async fn check(authorize: &dyn Ask, attributes: &Attributes<'_>) -> Result<(), Status> {
    authorize.ask(attributes).await.into_result(attributes)
}

fn complete_groups(user: &mut UserInfo) {
    let group = if user.name == USER_ANONYMOUS { GROUP_UNAUTHENTICATED } else { GROUP_AUTHENTICATED };
    if !user.is_in_group(group) && !user.is_in_group(GROUP_UNAUTHENTICATED) {
        user.groups.push(group.to_owned());
    }
}

/// The key that a header's name ends in; what is malformed stays as it is.
pub(crate) fn extra_key(escaped: &str) -> String {
    path_unescape(escaped).unwrap_or_else(|| escaped.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Decision;

    fn deny(_: &Attributes<'_>) -> Decision {
        Decision::no_opinion("")
    }

    #[test]
    fn headers_make_a_user() {
        let user = wanted_user([
            ("impersonate-user", "ann"),
            ("impersonate-group", "devs"),
            ("impersonate-extra-example.com%2fteam", "blue"),
            ("impersonate-user", "bob"),
            ("accept", "*/*"),
        ]);
        let user = user.unwrap().unwrap();
        assert_eq!(user.name, "ann");
        assert_eq!(user.extra["example.com/team"], ["blue"]);
        assert_eq!(wanted_user([("accept", "*/*")]).unwrap(), None);
        let refused = wanted_user([("impersonate-group", "devs")]).unwrap_err();
        assert_eq!(refused.code, 400);
        assert!(refused.message.contains("Groups:[]string{\"devs\"}, Extra:map[string][]string(nil)}"));
    }

    #[tokio::test]
    async fn a_refusal_names_the_first_mode_that_applies() {
        let anonymous = UserInfo::anonymous();
        let attributes =
            Attributes { namespace: "ns", ..Attributes::resource(&anonymous, "list", "", "pods") };
        let wanted = UserInfo::new("admin", &[]);
        let refused = impersonate(&deny, &LastModes::default(), &wanted, &attributes).await.unwrap_err();
        assert_eq!(
            refused.message,
            "pods is forbidden: User \"system:anonymous\" cannot impersonate-on:user-info:list resource \"pods\" in API \
             group \"\" in the namespace \"ns\""
        );
    }

    #[tokio::test]
    async fn the_mode_that_last_succeeded_is_tried_first() {
        let legacy_users = |attributes: &Attributes<'_>| match (attributes.verb, attributes.resource) {
            ("impersonate", "users") => Decision::allow(""),
            _ => Decision::no_opinion(""),
        };
        let sender = UserInfo::new("bob", &[]);
        let attributes = Attributes { namespace: "ns", ..Attributes::resource(&sender, "list", "", "pods") };
        let last = LastModes::default();
        impersonate(&legacy_users, &last, &UserInfo::new("ann", &[]), &attributes).await.unwrap();
        let wanted = UserInfo::new("ann", &["devs"]);
        let refused = impersonate(&legacy_users, &last, &wanted, &attributes).await.unwrap_err();
        assert!(refused.message.starts_with("groups \"devs\" is forbidden"), "{}", refused.message);
    }

    #[tokio::test]
    async fn groups_are_completed() {
        let allow = |_: &Attributes<'_>| Decision::allow("");
        let admin = UserInfo::new("admin", &["system:masters"]);
        let attributes = Attributes::resource(&admin, "list", "", "pods");
        let check = async |wanted: UserInfo, groups: &[&str]| {
            let impersonated =
                impersonate(&allow, &LastModes::default(), &wanted, &attributes).await.unwrap();
            assert_eq!(impersonated.user.groups, groups);
        };
        check(UserInfo::new("ann", &[]), &["system:authenticated"]).await;
        check(UserInfo::new("ann", &["devs"]), &["devs", "system:authenticated"]).await;
        check(UserInfo::new("system:anonymous", &[]), &["system:unauthenticated"]).await;
        check(
            UserInfo::new("system:serviceaccount:ns:sa", &[]),
            &["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
        )
        .await;
        check(UserInfo::new("ann", &["system:masters"]), &["system:masters", "system:authenticated"]).await;
    }
}
