//! Key pairs: making them, writing private keys as PEM and PPK, fingerprints (EC2-12 to EC2-14).
//!
//! A private key exists between its making and the answer that shows it, nowhere else.

mod fingerprint;
mod ppk;

use rsa::{
    RsaPrivateKey,
    pkcs1::{EncodeRsaPrivateKey as _, LineEnding},
};
use ssh_key::{
    Algorithm, PrivateKey, PublicKey,
    private::{Ed25519Keypair, KeypairData, RsaKeypair},
    rand_core::OsRng,
};

/// Bits of the RSA keys that are made (EC2-12).
const RSA_BITS: usize = 2048;

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Rsa,
    Ed25519,
}

impl KeyType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// How a private key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFormat {
    /// PKCS #1 for RSA, OpenSSH's own for Ed25519.
    Pem,
    /// PuTTY's.
    Ppk,
}

/// What could not be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the text is no public key")]
    NotAKey,
    #[error("keys of this kind are not supported")]
    Unsupported,
    #[error("no key could be made: {0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> KeyError {
    KeyError::Failed(error.to_string())
}

/// A public key with what is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Public {
    pub(crate) key_type: KeyType,
    pub(crate) fingerprint: String,
    /// A line of `authorized_keys`, without a comment.
    pub(crate) line: String,
}

/// A new key pair: the public half, and the private one as the caller wants it written.
pub(crate) struct Made {
    pub(crate) public: Public,
    pub(crate) private: String,
}

/// Makes a key pair. `name` becomes the comment of a PPK.
pub(crate) fn make(key_type: KeyType, format: KeyFormat, name: &str) -> Result<Made, KeyError> {
    match key_type {
        KeyType::Rsa => {
            let key = RsaPrivateKey::new(&mut OsRng, RSA_BITS).map_err(failed)?;
            let fingerprint = fingerprint::of_made_rsa(&key)?;
            let pair = RsaKeypair::try_from(&key).map_err(failed)?;
            let line = PublicKey::from(pair.public.clone()).to_openssh().map_err(failed)?;
            let private = match format {
                KeyFormat::Pem => {
                    let pem = key.to_pkcs1_pem(LineEnding::LF).map_err(failed)?;
                    // AWS answers without the last line feed; clients add one.
                    pem.trim_end().to_owned()
                }
                KeyFormat::Ppk => ppk::encode(&KeypairData::Rsa(pair), name)?,
            };
            Ok(Made { public: Public { key_type, fingerprint, line }, private })
        }
        KeyType::Ed25519 => {
            let pair = Ed25519Keypair::random(&mut OsRng);
            let public = PublicKey::from(pair.public);
            let fingerprint = fingerprint::of_ed25519(&public);
            let line = public.to_openssh().map_err(failed)?;
            let private = match format {
                KeyFormat::Pem => {
                    let key = PrivateKey::from(pair);
                    let pem = key.to_openssh(ssh_key::LineEnding::LF).map_err(failed)?;
                    pem.trim_end().to_owned()
                }
                KeyFormat::Ppk => ppk::encode(&KeypairData::Ed25519(pair), name)?,
            };
            Ok(Made { public: Public { key_type, fingerprint, line }, private })
        }
    }
}

/// Reads a public key as people import it: a line of `authorized_keys`, the block of RFC 4716,
/// or base64 of DER.
pub(crate) fn import(material: &[u8]) -> Result<Public, KeyError> {
    let text = std::str::from_utf8(material).map_err(|_| KeyError::NotAKey)?.trim();
    let key = match text.starts_with("---- BEGIN SSH2 PUBLIC KEY ----") {
        true => from_rfc4716(text)?,
        false => match PublicKey::from_openssh(text) {
            Ok(key) => key,
            Err(_) => from_der(text)?,
        },
    };
    let (key_type, fingerprint) = match key.algorithm() {
        Algorithm::Rsa { .. } => (KeyType::Rsa, fingerprint::of_imported_rsa(&key)?),
        Algorithm::Ed25519 => (KeyType::Ed25519, fingerprint::of_ed25519(&key)),
        _ => return Err(KeyError::Unsupported),
    };
    let plain = PublicKey::from(key.key_data().clone());
    let line = plain.to_openssh().map_err(|_| KeyError::NotAKey)?;
    Ok(Public { key_type, fingerprint, line })
}

fn from_rfc4716(text: &str) -> Result<PublicKey, KeyError> {
    let mut body = String::new();
    let mut continued = false;
    for line in text.lines().map(str::trim_end) {
        let is_header = continued || line.contains(':');
        continued = is_header && line.ends_with('\\');
        if !is_header && !line.starts_with("----") {
            body.push_str(line);
        }
    }
    decode(&body).and_then(|bytes| PublicKey::from_bytes(&bytes).map_err(|_| KeyError::NotAKey))
}

fn from_der(text: &str) -> Result<PublicKey, KeyError> {
    use rsa::pkcs8::DecodePublicKey as _;
    let body: String =
        text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let key =
        rsa::RsaPublicKey::from_public_key_der(&decode(&body)?).map_err(|_| KeyError::NotAKey)?;
    let key = ssh_key::public::RsaPublicKey::try_from(&key).map_err(|_| KeyError::NotAKey)?;
    Ok(PublicKey::from(key))
}

fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).map_err(|_| KeyError::NotAKey)
}

#[cfg(test)]
mod tests;
