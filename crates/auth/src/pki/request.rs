//! Certificate signing requests (PKCS#10), as clients send them in `spec.request`.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use super::template::Subject;
use super::{PkiError, der};

/// A request whose signature was checked.
#[derive(Clone, Debug, Default)]
pub struct CertificateRequest {
    pub subject: Subject,
    pub dns_names: Vec<String>,
    pub ip_addresses: Vec<IpAddr>,
    pub email_addresses: Vec<String>,
    pub uris: Vec<String>,
    pub(super) subject_der: Vec<u8>,
    pub(super) public_key_der: Vec<u8>,
    pub(super) alternative_names_der: Vec<u8>,
}

/// Reads a request in PEM.
///
/// # Errors
/// When there is no request, or it was not signed with its own key.
pub fn parse_request(pem: &str) -> Result<CertificateRequest, PkiError> {
    let block = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes())
        .next()
        .and_then(Result::ok)
        .filter(|block| block.label == "CERTIFICATE REQUEST")
        .ok_or_else(|| PkiError::Request("PEM block type must be CERTIFICATE REQUEST".to_owned()))?;
    let (_, csr) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|why| PkiError::Request(format!("malformed certificate request: {why}")))?;
    csr.verify_signature()
        .map_err(|_| PkiError::Request("the certificate request's signature does not verify".to_owned()))?;

    let info = &csr.certification_request_info;
    let text =
        |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or_default().to_owned();
    let mut request = CertificateRequest {
        subject: Subject {
            organizations: info.subject.iter_organization().map(text).collect(),
            common_name: info.subject.iter_common_name().next().map(text).unwrap_or_default(),
        },
        subject_der: info.subject.as_raw().to_vec(),
        public_key_der: info.subject_pki.raw.to_vec(),
        ..CertificateRequest::default()
    };
    for extension in csr.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            read_names(&names.general_names, &mut request);
        }
    }
    Ok(request)
}

fn read_names(names: &[GeneralName<'_>], request: &mut CertificateRequest) {
    let mut parts = Vec::new();
    for name in names {
        match name {
            GeneralName::DNSName(dns) => {
                request.dns_names.push((*dns).to_owned());
                parts.extend(der::tlv(0x82, dns.as_bytes()));
            }
            GeneralName::IPAddress(bytes) => {
                let ip = match bytes.len() {
                    4 => <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from),
                    _ => <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from),
                };
                request.ip_addresses.extend(ip);
                parts.extend(der::tlv(0x87, bytes));
            }
            GeneralName::RFC822Name(email) => {
                request.email_addresses.push((*email).to_owned());
                parts.extend(der::tlv(0x81, email.as_bytes()));
            }
            GeneralName::URI(uri) => {
                request.uris.push((*uri).to_owned());
                parts.extend(der::tlv(0x86, uri.as_bytes()));
            }
            // Other kinds of names are not carried over, as upstream's signer does not.
            _ => {}
        }
    }
    if !parts.is_empty() {
        request.alternative_names_der = der::tlv(der::SEQUENCE, &parts);
    }
}
