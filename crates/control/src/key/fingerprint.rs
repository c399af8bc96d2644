//! Fingerprints, which differ by the kind of a key and by where it came from (EC2-13).

use md5::Md5;
use rsa::{
    RsaPrivateKey, RsaPublicKey,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _},
};
use sha1::{Digest as _, Sha1};
use ssh_key::{HashAlg, PublicKey, public::KeyData};

use super::{KeyError, failed};

fn colons(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// An RSA key that was made here: SHA-1 of the private key as PKCS #8.
pub(super) fn of_made_rsa(key: &RsaPrivateKey) -> Result<String, KeyError> {
    let der = key.to_pkcs8_der().map_err(failed)?;
    Ok(colons(&Sha1::digest(der.as_bytes())))
}

/// An RSA key that was imported: MD5 of the public key as SubjectPublicKeyInfo.
pub(super) fn of_imported_rsa(key: &PublicKey) -> Result<String, KeyError> {
    let KeyData::Rsa(key) = key.key_data() else { return Err(KeyError::Unsupported) };
    let key = RsaPublicKey::try_from(key).map_err(|_| KeyError::NotAKey)?;
    let der = key.to_public_key_der().map_err(|_| KeyError::NotAKey)?;
    Ok(colons(&Md5::digest(der.as_bytes())))
}

/// An Ed25519 key, from wherever: SHA-256 as OpenSSH prints it, padded.
pub(super) fn of_ed25519(key: &PublicKey) -> String {
    let text = key.fingerprint(HashAlg::Sha256).to_string();
    format!("{}=", text.trim_start_matches("SHA256:"))
}
