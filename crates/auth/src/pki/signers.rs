//! The signers that every cluster has, and what each of them signs: upstream's rules and words.

use std::time::Duration;

use super::{CertificateRequest, ClusterPki, PkiError, Usage, parse_request};
use crate::user::{GROUP_MASTERS, GROUP_NODES, NODE_PREFIX};

/// A year, upstream's `--cluster-signing-duration`.
const DEFAULT_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

impl ClusterPki {
    /// Signs a CertificateSigningRequest: `pem` is its decoded `spec.request`, `usages` are its `spec.usages`. Answers the
    /// certificate in PEM.
    ///
    /// # Errors
    /// When this signer does not sign such requests, in upstream's words; the request fails for good then.
    pub fn sign(
        &self,
        signer: &str,
        pem: &str,
        usages: &[&str],
        good_for: Option<Duration>,
    ) -> Result<String, PkiError> {
        let request = parse_request(pem)?;
        check(signer, &request, usages).map_err(PkiError::Request)?;
        let parsed = usages
            .iter()
            .map(|usage| {
                Usage::parse(usage).ok_or_else(|| PkiError::Request(format!("unknown usage {usage:?}")))
            })
            .collect::<Result<Vec<Usage>, PkiError>>()?;
        let good_for = good_for.map_or(DEFAULT_DURATION, |asked| asked.min(DEFAULT_DURATION));
        self.cluster.sign_request(&request, &parsed, good_for)
    }
}

fn check(signer: &str, request: &CertificateRequest, usages: &[&str]) -> Result<(), String> {
    match signer {
        "kubernetes.io/kube-apiserver-client" => check_client(request, usages),
        "kubernetes.io/kube-apiserver-client-kubelet" => {
            check_node(request)?;
            refuse_names(request)?;
            if !request.dns_names.is_empty() {
                return Err("DNS subjectAltNames are not allowed".to_owned());
            }
            if !request.ip_addresses.is_empty() {
                return Err("IP subjectAltNames are not allowed".to_owned());
            }
            check_usages(usages, "client auth")
        }
        "kubernetes.io/kubelet-serving" => {
            check_node(request)?;
            if request.dns_names.is_empty() && request.ip_addresses.is_empty() {
                return Err("DNS or IP subjectAltName is required".to_owned());
            }
            refuse_names(request)?;
            check_usages(usages, "server auth")
        }
        "kubernetes.io/legacy-unknown" => Ok(()),
        other => Err(format!("unrecognized signerName: {other:?}")),
    }
}

fn check_client(request: &CertificateRequest, usages: &[&str]) -> Result<(), String> {
    if request.subject.organizations.iter().any(|group| group == GROUP_MASTERS) {
        return Err(format!(
            "use of kubernetes.io/kube-apiserver-client signer with {GROUP_MASTERS} group is not allowed"
        ));
    }
    let known = ["signing", "digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|usage| !known.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    if usages.contains(&"client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

fn check_node(request: &CertificateRequest) -> Result<(), String> {
    if request.subject.organizations != [GROUP_NODES] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    if !request.subject.common_name.starts_with(NODE_PREFIX) {
        return Err("subject common name does not begin with system:node:".to_owned());
    }
    Ok(())
}

fn refuse_names(request: &CertificateRequest) -> Result<(), String> {
    if !request.email_addresses.is_empty() {
        return Err("Email subjectAltNames are not allowed".to_owned());
    }
    if !request.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed".to_owned());
    }
    Ok(())
}

/// Exactly the purpose and a digital signature; key encipherment is for RSA keys and may be left out.
fn check_usages(usages: &[&str], purpose: &str) -> Result<(), String> {
    let mut sorted: Vec<&str> = usages.iter().copied().filter(|usage| *usage != "key encipherment").collect();
    sorted.sort_unstable();
    let mut wanted = vec![purpose, "digital signature"];
    wanted.sort_unstable();
    if sorted == wanted {
        return Ok(());
    }
    wanted.push("key encipherment");
    wanted.sort_unstable();
    Err(format!("usages did not match [{}]", wanted.join(" ")))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;
    use crate::tokens::SigningKey;

    fn csr(organization: &str, common_name: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn each_signer_signs_what_it_is_for() {
        let pki = ClusterPki::generate(SigningKey::generate_ecdsa().unwrap()).unwrap();
        let check = |signer: &str, csr: &str, usages: &[&str], expected: Result<(), &str>| {
            let signed = pki.sign(&format!("kubernetes.io/{signer}"), csr, usages, None);
            let signed = signed.map(|pem| assert!(pem.starts_with("-----BEGIN CERTIFICATE-----")));
            assert_eq!(signed.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
        };
        let client = ["client auth", "digital signature"];
        let server = ["server auth", "digital signature", "key encipherment"];
        let node = csr("system:nodes", "system:node:a", &[]);
        let serving = csr("system:nodes", "system:node:a", &["a.example"]);
        let ann = csr("devs", "ann", &[]);
        check("kube-apiserver-client", &ann, &client, Ok(()));
        check(
            "kube-apiserver-client",
            &ann,
            &server,
            Err("invalid usage for client certificate: server auth"),
        );
        check("kube-apiserver-client-kubelet", &node, &client, Ok(()));
        check(
            "kube-apiserver-client-kubelet",
            &ann,
            &client,
            Err("subject organization is not system:nodes"),
        );
        check("kube-apiserver-client-kubelet", &serving, &client, Err("DNS subjectAltNames are not allowed"));
        check("kubelet-serving", &serving, &server, Ok(()));
        check("kubelet-serving", &node, &server, Err("DNS or IP subjectAltName is required"));
        let mismatch = "usages did not match [digital signature key encipherment server auth]";
        check("kubelet-serving", &serving, &client, Err(mismatch));
    }
}
