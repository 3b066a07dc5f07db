//! Whether a certificate and a key belong together, in the words of Go's `tls.X509KeyPair`.
//!
//! Deliberately absent: what Go's parser of certificates says in detail of a malformed one.

use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use drydock_machinery::decode::base64_decode;
use x509_parser::asn1_rs::{FromDer as _, Integer, OctetString, Oid, Sequence};
use x509_parser::oid_registry::{
    OID_KEY_TYPE_EC_PUBLIC_KEY as ELLIPTIC, OID_PKCS1_RSAENCRYPTION as RSA, OID_SIG_ED25519 as ED25519,
};

/// The numbers of an RSA key that its public half has.
#[derive(PartialEq)]
struct RsaNumbers(Vec<u8>, Vec<u8>);

enum Private {
    Rsa(RsaNumbers),
    /// As SEC 1 or PKCS #8 has it.
    Elliptic(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// # Errors
/// Why they are no pair.
pub(super) fn key_pair(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let leaf = first_certificate(certificate)?;
    let key = first_key(key)?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).map_err(|_| "x509: malformed certificate")?;
    let private = private_key(&key)?;
    let public = leaf.public_key();
    let bits = &*public.subject_public_key.data;
    let other_type = || Err("tls: private key type does not match public key type".to_owned());
    let fits = match (&public.algorithm.algorithm, &private) {
        (of, Private::Rsa(numbers)) if *of == RSA => public_rsa(bits).is_none_or(|own| own == *numbers),
        (of, Private::Elliptic(der)) if *of == ELLIPTIC => elliptic_fits(der, bits),
        (of, Private::Ed25519(der)) if *of == ED25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map_or(true, |pair| pair.public_key().as_ref() == bits),
        (of, _) if [RSA, ELLIPTIC, ED25519].contains(of) => return other_type(),
        _ => return Err("tls: unknown public key algorithm".to_owned()),
    };
    if fits { Ok(()) } else { Err("tls: private key does not match public key".to_owned()) }
}

fn first_certificate(text: &[u8]) -> Result<Vec<u8>, String> {
    let blocks = blocks(text);
    let skipped: Vec<&str> = blocks.iter().map(|(kind, _)| kind.as_str()).collect();
    if let Some((_, der)) = blocks.iter().find(|(kind, _)| kind == "CERTIFICATE") {
        return Ok(der.clone());
    }
    Err(match skipped.as_slice() {
        [] => "tls: failed to find any PEM data in certificate input".to_owned(),
        [one] if one.ends_with("PRIVATE KEY") => {
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM \
             inputs may have been switched"
                .to_owned()
        }
        _ => format!(
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the \
             following types: [{}]",
            skipped.join(" ")
        ),
    })
}

fn first_key(text: &[u8]) -> Result<Vec<u8>, String> {
    let blocks = blocks(text);
    let is_key = |kind: &str| kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY");
    if let Some((_, der)) = blocks.iter().find(|(kind, _)| is_key(kind)) {
        return Ok(der.clone());
    }
    let skipped: Vec<&str> = blocks.iter().map(|(kind, _)| kind.as_str()).collect();
    Err(match skipped.as_slice() {
        [] => "tls: failed to find any PEM data in key input".to_owned(),
        ["CERTIFICATE"] => {
            "tls: found a certificate rather than a key in the PEM for the private key".to_owned()
        }
        _ => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM \
             blocks of the following types: [{}]",
            skipped.join(" ")
        ),
    })
}

/// The well-formed PEM blocks of a text: what they say they are, and what is in them.
fn blocks(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(text);
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let kind = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        let Some(kind) = kind else { continue };
        let end = format!("-----END {kind}-----");
        let mut body = String::new();
        // Headers come first and have a colon.
        let closed = lines.by_ref().any(|line| {
            if !line.contains(':') && line != end {
                body.push_str(line);
            }
            line == end
        });
        if let (true, Ok(der)) = (closed, base64_decode(&body)) {
            found.push((kind.to_owned(), der));
        }
    }
    found
}

/// Go's `parsePrivateKey`: PKCS #1, PKCS #8 or SEC 1, whatever the block is called.
fn private_key(der: &[u8]) -> Result<Private, String> {
    if let Some(numbers) = private_rsa(der) {
        return Ok(Private::Rsa(numbers));
    }
    if let Some((of, inner)) = pkcs8(der) {
        return match () {
            () if of == RSA => private_rsa(&inner).map(Private::Rsa).ok_or_else(unreadable),
            () if of == ELLIPTIC => Ok(Private::Elliptic(der.to_vec())),
            () if of == ED25519 => Ok(Private::Ed25519(der.to_vec())),
            () => Err("tls: found unknown private key type in PKCS#8 wrapping".to_owned()),
        };
    }
    if is_sec1(der) { Ok(Private::Elliptic(der.to_vec())) } else { Err(unreadable()) }
}

fn unreadable() -> String {
    "tls: failed to parse private key".to_owned()
}

/// The numbers of a PKCS #1 `RSAPrivateKey`.
fn private_rsa(der: &[u8]) -> Option<RsaNumbers> {
    let (_, sequence) = Sequence::from_der(der).ok()?;
    let (rest, _version) = Integer::from_der(&sequence.content).ok()?;
    let (rest, modulus) = Integer::from_der(rest).ok()?;
    let (rest, exponent) = Integer::from_der(rest).ok()?;
    Integer::from_der(rest).ok()?;
    Some(RsaNumbers(modulus.as_ref().to_vec(), exponent.as_ref().to_vec()))
}

/// Those of an `RSAPublicKey`.
fn public_rsa(der: &[u8]) -> Option<RsaNumbers> {
    let (_, sequence) = Sequence::from_der(der).ok()?;
    let (rest, modulus) = Integer::from_der(&sequence.content).ok()?;
    let (_, exponent) = Integer::from_der(rest).ok()?;
    Some(RsaNumbers(modulus.as_ref().to_vec(), exponent.as_ref().to_vec()))
}

/// What algorithm a PKCS #8 `PrivateKeyInfo` is for, and its key.
fn pkcs8(der: &[u8]) -> Option<(Oid<'_>, Vec<u8>)> {
    let (_, sequence) = Sequence::from_der(der).ok()?;
    let content: &[u8] = match &sequence.content {
        std::borrow::Cow::Borrowed(content) => content,
        std::borrow::Cow::Owned(_) => return None,
    };
    let (rest, _version) = Integer::from_der(content).ok()?;
    let (rest, algorithm) = Sequence::from_der(rest).ok()?;
    let (_, key) = OctetString::from_der(rest).ok()?;
    let (_, of) = Oid::from_der(&algorithm.content).ok()?;
    Some((of.to_owned(), key.as_ref().to_vec()))
}

/// Whether it is an `ECPrivateKey`.
fn is_sec1(der: &[u8]) -> bool {
    let read = || {
        let (_, sequence) = Sequence::from_der(der).ok()?;
        let (rest, _version) = Integer::from_der(&sequence.content).ok()?;
        OctetString::from_der(rest).ok().map(|_| ())
    };
    read().is_some()
}

/// A key of a curve that is not known here is believed to fit.
fn elliptic_fits(der: &[u8], public: &[u8]) -> bool {
    const CURVES: [&EcdsaSigningAlgorithm; 3] = [
        &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
    ];
    let pair = CURVES.iter().find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, der).ok());
    pair.is_none_or(|pair| pair.public_key().as_ref() == public)
}
