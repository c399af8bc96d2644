//! Who calls: the credential scope of a Signature Version 4 request, signed in a header or in the
//! query string.
//!
//! The scope names access key, day, region and service, so one port can serve all of them. The
//! form is checked strictly, with AWS's sentences; whether the signature is right is decided by
//! [`crate::Signature::verify`], once the secret is known.

use gureum_types::{AccountId, Region, Timestamp};
use http::{HeaderMap, header};

use crate::{error::ApiError, service::Service};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const TERMINATOR: &str = "aws4_request";
/// The longest life of a presigned request, in seconds.
const LONGEST_PRESIGNED: i64 = 7 * 24 * 3600;

/// A caller as its credential scope tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerScope {
    /// The access key id.
    pub access_key_id: String,
    /// The account: the access key id itself when it is 12 digits, else the default account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The service.
    pub service: Service,
}

/// The parts of a signature, taken from the `Authorization` header or the query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    /// The day of the scope, `YYYYMMDD`.
    pub(crate) day: String,
    pub(crate) region: String,
    pub(crate) service: String,
    /// When the request says that it was signed.
    pub(crate) signed_at: Timestamp,
    /// How long a presigned request may be used from then on, in seconds.
    pub(crate) expires_after: Option<i64>,
    /// The names of the headers that were signed, as the request lists them.
    pub(crate) signed_headers: String,
    /// The signature, 64 hexadecimal digits.
    pub(crate) signature: String,
    /// The token of a session.
    pub(crate) session_token: Option<String>,
}

/// What the scope itself tells.
struct ScopeParts {
    access_key_id: String,
    day: String,
    region: String,
    service: String,
}

impl Credential {
    /// The credential of a request: from its header, else from its query parameters.
    pub(crate) fn of(headers: &HeaderMap, query: &[(String, String)]) -> Result<Self, ApiError> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let value = value.to_str().map_err(|_| {
                ApiError::incomplete_signature("The Authorization header is not readable text.")
            })?;
            return Self::from_header(value, headers);
        }
        if query.iter().any(|(name, _)| name.starts_with("X-Amz-")) {
            return Self::from_query(query);
        }
        Err(ApiError::missing_authentication_token())
    }

    /// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`
    fn from_header(value: &str, headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text("x-amz-date").or_else(|| text(header::DATE.as_str()));
        let value = value.trim();
        let (algorithm, rest) = value.split_once(' ').unwrap_or((value, ""));
        if algorithm != ALGORITHM {
            let message = format!("Unsupported AWS 'algorithm': '{algorithm}'.");
            return Err(ApiError::incomplete_signature(message));
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, text)) = part.split_once('=') else {
                return Err(ApiError::incomplete_signature(format!(
                    "'{part}' not a valid key=value pair (missing equal-sign) in Authorization \
                     header: '{value}'."
                )));
            };
            match key {
                "Credential" => credential = Some(text),
                "SignedHeaders" => signed_headers = Some(text),
                "Signature" => signature = Some(text),
                _ => {
                    let message = format!("'{key}' is not a part of an Authorization header.");
                    return Err(ApiError::incomplete_signature(message));
                }
            }
        }
        let parts = [
            ("Credential", credential),
            ("Signature", signature),
            ("SignedHeaders", signed_headers),
        ];
        let mut missing = String::new();
        for (name, text) in parts {
            if text.is_none_or(str::is_empty) {
                missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if date.is_none() {
            missing.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header. ",
            );
        }
        if !missing.is_empty() {
            let message = format!("{missing}Authorization={ALGORITHM}");
            return Err(ApiError::incomplete_signature(message));
        }
        let (signature, signed_headers) =
            (signature.unwrap_or_default(), signed_headers.unwrap_or_default());
        verify_signature(signature)?;
        let scope = ScopeParts::parse(credential.unwrap_or_default())?;
        Ok(Self {
            access_key_id: scope.access_key_id,
            day: scope.day,
            region: scope.region,
            service: scope.service,
            signed_at: read_date(date.unwrap_or_default())?,
            expires_after: None,
            signed_headers: signed_headers.to_owned(),
            signature: signature.to_owned(),
            session_token: text("x-amz-security-token").map(str::to_owned),
        })
    }

    fn from_query(query: &[(String, String)]) -> Result<Self, ApiError> {
        let find = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let mut missing = String::new();
        for name in [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
            "X-Amz-Date",
        ] {
            if find(name).is_none() {
                missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
            }
        }
        if !missing.is_empty() {
            return Err(ApiError::incomplete_signature(missing.trim_end()));
        }
        if let Some(algorithm) = find("X-Amz-Algorithm").filter(|text| *text != ALGORITHM) {
            let message = format!("Unsupported AWS 'algorithm': '{algorithm}'.");
            return Err(ApiError::incomplete_signature(message));
        }
        let signature = find("X-Amz-Signature").unwrap_or_default();
        verify_signature(signature)?;
        let scope = ScopeParts::parse(find("X-Amz-Credential").unwrap_or_default())?;
        let expires_after = find("X-Amz-Expires").map(|text| {
            let seconds = text.parse().ok().filter(|it| (1..=LONGEST_PRESIGNED).contains(it));
            seconds.ok_or_else(|| {
                let message = format!(
                    "X-Amz-Expires must be between 1 and {LONGEST_PRESIGNED} seconds, got '{text}'."
                );
                ApiError::incomplete_signature(message)
            })
        });
        Ok(Self {
            access_key_id: scope.access_key_id,
            day: scope.day,
            region: scope.region,
            service: scope.service,
            signed_at: read_date(find("X-Amz-Date").unwrap_or_default())?,
            expires_after: expires_after.transpose()?,
            signed_headers: find("X-Amz-SignedHeaders").unwrap_or_default().to_owned(),
            signature: signature.to_owned(),
            session_token: find("X-Amz-Security-Token").map(str::to_owned),
        })
    }

    /// The service as the scope names it.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// The caller, once the service is known to be served.
    pub(crate) fn scope(&self, service: Service) -> Result<CallerScope, ApiError> {
        let region = self.region.parse().map_err(|e| {
            let message = "Credential should be scoped to a valid region.";
            ApiError::signature_mismatch(message).with_internal(e)
        })?;
        let account = AccountId::parse(&self.access_key_id).unwrap_or_default();
        let access_key_id = self.access_key_id.clone();
        Ok(CallerScope { access_key_id, account, region, service })
    }
}

impl ScopeParts {
    /// `AKID/20260101/ap-northeast-2/ec2/aws4_request`
    fn parse(text: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = text.split('/').collect();
        let [key, date, region, service, terminator] = parts[..] else {
            return Err(ApiError::incomplete_signature(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{text}'."
            )));
        };
        if key.is_empty() || region.is_empty() || service.is_empty() {
            let message = format!("Credential has an empty element, got '{text}'.");
            return Err(ApiError::incomplete_signature(message));
        }
        if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("Date in Credential scope is not YYYYMMDD, got '{date}'.");
            return Err(ApiError::incomplete_signature(message));
        }
        if terminator != TERMINATOR {
            return Err(ApiError::signature_mismatch(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
                 '{terminator}'."
            )));
        }
        Ok(Self {
            access_key_id: key.to_owned(),
            day: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// `20260101T000000Z`, or the date of a `Date` header as HTTP writes it.
fn read_date(text: &str) -> Result<Timestamp, ApiError> {
    let basic = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .and_then(|it| it.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|it| it.timestamp());
    let time = basic.or_else(|_| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text));
    time.map(|it| Timestamp(it.as_millisecond())).map_err(|_| {
        ApiError::incomplete_signature(format!(
            "Date must be in ISO-8601 'basic format'. Got '{text}'. See \
             http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })
}

fn verify_signature(text: &str) -> Result<(), ApiError> {
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(ApiError::incomplete_signature("The signature is not 64 hexadecimal digits."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";

    fn from_header(value: &str) -> Result<Credential, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().expect("a header value"));
        headers.insert("x-amz-date", "20260101T000000Z".parse().expect("a header value"));
        Credential::of(&headers, &[])
    }

    fn signed(scope: &str) -> String {
        format!(
            "{ALGORITHM} Credential={scope}, SignedHeaders=host;x-amz-date, Signature={SIGNATURE}"
        )
    }

    #[test]
    fn the_scope_tells_key_region_and_service() {
        let credential = from_header(&signed("AKID/20260101/ap-northeast-2/ec2/aws4_request"));
        let scope = credential.and_then(|c| c.scope(Service::Ec2)).expect("well formed");
        assert_eq!(scope.access_key_id, "AKID");
        assert_eq!(scope.account.as_str(), "123456789012");
        assert_eq!(scope.region.as_str(), "ap-northeast-2");
    }

    #[test]
    fn a_key_of_twelve_digits_is_an_account() {
        let credential = from_header(&signed("000000000042/20260101/us-east-1/sts/aws4_request"));
        let scope = credential.and_then(|c| c.scope(Service::Sts)).expect("well formed");
        assert_eq!(scope.account.as_str(), "000000000042");
    }

    #[test]
    fn malformed_headers_are_incomplete_signatures() {
        for value in [
            "",
            "Bearer x",
            ALGORITHM,
            &format!("{ALGORITHM} Credential"),
            &signed("AKID/20260101/ap-northeast-2/ec2"),
            &signed("/20260101/ap-northeast-2/ec2/aws4_request"),
            &signed("AKID/yesterday/ap-northeast-2/ec2/aws4_request"),
            &signed("AKID/20260101/ap-northeast-2/ec2/aws4_request").replace(SIGNATURE, "x"),
        ] {
            let error = from_header(value).expect_err(value);
            assert_eq!(error.code, "IncompleteSignature", "{value}");
        }
    }

    #[test]
    fn every_missing_part_is_named() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, ALGORITHM.parse().expect("a header value"));
        let error = Credential::of(&headers, &[]).expect_err("refused");
        for part in ["'Credential'", "'Signature'", "'SignedHeaders'", "'X-Amz-Date'"] {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
    }

    #[test]
    fn no_credentials_at_all() {
        let error = Credential::of(&HeaderMap::new(), &[]).expect_err("refused");
        assert_eq!((error.code, error.status.as_u16()), ("MissingAuthenticationToken", 403));
    }

    #[test]
    fn a_region_that_is_none_does_not_match() {
        let credential = from_header(&signed("AKID/20260101/mars-1/ec2/aws4_request"));
        let error = credential.and_then(|c| c.scope(Service::Ec2)).expect_err("refused");
        assert_eq!(error.code, "SignatureDoesNotMatch");
    }

    #[test]
    fn a_presigned_request_carries_its_scope_in_the_query() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut query = vec![
            pair("X-Amz-Algorithm", ALGORITHM),
            pair("X-Amz-Credential", "AKID/20260101/us-east-1/sts/aws4_request"),
            pair("X-Amz-Date", "20260101T000000Z"),
            pair("X-Amz-SignedHeaders", "host"),
            pair("X-Amz-Signature", SIGNATURE),
        ];
        let found = Credential::of(&HeaderMap::new(), &query).expect("well formed");
        assert_eq!(found.service(), "sts");
        query.pop();
        let error = Credential::of(&HeaderMap::new(), &query).expect_err("refused");
        assert_eq!(error.message, "AWS query-string parameters must include 'X-Amz-Signature'.");
    }
}
