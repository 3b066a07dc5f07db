//! A certificate authority.

use std::time::Duration;

use drydock_runtime::wall;
use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use sha2::{Digest as _, Sha256};

use super::request::CertificateRequest;
use super::template::{Subject, Template, Usage, alternative_names};
use super::{PkiError, der};

/// Clocks of the other side may be a little behind.
const BACKDATE: Duration = Duration::from_secs(300);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A certificate authority with its key.
#[derive(Debug)]
pub struct Authority {
    certificate: Vec<u8>,
    key: KeyPair,
    /// DER of the subject's name.
    name: Vec<u8>,
    key_id: Vec<u8>,
    not_after: Timestamp,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Issued {
    /// # Errors
    /// When the certificate is not PEM.
    pub fn certificate_der(&self) -> Result<Vec<u8>, PkiError> {
        certificate_der(&self.certificate_pem)
    }

    /// From when until when the certificate is good.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn validity(&self) -> Result<(Timestamp, Timestamp), PkiError> {
        let certificate = self.certificate_der()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|why| PkiError::pem("certificate", why))?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|why| PkiError::pem("certificate", why));
        let validity = parsed.validity();
        Ok((time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?))
    }
}

impl Authority {
    /// A new authority, good for ten years.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(common_name: &str) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let name = Subject { common_name: common_name.to_owned(), ..Subject::default() }.to_der();
        let key_id = key_id(&key.subject_public_key_info());
        let not_after = after(YEAR * 10);
        let template = Template {
            serial: serial(),
            subject: name.clone(),
            public_key: &key.subject_public_key_info(),
            not_before: before(BACKDATE),
            not_after,
            usages: &[Usage::DIGITAL_SIGNATURE, Usage::KEY_ENCIPHERMENT, Usage::CERT_SIGN],
            is_ca: true,
            alternative_names: alternative_names(&[common_name.to_owned()]),
            key_id: &key_id,
            authority_key_id: &key_id,
        };
        let certificate = signed(&template, &name, &key)?;
        Ok(Self { certificate, key, name, key_id, not_after })
    }

    /// # Errors
    /// When either is not PEM of the kind it should be.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let certificate = certificate_der(certificate_pem)?;
        let key = KeyPair::from_pem(key_pem).map_err(|why| PkiError::pem("private key", why))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|why| PkiError::pem("certificate", why))?;
        let name = parsed.subject().as_raw().to_vec();
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .map_err(|why| PkiError::pem("certificate", why))?;
        let key_id = key_id(&key.subject_public_key_info());
        Ok(Self { certificate, key, name, key_id, not_after })
    }

    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A serving certificate for DNS names and IP addresses, good for a year. Its key is new.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue_server(&self, common_name: &str, names: &[String]) -> Result<Issued, PkiError> {
        let subject = Subject { common_name: common_name.to_owned(), ..Subject::default() };
        let usages = [Usage::DIGITAL_SIGNATURE, Usage::KEY_ENCIPHERMENT, Usage::SERVER_AUTH];
        self.issue(&subject, &usages, alternative_names(names), YEAR)
    }

    /// A client certificate for a user in groups. Its key is new.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue_client(&self, user: &str, groups: &[&str], good_for: Duration) -> Result<Issued, PkiError> {
        let subject = Subject {
            organizations: groups.iter().map(|&group| group.to_owned()).collect(),
            common_name: user.to_owned(),
        };
        let usages = [Usage::DIGITAL_SIGNATURE, Usage::KEY_ENCIPHERMENT, Usage::CLIENT_AUTH];
        self.issue(&subject, &usages, Vec::new(), good_for)
    }

    fn issue(
        &self,
        subject: &Subject,
        usages: &[Usage],
        alternative_names: Vec<u8>,
        good_for: Duration,
    ) -> Result<Issued, PkiError> {
        let key = KeyPair::generate()?;
        let public_key = key.subject_public_key_info();
        let certificate = self.sign(subject.to_der(), &public_key, usages, alternative_names, good_for)?;
        Ok(Issued { certificate_pem: pem("CERTIFICATE", &certificate), key_pem: key.serialize_pem() })
    }

    /// Signs a request as it is, for the usages given rather than those asked for in it. Answers PEM. The certificate
    /// ends with the authority's at the latest.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        usages: &[Usage],
        good_for: Duration,
    ) -> Result<String, PkiError> {
        let names = request.alternative_names_der.clone();
        let certificate =
            self.sign(request.subject_der.clone(), &request.public_key_der, usages, names, good_for)?;
        Ok(pem("CERTIFICATE", &certificate))
    }

    fn sign(
        &self,
        subject: Vec<u8>,
        public_key: &[u8],
        usages: &[Usage],
        alternative_names: Vec<u8>,
        good_for: Duration,
    ) -> Result<Vec<u8>, PkiError> {
        let template = Template {
            serial: serial(),
            subject,
            public_key,
            not_before: before(BACKDATE),
            not_after: after(good_for).min(self.not_after),
            usages,
            is_ca: false,
            alternative_names,
            key_id: &key_id(public_key),
            authority_key_id: &self.key_id,
        };
        signed(&template, &self.name, &self.key)
    }
}

fn signed(template: &Template<'_>, issuer: &[u8], key: &KeyPair) -> Result<Vec<u8>, PkiError> {
    let algorithm = if key.is_compatible(&rcgen::PKCS_RSA_SHA256) {
        der::sequence(&[&der::oid(&[1, 2, 840, 113_549, 1, 1, 11]), &der::null()])
    } else if key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
        der::sequence(&[&der::oid(&[1, 2, 840, 10_045, 4, 3, 2])])
    } else {
        return Err(PkiError::Key("an authority's key must be RSA or ECDSA P-256".to_owned()));
    };
    let tbs = template.to_der(issuer, &algorithm);
    let signature = key.sign(&tbs)?;
    Ok(der::sequence(&[&tbs, &algorithm, &der::bits(&signature)]))
}

fn serial() -> [u8; 16] {
    let mut serial: [u8; 16] = rand::random();
    // Positive, and never zero.
    serial[0] = serial[0] & 0x7F | 0x01;
    serial
}

/// RFC 7093, method 1: the key's SHA-256, cut to 160 bits.
fn key_id(public_key: &[u8]) -> Vec<u8> {
    Sha256::digest(public_key)[..20].to_vec()
}

fn before(by: Duration) -> Timestamp {
    wall::now().saturating_sub(by).unwrap_or(Timestamp::MIN)
}

fn after(by: Duration) -> Timestamp {
    wall::now().saturating_add(by).unwrap_or(Timestamp::MAX)
}

pub(crate) fn certificate_der(pem: &str) -> Result<Vec<u8>, PkiError> {
    x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes())
        .filter_map(Result::ok)
        .find(|block| block.label == "CERTIFICATE")
        .map(|block| block.contents)
        .ok_or_else(|| PkiError::pem("certificate", "no CERTIFICATE block"))
}

/// All certificates of a bundle.
pub(crate) fn certificates_der(bundle: &str) -> Result<Vec<Vec<u8>>, PkiError> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(bundle.as_bytes()).filter_map(Result::ok);
    let found: Vec<Vec<u8>> = blocks
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| block.contents)
        .filter(|der| x509_parser::parse_x509_certificate(der).is_ok())
        .collect();
    if found.is_empty() {
        return Err(PkiError::pem("certificate", "no CERTIFICATE block"));
    }
    Ok(found)
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).unwrap_or_default());
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::parse_request;

    #[test]
    fn certificates_verify_against_their_authority_and_carry_all_groups() {
        let authority = Authority::generate("kubernetes").unwrap();
        let issued = authority.issue_client("ann", &["devs", "ops", "system:masters"], YEAR).unwrap();
        let der = issued.certificate_der().unwrap();
        let (rest, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(rest.is_empty());
        let (_, ca) = x509_parser::parse_x509_certificate(authority.certificate_der()).unwrap();
        assert!(ca.is_ca() && !certificate.is_ca());
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        ca.verify_signature(None).unwrap();
        let groups: Vec<&str> =
            certificate.subject().iter_organization().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(groups, ["devs", "ops", "system:masters"]);
        assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth);
    }

    #[test]
    fn a_request_is_signed_with_its_subject_and_names() {
        let authority = Authority::generate("kubernetes").unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["node-1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(rcgen::DnType::CommonName, "system:node:node-1");
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        let request = parse_request(&csr).unwrap();
        assert_eq!(request.subject.common_name, "system:node:node-1");
        assert_eq!(request.dns_names, ["node-1"]);
        let pem = authority.sign_request(&request, &[Usage::CLIENT_AUTH], Duration::from_secs(3600)).unwrap();
        let der = certificate_der(&pem).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let (_, ca) = x509_parser::parse_x509_certificate(authority.certificate_der()).unwrap();
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=system:node:node-1, O=system:nodes");
    }
}
