//! Signs requests as clients do (Signature Version 4), with the headers that botocore signs.

use gureum_types::Timestamp;
use hmac::{Hmac, Mac as _};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::Keys;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(super) fn sign(
    headers: &mut HeaderMap,
    body: &[u8],
    keys: &Keys,
    region: &str,
    service: &str,
    now: Timestamp,
) {
    // 2021-09-03T01:02:03.000Z
    let date = now.to_string().replace(['-', ':'], "").replace(".000", "");
    headers.insert("x-amz-date", date.parse().expect("a header"));
    headers.insert("host", format!("{service}.{region}.amazonaws.com").parse().expect("a header"));
    if let Some(token) = &keys.token {
        headers.insert("x-amz-security-token", token.parse().expect("a header"));
    }
    headers.remove("authorization");
    let mut signed: Vec<_> = headers.iter().collect();
    signed.sort_by_key(|(name, _)| name.as_str());
    let names: Vec<_> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let mut canonical = "POST\n/\n\n".to_owned();
    for (name, value) in signed {
        canonical.push_str(&format!("{name}:{}\n", value.to_str().expect("text")));
    }
    canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(body))));
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = hmac(format!("AWS4{}", keys.secret).as_bytes(), &date[..8]);
    for part in [region, service, "aws4_request"] {
        key = hmac(&key, part);
    }
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        keys.id,
        hex(&hmac(&key, &text))
    );
    headers.insert("authorization", value.parse().expect("a header"));
}
