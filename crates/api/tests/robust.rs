//! Whatever arrives, it is answered with a client error or read in full: no panic, no 500, no
//! parameter dropped.

mod common;

use common::{decode, post, signed};
use gureum_api::{ApiError, ec2, ssm, sts};
use proptest::prelude::*;

/// Routes and decodes; what it read, if anything.
fn read(headers: &http::HeaderMap, body: &[u8]) -> Result<serde_json::Value, ApiError> {
    let request = post(headers, body).map_err(|refused| refused.error)?;
    decode(&request)
}

#[track_caller]
fn is_client_error(result: Result<serde_json::Value, ApiError>) {
    if let Err(error) = result {
        assert!(error.status.is_client_error(), "{error}");
        assert!(!error.message.is_empty());
    }
}

fn ec2_action() -> impl Strategy<Value = &'static str> {
    let names: Vec<&str> = ec2::Operation::ALL.iter().map(|o| o.name()).collect();
    prop::sample::select(names)
}

/// Names that mix what shapes have with what they have not.
fn parameter() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "Filter", "Name", "Value", "VpcId", "InstanceId", "TagSpecification", "Tag", "Key",
            "IpPermissions", "IpRanges", "CidrIp", "NetworkInterface", "SecurityGroupId", "Ebs",
            "BlockDeviceMapping", "UserData", "DryRun", "MaxResults", "PortRange", "From",
            "PublicKeyMaterial", "ResourceType", "member", "entry",
        ])
        .prop_map(str::to_owned),
        3 => (0u64..12).prop_map(|n| n.to_string()),
        1 => "[A-Za-z0-9]{0,6}",
        1 => Just(u64::MAX.to_string()),
    ];
    (prop::collection::vec(part, 1..6), ".{0,12}").prop_map(|(parts, value)| {
        let value: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
        format!("{}={value}", parts.join("."))
    })
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key =
            prop_oneof!["[A-Za-z]{0,5}", "Names|Name|Path|ParameterFilters|Key|Values|MaxResults"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn bytes_do_not_break_a_query_service(
        service in prop::sample::select(vec!["ec2", "sts", "iam", "ssm"]),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        is_client_error(read(&signed(service), &body));
    }

    #[test]
    fn forms_do_not_break_ec2(
        action in ec2_action(),
        parameters in prop::collection::vec(parameter(), 0..6),
    ) {
        let body = format!("Action={action}&Version=2016-11-15&{}", parameters.join("&"));
        is_client_error(read(&signed("ec2"), body.as_bytes()));
    }

    #[test]
    fn json_does_not_break_ssm(
        operation in prop::sample::select(ssm::Operation::ALL),
        body in json_value(),
    ) {
        let mut headers = signed("ssm");
        let target = format!("AmazonSSM.{}", operation.name());
        headers.insert("x-amz-target", target.parse().expect("a header value"));
        is_client_error(read(&headers, body.to_string().as_bytes()));
    }

    #[test]
    fn headers_do_not_break_the_front(
        authorization in "(AWS4-HMAC-SHA256 )?(Credential=[a-z0-9/]{0,30},?)?[ -~]{0,40}",
        host in "[!-~]{0,30}",
        target in prop::option::of("[!-~]{0,30}"),
        query in "[!-;=?-Z_a-z~]{0,60}",
    ) {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", authorization.parse().expect("printable"));
        headers.insert("host", host.parse().expect("printable"));
        if let Some(target) = target {
            headers.insert("x-amz-target", target.parse().expect("printable"));
        }
        if let Ok(uri) = format!("/?{query}").parse() {
            let result = gureum_api::route(&http::Method::GET, &uri, &headers, b"");
            if let Err(refusal) = result {
                prop_assert!(refusal.response("id").status().is_client_error());
            }
        }
    }

    /// Every operation refuses a parameter that it does not have, next to anything it has.
    #[test]
    fn no_parameter_is_dropped(action in ec2_action(), name in "Q[a-z]{1,8}(\\.[0-9])?") {
        let body = format!("Action={action}&Version=2016-11-15&{name}=1");
        let error = read(&signed("ec2"), body.as_bytes()).expect_err("refused");
        prop_assert_eq!(error.code, "UnknownParameter");
        prop_assert_eq!(error.message, format!("The parameter {name} is not recognized"));
    }
}

#[test]
fn an_unknown_parameter_of_sts_is_refused_too() {
    let operation = sts::Operation::GetCallerIdentity.name();
    let body = format!("Action={operation}&Version=2011-06-15&Colour=red");
    let error = read(&signed("sts"), body.as_bytes()).expect_err("refused");
    assert_eq!(error.code, "ValidationError");
    assert_eq!(error.message, "The parameter Colour is not recognized");
}

/// A body at the limit of what a server accepts must not take long or deep recursion.
#[test]
fn deep_json_is_refused() {
    let mut headers = signed("ssm");
    headers.insert("x-amz-target", "AmazonSSM.GetParameter".parse().expect("a header value"));
    let body = format!("{{\"Name\":{}", "[".repeat(100_000));
    let error = read(&headers, body.as_bytes()).expect_err("refused");
    assert_eq!(error.code, "SerializationException");
}
