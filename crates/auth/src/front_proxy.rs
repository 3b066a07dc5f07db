//! Front proxies: API servers in front of this one that have found out who asks, and say so by headers.
//!
//! They are believed for their certificate alone: one of the front proxies' authority, which signs nothing else, with the
//! common name of a front proxy.

use std::collections::BTreeMap;

use crate::impersonation::extra_key;
use crate::pki::FRONT_PROXY_CLIENT;
use crate::user::UserInfo;

const USER: &str = "x-remote-user";
const UID: &str = "x-remote-uid";
const GROUP: &str = "x-remote-group";
const EXTRA: &str = "x-remote-extra-";

/// The authority of front proxies' certificates, in DER.
#[derive(Debug)]
pub(crate) struct FrontProxy {
    authority: Vec<u8>,
}

impl FrontProxy {
    pub(crate) fn new(authority: Vec<u8>) -> Self {
        Self { authority }
    }

    /// Whether the authority signed this certificate.
    pub(crate) fn issued(&self, certificate: &[u8]) -> bool {
        let Ok((_, authority)) = x509_parser::parse_x509_certificate(&self.authority) else { return false };
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
        certificate.issuer().as_raw() == authority.subject().as_raw()
            && certificate.verify_signature(Some(authority.public_key())).is_ok()
    }

    /// The user that the headers name. `certificate` is one that the authority issued.
    pub(crate) fn user<'a>(
        &self,
        certificate: &[u8],
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<UserInfo> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
        if name != FRONT_PROXY_CLIENT {
            return None;
        }
        let mut user = UserInfo::default();
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            match name {
                USER if user.name.is_empty() => value.trim().clone_into(&mut user.name),
                UID if user.uid.is_empty() => value.trim().clone_into(&mut user.uid),
                GROUP => user.groups.push(value.to_owned()),
                _ => {
                    if let Some(key) = name.strip_prefix(EXTRA) {
                        extra.entry(extra_key(key)).or_default().push(value.to_owned());
                    }
                }
            }
        }
        user.extra = extra;
        (!user.name.is_empty()).then_some(user)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pki::Authority;

    #[test]
    fn only_a_front_proxys_certificate_makes_headers_believed() {
        let authority = Authority::generate("front-proxy-ca").unwrap();
        // The name of an authority is not what makes it one.
        let impostor = Authority::generate("front-proxy-ca").unwrap();
        let proxy = FrontProxy::new(authority.certificate_der().to_vec());
        let certificate = |authority: &Authority, name: &str| {
            let issued = authority.issue_client(name, &["system:masters"], Duration::from_secs(600));
            issued.unwrap().certificate_der().unwrap()
        };
        let headers = [
            ("x-remote-user", "ann"),
            ("x-remote-group", "devs"),
            ("x-remote-group", "ops"),
            ("x-remote-extra-example.com%2fteam", "blue"),
            ("accept", "*/*"),
        ];
        let own = certificate(&authority, FRONT_PROXY_CLIENT);
        assert!(proxy.issued(&own) && !proxy.issued(&certificate(&impostor, FRONT_PROXY_CLIENT)));
        let user = proxy.user(&own, headers.into_iter()).unwrap();
        assert_eq!(
            (user.name.as_str(), &user.groups[..]),
            ("ann", &["devs".to_owned(), "ops".to_owned()][..])
        );
        assert_eq!(user.extra["example.com/team"], ["blue"]);
        assert_eq!(proxy.user(&certificate(&authority, "other"), headers.into_iter()), None);
        assert_eq!(proxy.user(&own, std::iter::empty()), None);
    }
}
