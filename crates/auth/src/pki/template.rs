//! What a certificate says, and its DER form.

use std::net::IpAddr;

use jiff::Timestamp;

use super::der;

/// A distinguished name: organizations are groups, the common name is the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub organizations: Vec<String>,
    pub common_name: String,
}

impl Subject {
    pub(super) fn to_der(&self) -> Vec<u8> {
        let attribute =
            |oid: &[u64], text: &str| der::tlv(der::SET, &der::sequence(&[&der::oid(oid), &der::utf8(text)]));
        let mut parts: Vec<u8> =
            self.organizations.iter().flat_map(|name| attribute(&[2, 5, 4, 10], name)).collect();
        if !self.common_name.is_empty() {
            parts.extend(attribute(&[2, 5, 4, 3], &self.common_name));
        }
        der::tlv(der::SEQUENCE, &parts)
    }
}

/// What a key may be used for: `certificates.k8s.io/v1 KeyUsage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A bit of the key usage extension.
    Key(u8),
    /// An extended key usage, by its place in the table of extended usages.
    Extended(u8),
}

const EXTENDED: [&[u64]; 12] = [
    &[2, 5, 29, 37, 0],
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
    &[1, 3, 6, 1, 5, 5, 7, 3, 3],
    &[1, 3, 6, 1, 5, 5, 7, 3, 4],
    &[1, 3, 6, 1, 5, 5, 7, 3, 5],
    &[1, 3, 6, 1, 5, 5, 7, 3, 6],
    &[1, 3, 6, 1, 5, 5, 7, 3, 7],
    &[1, 3, 6, 1, 5, 5, 7, 3, 8],
    &[1, 3, 6, 1, 5, 5, 7, 3, 9],
    &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3],
    &[2, 16, 840, 1, 113_730, 4, 1],
];

impl Usage {
    pub const DIGITAL_SIGNATURE: Self = Self::Key(0);
    pub const KEY_ENCIPHERMENT: Self = Self::Key(2);
    pub const CERT_SIGN: Self = Self::Key(5);
    pub const SERVER_AUTH: Self = Self::Extended(1);
    pub const CLIENT_AUTH: Self = Self::Extended(2);

    /// As a CertificateSigningRequest writes it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "signing" | "digital signature" => Self::Key(0),
            "content commitment" => Self::Key(1),
            "key encipherment" => Self::Key(2),
            "data encipherment" => Self::Key(3),
            "key agreement" => Self::Key(4),
            "cert sign" => Self::Key(5),
            "crl sign" => Self::Key(6),
            "encipher only" => Self::Key(7),
            "decipher only" => Self::Key(8),
            "any" => Self::Extended(0),
            "server auth" => Self::Extended(1),
            "client auth" => Self::Extended(2),
            "code signing" => Self::Extended(3),
            "email protection" | "s/mime" => Self::Extended(4),
            "ipsec end system" => Self::Extended(5),
            "ipsec tunnel" => Self::Extended(6),
            "ipsec user" => Self::Extended(7),
            "timestamping" => Self::Extended(8),
            "ocsp signing" => Self::Extended(9),
            "microsoft sgc" => Self::Extended(10),
            "netscape sgc" => Self::Extended(11),
            _ => return None,
        })
    }
}

/// Everything in a certificate but its issuer and signature.
pub(super) struct Template<'a> {
    pub(super) serial: [u8; 16],
    /// DER of the subject's name.
    pub(super) subject: Vec<u8>,
    /// DER of the SubjectPublicKeyInfo.
    pub(super) public_key: &'a [u8],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) usages: &'a [Usage],
    pub(super) is_ca: bool,
    /// DER of the GeneralNames; empty for none.
    pub(super) alternative_names: Vec<u8>,
    pub(super) key_id: &'a [u8],
    pub(super) authority_key_id: &'a [u8],
}

impl Template<'_> {
    /// The TBSCertificate.
    pub(super) fn to_der(&self, issuer: &[u8], algorithm: &[u8]) -> Vec<u8> {
        let version = der::tlv(0xA0, &der::integer(&[2]));
        let validity = der::sequence(&[&der::time(self.not_before), &der::time(self.not_after)]);
        let extensions = der::tlv(0xA3, &der::tlv(der::SEQUENCE, &self.extensions()));
        der::sequence(&[
            &version,
            &der::integer(&self.serial),
            algorithm,
            issuer,
            &validity,
            &self.subject,
            self.public_key,
            &extensions,
        ])
    }

    fn extensions(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let key_usage = self
            .usages
            .iter()
            .fold(0u16, |set, usage| if let Usage::Key(bit) = usage { set | 1 << bit } else { set });
        if key_usage != 0 {
            out.extend(extension(&[2, 5, 29, 15], Criticality::Critical, &der::flags(key_usage)));
        }
        let extended: Vec<u8> = self
            .usages
            .iter()
            .filter_map(
                |usage| if let Usage::Extended(i) = usage { Some(EXTENDED[usize::from(*i)]) } else { None },
            )
            .flat_map(der::oid)
            .collect();
        if !extended.is_empty() {
            let list = der::tlv(der::SEQUENCE, &extended);
            out.extend(extension(&[2, 5, 29, 37], Criticality::Plain, &list));
        }
        let constraints =
            if self.is_ca { der::sequence(&[&der::tlv(der::BOOLEAN, &[0xFF])]) } else { der::sequence(&[]) };
        out.extend(extension(&[2, 5, 29, 19], Criticality::Critical, &constraints));
        out.extend(extension(&[2, 5, 29, 14], Criticality::Plain, &der::tlv(der::OCTET_STRING, self.key_id)));
        let authority = der::sequence(&[&der::tlv(0x80, self.authority_key_id)]);
        out.extend(extension(&[2, 5, 29, 35], Criticality::Plain, &authority));
        if !self.alternative_names.is_empty() {
            out.extend(extension(&[2, 5, 29, 17], Criticality::Plain, &self.alternative_names));
        }
        out
    }
}

#[derive(PartialEq)]
enum Criticality {
    Critical,
    Plain,
}

fn extension(oid: &[u64], criticality: Criticality, value: &[u8]) -> Vec<u8> {
    let critical =
        if criticality == Criticality::Critical { der::tlv(der::BOOLEAN, &[0xFF]) } else { Vec::new() };
    der::sequence(&[&der::oid(oid), &critical, &der::tlv(der::OCTET_STRING, value)])
}

/// GeneralNames of DNS names and IP addresses.
pub(super) fn alternative_names(names: &[String]) -> Vec<u8> {
    let mut seen = std::collections::HashSet::new();
    let parts: Vec<u8> = names
        .iter()
        .filter(|name| seen.insert(name.as_str()))
        .flat_map(|name| match name.parse() {
            Ok(IpAddr::V4(ip)) => der::tlv(0x87, &ip.octets()),
            Ok(IpAddr::V6(ip)) => der::tlv(0x87, &ip.octets()),
            Err(_) => der::tlv(0x82, name.as_bytes()),
        })
        .collect();
    if parts.is_empty() { parts } else { der::tlv(der::SEQUENCE, &parts) }
}
