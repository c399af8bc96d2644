//! PuTTY's private key files, version 2, without a passphrase: every PuTTY reads them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha1::{Digest as _, Sha1};
use ssh_key::{PublicKey, private::KeypairData, public::KeyData};

use super::{KeyError, failed};

/// What the key of the checksum is derived from when there is no passphrase.
const MAC_KEY: &[u8] = b"putty-private-key-file-mac-key";

/// A string of the SSH wire: its length and its bytes.
fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), KeyError> {
    let length = u32::try_from(bytes.len()).map_err(failed)?;
    out.extend(length.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

fn lines(name: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("{name}: {}\r\n{}\r\n", lines.len(), lines.join("\r\n"))
}

/// Writes a key pair. PuTTY wants what is secret in an order of its own: for RSA `d`, `p`, `q`
/// and the inverse of `q`.
pub(super) fn encode(pair: &KeypairData, comment: &str) -> Result<String, KeyError> {
    let mut secret = Vec::new();
    let (algorithm, public) = match pair {
        KeypairData::Rsa(pair) => {
            for number in [&pair.private.d, &pair.private.p, &pair.private.q, &pair.private.iqmp] {
                string(&mut secret, number.as_bytes())?;
            }
            ("ssh-rsa", PublicKey::from(KeyData::Rsa(pair.public.clone())))
        }
        KeypairData::Ed25519(pair) => {
            // PuTTY takes the secret for a little-endian number as long as the curve's.
            string(&mut secret, pair.private.as_ref())?;
            ("ssh-ed25519", PublicKey::from(KeyData::Ed25519(pair.public)))
        }
        _ => return Err(KeyError::Unsupported),
    };
    let public = public.to_bytes().map_err(failed)?;
    // The comment is a line of the file: it must stay one.
    let comment: String = comment.chars().filter(|c| !c.is_control()).collect();
    let mut checked = Vec::new();
    for part in [algorithm.as_bytes(), b"none", comment.as_bytes(), &public, &secret] {
        string(&mut checked, part)?;
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(&Sha1::digest(MAC_KEY)).map_err(failed)?;
    mac.update(&checked);
    let mac: String = mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
    Ok(format!(
        "PuTTY-User-Key-File-2: {algorithm}\r\nEncryption: none\r\nComment: {comment}\r\n{}{}\
         Private-MAC: {mac}\r\n",
        lines("Public-Lines", &public),
        lines("Private-Lines", &secret),
    ))
}
