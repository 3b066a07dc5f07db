//! What approvers and signers may do to a certificate request.

use crate::common::{Kind, change_errors, stored, updated};
use drydock_machinery::decode::base64_encode;
use drydock_machinery::{Value, value};

const REQUEST: Kind = ("certificates.k8s.io", "v1", "certificatesigningrequests");
const PEM: &str =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
/// `-----BEGIN CERTIFICATE-----` and its end.
const EMPTY: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
/// The same with three bytes between.
const MALFORMED: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    base64_encode(certificate.pem().as_bytes())
}

fn condition(kind: &str, reason: &str) -> Value {
    value!({"type": kind, "status": "True", "reason": reason, "lastUpdateTime": "2024-01-01T00:00:00Z",
        "lastTransitionTime": "2024-01-01T00:00:00Z"})
}

fn request(conditions: Vec<Value>) -> Value {
    let mut request = value!({"metadata": {"name": "r"}, "spec": {"request": PEM, "signerName": "example.com/s",
        "usages": ["client auth"]}});
    request.set(&["status", "conditions"], conditions);
    stored(REQUEST, &request)
}

fn set(conditions: Vec<Value>) -> impl FnOnce(&mut Value) {
    move |request| request.set(&["status", "conditions"], conditions)
}

#[test]
fn what_was_said_of_a_request_is_not_taken_back() {
    for kind in ["Approved", "Denied", "Failed"] {
        let old = request(vec![condition(kind, "r")]);
        let removed =
            format!("status.conditions: Forbidden: updates may not remove a condition of type {kind:?}");
        for subresource in ["approval", "status"] {
            assert_eq!(change_errors(REQUEST, subresource, &old, set(Vec::new())), [removed.as_str()]);
            let gone = |request: &mut Value| drop(request.remove(&["status", "conditions"]));
            assert_eq!(change_errors(REQUEST, subresource, &old, gone), [removed.as_str()]);
        }
        // Whoever writes the whole writes no status.
        assert_eq!(change_errors(REQUEST, "", &old, set(Vec::new())), [""; 0]);
    }
}

#[test]
fn only_an_approval_approves() {
    let old = request(Vec::new());
    let approved = || set(vec![condition("Approved", "r")]);
    assert_eq!(change_errors(REQUEST, "approval", &old, approved()), [""; 0]);
    let expected = ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""];
    assert_eq!(change_errors(REQUEST, "status", &old, approved()), expected);
    let both = set(vec![condition("Approved", "r"), condition("Denied", "r")]);
    let expected = [
        "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
    ];
    assert_eq!(change_errors(REQUEST, "approval", &old, both), expected);
}

#[test]
fn a_signer_leaves_the_approval_as_it_is() {
    let old = request(vec![condition("Approved", "mine")]);
    let new = updated(REQUEST, "status", &old, set(vec![condition("Approved", "other")]));
    assert_eq!(new, old);
    let new = updated(REQUEST, "approval", &old, |request| {
        request.set(&["status", "certificate"], certificate());
        request.set(&["spec", "signerName"], "example.com/other");
        request.set(&["status", "conditions"], vec![condition("Approved", "other")]);
    });
    assert_eq!(new.at(&["status", "certificate"]), None);
    assert_eq!(new.str_at(&["spec", "signerName"]), "example.com/s");
    assert_eq!(new.array_at(&["status", "conditions"])[0].str_at(&["reason"]), "other");
}

#[test]
fn a_certificate_is_written_once() {
    let mut old = request(Vec::new());
    let write = |text: &str| {
        let text = text.to_owned();
        move |request: &mut Value| request.set(&["status", "certificate"], text)
    };
    assert_eq!(change_errors(REQUEST, "status", &old, write(&certificate())), [""; 0]);
    let wrong = "status.certificate: Invalid value: \"<certificate data>\": ";
    assert_eq!(
        change_errors(REQUEST, "status", &old, write(PEM)),
        [format!("{wrong}only CERTIFICATE PEM blocks are allowed, found \"CERTIFICATE REQUEST\"")]
    );
    assert_eq!(
        change_errors(REQUEST, "status", &old, write("eA==")),
        [format!("{wrong}must contain at least one CERTIFICATE PEM block")]
    );
    for (text, why) in [
        (EMPTY, "found CERTIFICATE PEM block containing 0 certificates"),
        (MALFORMED, "x509: malformed certificate"),
    ] {
        assert_eq!(change_errors(REQUEST, "status", &old, write(text)), [format!("{wrong}{why}")]);
    }
    old.set(&["status", "certificate"], certificate());
    assert_eq!(
        change_errors(REQUEST, "status", &old, write(&certificate())),
        ["status.certificate: Forbidden: updates may not modify existing certificate content"]
    );
}
