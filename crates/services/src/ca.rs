//! A certificate authority of this machine's own, so that HTTPS works in the simulated internet.
//!
//! Its key never leaves the data directory; instances and the person's shell trust it through a
//! bundle that also has the system's roots. It issues certificates on demand and in memory.

use std::{
    collections::HashMap,
    fs, io,
    io::Write,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SigningKey,
};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// The subject of the authority's certificate.
pub const SUBJECT: &str = "Gureum local CA (this machine only)";

const KEY_FILE: &str = "ca-key.pem";
const CERTIFICATE_FILE: &str = "ca.pem";
/// How many certificates are kept; names come from clients, so there may be any number of them.
const KEPT: usize = 1024;
const CA_YEARS: i16 = 10;
const LEAF_YEARS: i16 = 1;

/// Why there is no authority, or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files are not a key and the certificate that belongs to it.
    #[error("{} does not hold the certificate authority's {what}; remove it to make a new one", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Issue(#[from] rcgen::Error),
    /// The key of the certificates could not be used.
    #[error("the key of certificates cannot be used: {0}")]
    Key(#[from] rustls::Error),
}

/// The authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    /// One key for all certificates that we issue: making keys costs more than it gains here.
    leaf: KeyPair,
    issued: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Ca {
    /// The authority whose files are in a directory; all of them are made where they are missing.
    pub fn open(directory: &Path) -> Result<Self, CaError> {
        fs::create_dir_all(directory)
            .map_err(|source| CaError::File { path: directory.to_owned(), source })?;
        let key_path = directory.join(KEY_FILE);
        let key = match read(&key_path)? {
            Some(pem) => KeyPair::from_pem(&pem)
                .map_err(|_| CaError::Content { path: key_path, what: "private key" })?,
            None => {
                let key = KeyPair::generate()?;
                write(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
                key
            }
        };
        let path = directory.join(CERTIFICATE_FILE);
        let params = authority_params();
        let pem = match read(&path)? {
            Some(pem) => pem,
            None => {
                let pem = params.self_signed(&key)?.pem();
                write(&path, pem.as_bytes(), 0o644)?;
                pem
            }
        };
        let wrong = || CaError::Content { path: path.clone(), what: "certificate" };
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
        // A certificate holds its public key as it is, so this tells whether they belong together.
        let public = key.der_bytes();
        if !certificate.windows(public.len()).any(|window| window == public) {
            return Err(wrong());
        }
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            pem,
            leaf: KeyPair::generate()?,
            issued: Mutex::default(),
        })
    }

    /// The authority's certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// A bundle of the system's roots and our certificate, for programs that take one file.
    pub fn bundle(&self, system: &[u8]) -> Vec<u8> {
        let mut bundle = system.to_vec();
        if !matches!(bundle.last(), None | Some(b'\n')) {
            bundle.push(b'\n');
        }
        bundle.extend_from_slice(format!("# {SUBJECT}\n").as_bytes());
        bundle.extend_from_slice(self.pem.as_bytes());
        bundle
    }

    /// A certificate for a host name or an address, made at the first asking.
    pub fn certificate_for(&self, name: &str) -> Result<Arc<CertifiedKey>, CaError> {
        let name = name.to_ascii_lowercase();
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = issued.get(&name) {
            return Ok(Arc::clone(certificate));
        }
        let made = Arc::new(self.issue(&name)?);
        if issued.len() >= KEPT {
            issued.clear();
        }
        issued.insert(name, Arc::clone(&made));
        Ok(made)
    }

    /// A signature by the authority's key: ECDSA over SHA-256, in DER.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        Ok(self.issuer.key().sign(message)?)
    }

    fn issue(&self, name: &str) -> Result<CertifiedKey, CaError> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        set_validity(&mut params, LEAF_YEARS);
        params.distinguished_name = DistinguishedName::new();
        // RFC 5280: a common name has at most 64 characters; who is meant is in the SAN anyway.
        if name.len() <= 64 && name.parse::<IpAddr>().is_err() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.leaf, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(self.leaf.serialize_der().into());
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(CertifiedKey::new(chain, any_supported_type(&key)?))
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, CA_YEARS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, SUBJECT);
    params.distinguished_name.push(DnType::OrganizationName, "Gureum");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// From yesterday, as clocks of instances may lag, for some years.
fn set_validity(params: &mut CertificateParams, years: i16) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        // Both are positive and small in every civil date.
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        rcgen::date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = day(today.yesterday().unwrap_or(today));
    params.not_after = day(today.saturating_add(jiff::Span::new().years(years)));
}

/// The text of a file, or `None` where there is no such file.
fn read(path: &Path) -> Result<Option<String>, CaError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::File { path: path.to_owned(), source }),
    }
}

/// Writes a file whole or not at all; it never exists with a wider mode than given.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|source| CaError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Ca::open(directory.path()).expect("made");
        let again = Ca::open(directory.path()).expect("loaded");
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        let mode = fs::metadata(directory.path().join(KEY_FILE)).expect("a key").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let bundle = String::from_utf8(first.bundle(b"roots")).expect("text");
        assert!(bundle.starts_with("roots\n# Gureum local CA") && bundle.ends_with("-----\n"));
    }

    #[test]
    fn a_key_and_a_certificate_of_two_authorities_are_refused() {
        let (one, two) = (tempfile::tempdir(), tempfile::tempdir());
        let (one, two) = (one.expect("a directory"), two.expect("a directory"));
        Ca::open(one.path()).expect("made");
        Ca::open(two.path()).expect("made");
        fs::copy(two.path().join(KEY_FILE), one.path().join(KEY_FILE)).expect("copied");
        let error = Ca::open(one.path()).err().expect("refused").to_string();
        assert!(error.contains("ca.pem does not hold"), "{error}");
        fs::write(one.path().join(KEY_FILE), "no key").expect("written");
        let error = Ca::open(one.path()).err().expect("refused").to_string();
        assert!(error.contains("ca-key.pem does not hold"), "{error}");
    }

    #[test]
    fn certificates_are_kept_and_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let ca = Ca::open(directory.path()).expect("made");
        let one = ca.certificate_for("a.test").expect("issued");
        let again = ca.certificate_for("A.test").expect("kept");
        assert!(Arc::ptr_eq(&one, &again));
        ca.certificate_for("192.0.2.1").expect("for an address too");
        assert!(ca.certificate_for("b\u{fc}cher").is_err(), "not a DNS name");
    }
}
