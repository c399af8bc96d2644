//! Session tokens of version 2 (IMDS-3, IMDS-4): an expiry time and a MAC over it and the
//! instance, so nothing has to be kept and any number of tokens may be out.

use base64::{Engine, prelude::BASE64_URL_SAFE};
use gureum_types::InstanceId;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The longest life of a token in seconds (IMDS-3).
pub(super) const MAX_TTL: u32 = 21_600;

/// Makes and checks tokens by a key that only the service knows.
pub(super) struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A token for an instance that ends at a point in time (seconds since the Unix epoch).
    pub(super) fn issue(&self, instance: &InstanceId, expiry: u64) -> String {
        let mut token = expiry.to_be_bytes().to_vec();
        token.extend_from_slice(&self.mac(instance, expiry).finalize().into_bytes());
        BASE64_URL_SAFE.encode(token)
    }

    /// Whether a token is one of this instance and not over.
    pub(super) fn accepts(&self, instance: &InstanceId, token: &[u8], now: u64) -> bool {
        let Ok(token) = BASE64_URL_SAFE.decode(token) else { return false };
        let Some((expiry, mac)) = token.split_first_chunk() else { return false };
        let expiry = u64::from_be_bytes(*expiry);
        self.mac(instance, expiry).verify_slice(mac).is_ok() && now < expiry
    }

    fn mac(&self, instance: &InstanceId, expiry: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key");
        mac.update(instance.as_str().as_bytes());
        mac.update(&expiry.to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_instance_until_its_time_is_over() {
        let tokens = Tokens::new([7; 32]);
        let (one, two) = (InstanceId::new(1), InstanceId::new(2));
        let token = tokens.issue(&one, 100);
        assert_eq!(token.len(), 56, "as long as AWS's");
        assert!(tokens.accepts(&one, token.as_bytes(), 99), "IMDS-4");
        assert!(!tokens.accepts(&one, token.as_bytes(), 100), "IMDS-4: expired");
        assert!(!tokens.accepts(&two, token.as_bytes(), 99), "IMDS-4: another instance");
        assert!(!Tokens::new([8; 32]).accepts(&one, token.as_bytes(), 99), "another key");
        assert!(Tokens::new([7; 32]).accepts(&one, token.as_bytes(), 99), "after a restart");
        for forged in ["", "AAAA", "not base64!", &token[..52], &token.replace('=', "")] {
            assert!(!tokens.accepts(&one, forged.as_bytes(), 99), "{forged}");
        }
        let mut later = BASE64_URL_SAFE.decode(&token).expect("base64");
        later[7] += 1;
        let later = BASE64_URL_SAFE.encode(later);
        assert!(!tokens.accepts(&one, later.as_bytes(), 99), "a prolonged token");
    }
}
