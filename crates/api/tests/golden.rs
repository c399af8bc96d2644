//! Requests as clients really send them and responses as AWS writes them, from files and in full.
//!
//! `tests/golden/requests/` is written by `exchange.py capture` (real, signed requests of
//! botocore); `tests/golden/responses/` by hand after AWS's own answers.

mod common;

use std::{fs, path::Path};

use common::{decode, ec2, post, signed};
use gureum_api::{
    ApiError, ApiRequest, Op, Protocol, Resource, Service, Timestamp,
    ec2::{self as model, op},
    route, ssm, sts,
};
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

const REQUEST_ID: &str = "59dbff89-35bd-4eac-99ed-be587EXAMPLE";

fn golden(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Routes a request as it was on the wire.
fn captured(text: &str) -> ApiRequest {
    let (head, body) = text.split_once("\n\n").expect("a head and a body");
    let mut lines = head.lines();
    let start: Vec<&str> = lines.next().expect("a request line").split(' ').collect();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        let name: HeaderName = name.parse().expect("a header name");
        headers.insert(name, value.parse().expect("a header value"));
    }
    let method = start[0].parse().expect("a method");
    let uri = start[1].parse().expect("a target");
    route(&method, &uri, &headers, body.as_bytes()).expect("routed")
}

fn captured_as<O: Op>(name: &str) -> O::Input {
    captured(&golden(&format!("requests/{name}.http"))).decode::<O>().expect("decoded")
}

#[test]
fn captured_requests_say_what_the_client_was_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/requests");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "http") {
            continue;
        }
        let request = captured(&fs::read_to_string(&path).expect("a file"));
        let expected = fs::read_to_string(path.with_extension("json")).expect("its meaning");
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        assert_eq!(request.operation.name(), expected["operation"], "{}", path.display());
        assert_eq!(request.scope.region.as_str(), "ap-northeast-2");
        assert_eq!(request.scope.access_key_id, "AKIDEXAMPLE");
        assert_eq!(decode(&request).expect("decoded"), expected["params"], "{}", path.display());
        count += 1;
    }
    assert!(count >= 9, "only {count} golden requests");
}

#[test]
fn a_launch_is_read_into_its_shape() {
    let input = captured_as::<op::RunInstances>("ec2-run-instances");
    let interface = model::InstanceNetworkInterfaceSpecification {
        device_index: Some(0),
        subnet_id: Some("subnet-0123456789abcdef0".into()),
        associate_public_ip_address: Some(true),
        groups: vec!["sg-0123456789abcdef0".into()],
        private_ip_addresses: vec![model::PrivateIpAddressSpecification {
            private_ip_address: Some("10.1.1.10".into()),
            primary: Some(true),
        }],
        ..Default::default()
    };
    assert_eq!(input.network_interfaces, [interface]);
    assert_eq!(input.min_count, Some(1));
    assert_eq!(input.block_device_mappings[0].device_name.as_deref(), Some("/dev/xvda"));
    assert_eq!(
        input.user_data.as_deref(),
        Some("IyEvYmluL2Jhc2gKeXVtIGluc3RhbGwgLXkgaHR0cGQK"),
        "user data is text to the model: handlers decode it"
    );
    assert_eq!(
        input.tag_specifications,
        [model::TagSpecification {
            resource_type: Some("instance".into()),
            tags: vec![model::Tag { key: Some("IMD-EC2".into()), value: Some("PUBLIC-01".into()) }],
        }]
    );
}

#[test]
fn a_blob_is_decoded_from_base64() {
    let input = captured_as::<op::ImportKeyPair>("ec2-import-key-pair");
    assert_eq!(input.public_key_material.as_deref(), Some(&b"ssh-ed25519 AAAA imd\n"[..]));
}

#[test]
fn json_is_read_into_its_shape() {
    let input = captured_as::<ssm::op::GetParametersByPath>("ssm-get-parameters-by-path");
    assert_eq!(input.path.as_deref(), Some("/aws/service/ami-amazon-linux-latest"));
    assert_eq!((input.recursive, input.max_results), (Some(true), Some(10)));
    assert_eq!(input.parameter_filters[0].values, ["String"]);
}

#[test]
fn list_numbers_may_have_gaps_and_come_in_any_order() {
    let read = ec2("Action=DescribeVpcs&VpcId.30=c&VpcId.2=a&VpcId.10=b").expect("decoded");
    assert_eq!(read, json!({ "VpcIds": ["a", "b", "c"] }));
    let read = ec2("Action=DescribeVpcs&VpcId=a").expect("a list of one without its number");
    assert_eq!(read, json!({ "VpcIds": ["a"] }));
}

/// Terraform sends `Placement.AvailabilityZone=` for what it leaves unset; a tag may be empty.
#[test]
fn an_empty_parameter_is_absent_but_an_empty_value_is_a_value() {
    let read = ec2("Action=RunInstances&MinCount=1&MaxCount=1&Placement.AvailabilityZone=\
         &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a\
         &TagSpecification.1.Tag.1.Value=")
    .expect("decoded");
    assert_eq!(
        read,
        json!({
            "MinCount": 1,
            "MaxCount": 1,
            "Placement": {},
            "TagSpecifications": [
                { "ResourceType": "instance", "Tags": [{ "Key": "a", "Value": "" }] }
            ],
        })
    );
    let read = ec2("Action=DescribeTags&Filter.1.Name=value&Filter.1.Value.1=").expect("decoded");
    assert_eq!(read, json!({ "Filters": [{ "Name": "value", "Values": [""] }] }));
}

#[track_caller]
fn refused(body: &str, code: &str, message: &str) {
    let error = ec2(body).expect_err("refused");
    assert_eq!((error.code, error.message.as_str()), (code, message));
    assert_eq!(error.status, 400);
}

#[test]
fn what_no_member_takes_is_refused_by_name() {
    for (parameter, name) in [
        ("Colour=red", "Colour"),
        ("VpcId.x=vpc-1", "VpcId.x"),
        ("VpcId.1.Id=vpc-1", "VpcId.1.Id"),
        ("Filter.1.Nam=x", "Filter.1.Nam"),
        ("Filter.Name=x", "Filter.Name"),
        ("MaxResults.1=5", "MaxResults.1"),
        ("vpcId.1=x", "vpcId.1"),
        (".=x", ""),
    ] {
        let message = format!("The parameter {name} is not recognized");
        refused(&format!("Action=DescribeVpcs&{parameter}"), "UnknownParameter", &message);
    }
}

#[test]
fn what_is_required_is_asked_for_by_name() {
    let wanted = |name: &str| format!("The request must contain the parameter {name}");
    refused("Action=CreateSubnet", "MissingParameter", &wanted("VpcId"));
    refused("Action=CreateSubnet&VpcId=", "MissingParameter", &wanted("VpcId"));
    refused("Action=RebootInstances", "MissingParameter", &wanted("InstanceId"));
    refused("Action=", "MissingParameter", &wanted("Action"));
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let code = "InvalidParameterValue";
    refused(
        "Action=DescribeVpcs&MaxResults=many",
        code,
        "Value (many) for parameter maxResults is invalid. Parameter must be an integer.",
    );
    refused(
        "Action=DescribeVpcs&MaxResults=99999999999",
        code,
        "Value (99999999999) for parameter maxResults is invalid. Parameter must be an integer.",
    );
    refused(
        "Action=DescribeVpcs&MaxResults=4",
        code,
        "Value (4) for parameter maxResults is invalid. Expecting a value greater than or equal \
         to 5.",
    );
    refused(
        "Action=DescribeVpcs&DryRun=yes",
        code,
        "Value (yes) for parameter dryRun is invalid. Parameter must be true or false.",
    );
    refused(
        "Action=ModifySubnetAttribute&SubnetId=s&MapPublicIpOnLaunch.Value=1",
        code,
        "Value (1) for parameter mapPublicIpOnLaunch is invalid. Parameter must be true or false.",
    );
    refused(
        "Action=CreateVpc&CidrBlock=10.0.0.0/16&InstanceTenancy=shared",
        code,
        "Value (shared) for parameter instanceTenancy is invalid. Expecting one of: default, \
         dedicated, host.",
    );
    refused(
        "Action=ImportKeyPair&KeyName=k&PublicKeyMaterial=*",
        code,
        "Value (*) for parameter publicKeyMaterial is invalid. Parameter must be base64 encoded.",
    );
    refused(
        "Action=RunInstances&MinCount=1&MaxCount=1&Placement=here",
        code,
        "Value (here) for parameter placement is invalid. Parameter must be a structure.",
    );
}

/// New instance types and account attributes appear without a new model.
#[test]
fn open_value_sets_take_any_value() {
    ec2("Action=RunInstances&MinCount=1&MaxCount=1&InstanceType=z9.huge").expect("decoded");
    ec2("Action=DescribeAccountAttributes&AttributeName.1=max-instances").expect("decoded");
}

#[test]
fn an_operation_that_is_not_served_is_named() {
    refused(
        "Action=CreateCoffee",
        "InvalidAction",
        "The action CreateCoffee is not valid for this web service.",
    );
    let refusal = post(&signed("iam"), b"Action=ListVirtualMFADevices&Version=2010-05-08")
        .expect_err("refused");
    assert_eq!((refusal.protocol, refusal.error.code), (Protocol::AwsQuery, "InvalidAction"));
    assert_eq!(refusal.error.status, 400);
    let refusal = post(&signed("braket"), b"Action=X&Version=1").expect_err("refused");
    assert_eq!(refusal.error.message, "The service braket is not served here.");
    let mut headers = signed("ssm");
    headers.insert("x-amz-target", "AmazonSSM.BrewCoffee".parse().expect("a header value"));
    let refusal = post(&headers, b"{}").expect_err("refused");
    assert_eq!(refusal.error.code, "UnknownOperationException");
    assert_eq!(refusal.error.message, "The operation BrewCoffee is not served here.");
}

#[test]
fn another_api_version_is_refused() {
    let refusal = post(&signed("ec2"), b"Action=DescribeVpcs&Version=2014-10-01");
    assert_eq!(refusal.expect_err("refused").error.code, "NoSuchVersion");
    let refusal = post(&signed("ec2"), b"Action=DescribeVpcs");
    assert_eq!(refusal.expect_err("refused").error.code, "MissingParameter");
}

#[test]
fn json_problems_have_the_words_of_json_services() {
    let read = |target: &str, body: &str| {
        let mut headers = signed("ssm");
        let target = format!("AmazonSSM.{target}");
        headers.insert("x-amz-target", target.parse().expect("a header value"));
        let request = post(&headers, body.as_bytes()).map_err(|refused| refused.error);
        let error = request.and_then(|request| decode(&request)).expect_err(body);
        (error.code, error.message)
    };
    let constraint = |value: &str, at: &str, text: &str| {
        format!(
            "1 validation error detected: Value {value} at '{at}' failed to satisfy constraint: \
             {text}"
        )
    };
    assert_eq!(
        read("GetParameter", "{}"),
        ("ValidationException", constraint("null", "name", "Member must not be null"))
    );
    assert_eq!(
        read("GetParametersByPath", r#"{"Path":"/","MaxResults":11}"#).1,
        constraint("'11'", "maxResults", "Member must have value less than or equal to 10")
    );
    assert_eq!(
        read("GetParameters", r#"{"Names":[]}"#).1,
        constraint("'[0 elements]'", "names", "Member must have length greater than or equal to 1")
    );
    assert_eq!(
        read("GetParameters", r#"{"Names":["a",""]}"#).1,
        constraint("''", "names.2.member", "Member must have length greater than or equal to 1")
    );
    assert_eq!(
        read("GetParameter", r#"{"Name":"x","Colour":"red"}"#).1,
        "The parameter Colour is not recognized"
    );
    assert_eq!(
        read("GetParameter", r#"{"Name":7}"#),
        ("SerializationException", "name can not be converted to a String".into())
    );
    for body in ["[]", "{", "\"x\"", "\u{0}"] {
        assert_eq!(read("GetParameter", body).0, "SerializationException", "{body}");
    }
    let null = r#"{"Name":"x","WithDecryption":null}"#;
    let mut headers = signed("ssm");
    headers.insert("x-amz-target", "AmazonSSM.GetParameter".parse().expect("a header value"));
    let request = post(&headers, null.as_bytes()).expect("routed");
    assert_eq!(decode(&request).expect("null is absent"), json!({ "Name": "x" }));
}

#[test]
fn a_presigned_get_is_routed() {
    let uri = format!(
        "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=000000000042%2F20260101%2Fus-east-1%2Fsts%2Faws4_request\
         &X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
         &X-Amz-Signature={}",
        "0".repeat(64)
    );
    let uri = uri.parse().expect("a target");
    let request = route(&http::Method::GET, &uri, &HeaderMap::new(), b"").expect("routed");
    assert_eq!(request.operation.service(), Service::Sts);
    assert_eq!(request.account().as_str(), "000000000042");
    assert_eq!(decode(&request).expect("decoded"), json!({}));
}

/// A client that does not sign is told so in the protocol that it speaks.
#[test]
fn a_refusal_speaks_the_clients_protocol() {
    let protocol = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        let refusal = post(&headers, b"").expect_err("refused");
        assert_eq!(refusal.error.code, "MissingAuthenticationToken");
        refusal.protocol
    };
    assert_eq!(protocol("host", "ec2.ap-northeast-2.amazonaws.com"), Protocol::Ec2Query);
    assert_eq!(protocol("host", "sts.amazonaws.com:443"), Protocol::AwsQuery);
    assert_eq!(protocol("x-amz-target", "AmazonSSM.GetParameter"), Protocol::AwsJson11);
}

#[track_caller]
fn written<O: Op>(output: &O::Output, name: &str) {
    let response = gureum_api::response::<O>(output, REQUEST_ID);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-amzn-requestid"], REQUEST_ID);
    let body = std::str::from_utf8(response.body()).expect("UTF-8");
    // The files are indented to be read; no text in them starts or ends with a blank.
    let expected = golden(&format!("responses/{name}"));
    let expected: String = if name.ends_with(".xml") {
        let (declaration, rest) = expected.split_once('\n').expect("a declaration");
        format!("{declaration}\n{}", rest.lines().map(str::trim).collect::<String>())
    } else {
        expected.trim().to_owned()
    };
    assert_eq!(body, expected);
}

#[test]
fn vpcs_are_written_as_ec2_does() {
    let association = model::VpcCidrBlockAssociation {
        association_id: Some("vpc-cidr-assoc-0123456789abcdef0".into()),
        cidr_block: Some("10.1.0.0/16".into()),
        cidr_block_state: Some(model::VpcCidrBlockState {
            state: Some("associated".into()),
            status_message: None,
        }),
    };
    let vpc = model::Vpc {
        owner_id: Some("123456789012".into()),
        instance_tenancy: Some("default".into()),
        cidr_block_association_set: vec![association],
        is_default: Some(false),
        tags: vec![
            model::Tag { key: Some("Name".into()), value: Some("<IMD> & \"구름\"".into()) },
            model::Tag { key: Some("empty".into()), value: Some(String::new()) },
        ],
        vpc_id: Some("vpc-0123456789abcdef0".into()),
        state: Some("available".into()),
        cidr_block: Some("10.1.0.0/16".into()),
        dhcp_options_id: Some("dopt-0123456789abcdef0".into()),
        ..Default::default()
    };
    let output = model::DescribeVpcsResult { next_token: None, vpcs: vec![vpc] };
    written::<op::DescribeVpcs>(&output, "ec2-describe-vpcs.xml");
    let none = model::DescribeVpcsResult::default();
    written::<op::DescribeVpcs>(&none, "ec2-describe-vpcs-empty.xml");
}

/// Which IPv6 block it is comes later, so the answer has an empty one.
#[test]
fn an_ipv6_block_on_its_way_is_written_empty() {
    let association = model::VpcIpv6CidrBlockAssociation {
        association_id: Some("vpc-cidr-assoc-0123456789abcdef0".into()),
        ipv6_cidr_block: Some(String::new()),
        ipv6_cidr_block_state: Some(model::VpcCidrBlockState {
            state: Some("associating".into()),
            status_message: None,
        }),
        network_border_group: Some("ap-northeast-2".into()),
        ipv6_pool: Some("Amazon".into()),
        ..Default::default()
    };
    let output = model::AssociateVpcCidrBlockResult {
        ipv6_cidr_block_association: Some(association),
        vpc_id: Some("vpc-0123456789abcdef0".into()),
        ..Default::default()
    };
    written::<op::AssociateVpcCidrBlock>(&output, "ec2-associate-vpc-cidr-block.xml");
}

#[test]
fn entries_of_a_prefix_list_are_written_as_ec2_does() {
    let entry = |cidr: &str, description: Option<&str>| model::PrefixListEntry {
        cidr: Some(cidr.into()),
        description: description.map(str::to_owned),
    };
    let output = model::GetManagedPrefixListEntriesResult {
        entries: vec![entry("10.0.0.0/16", Some("vpc-a")), entry("10.2.0.0/16", None)],
        next_token: None,
    };
    written::<op::GetManagedPrefixListEntries>(&output, "ec2-get-managed-prefix-list-entries.xml");
}

/// An instance without public address has no `association`, not an empty one; a launch time has
/// milliseconds.
#[test]
fn an_interface_without_public_address_has_no_association() {
    let interface = model::NetworkInterface {
        network_interface_id: Some("eni-0123456789abcdef0".into()),
        private_ip_addresses: vec![model::NetworkInterfacePrivateIpAddress {
            primary: Some(true),
            private_ip_address: Some("10.1.11.10".into()),
            ..Default::default()
        }],
        attachment: Some(model::NetworkInterfaceAttachment {
            attach_time: Some(Timestamp(1_630_630_923_000)),
            device_index: Some(0),
            ..Default::default()
        }),
        source_dest_check: Some(true),
        ..Default::default()
    };
    let output = model::DescribeNetworkInterfacesResult {
        network_interfaces: vec![interface],
        next_token: None,
    };
    written::<op::DescribeNetworkInterfaces>(&output, "ec2-describe-network-interfaces.xml");
}

#[test]
fn an_operation_without_output_returns_true() {
    written::<op::DeleteVpc>(&(), "ec2-delete-vpc.xml");
}

#[test]
fn awsquery_wraps_its_result() {
    let output = sts::GetCallerIdentityResponse {
        user_id: Some("123456789012".into()),
        account: Some("123456789012".into()),
        arn: Some("arn:aws:iam::123456789012:root".into()),
    };
    written::<sts::op::GetCallerIdentity>(&output, "sts-get-caller-identity.xml");
}

#[test]
fn json_times_are_seconds() {
    let output = ssm::GetParameterResult {
        parameter: Some(ssm::Parameter {
            name: Some("/a".into()),
            r#type: Some("String".into()),
            value: Some("ami-0123456789abcdef0".into()),
            version: Some(3),
            last_modified_date: Some(Timestamp(1_630_630_923_045)),
            ..Default::default()
        }),
    };
    written::<ssm::op::GetParameter>(&output, "ssm-get-parameter.json");
    let output = ssm::GetParametersResult::default();
    written::<ssm::op::GetParameters>(&output, "ssm-get-parameters-empty.json");
}

fn error_body(error: &ApiError, protocol: Protocol) -> String {
    let response = error.response(protocol, REQUEST_ID);
    assert_eq!(response.status(), error.status);
    String::from_utf8(response.body().to_vec()).expect("UTF-8")
}

/// API-1: EC2 writes `RequestID` in errors, `requestId` in successes.
#[test]
fn errors_have_each_protocols_form() {
    let error = ApiError::not_found(Resource::Vpc, "vpc-<1>");
    assert_eq!(
        error_body(&error, Protocol::Ec2Query),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>\
             <Code>InvalidVpcID.NotFound</Code>\
             <Message>The vpc ID 'vpc-&lt;1&gt;' does not exist</Message></Error></Errors>\
             <RequestID>{REQUEST_ID}</RequestID></Response>"
        )
    );
    assert_eq!(
        error_body(&error, Protocol::AwsQuery),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error>\
             <Type>Sender</Type><Code>InvalidVpcID.NotFound</Code>\
             <Message>The vpc ID 'vpc-&lt;1&gt;' does not exist</Message></Error>\
             <RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        )
    );
    assert_eq!(
        error_body(&error, Protocol::AwsJson11),
        r#"{"__type":"InvalidVpcID.NotFound","message":"The vpc ID 'vpc-<1>' does not exist"}"#
    );
    let response = error.response(Protocol::AwsJson11, REQUEST_ID);
    assert_eq!(response.headers()["x-amzn-errortype"], "InvalidVpcID.NotFound");
    assert_eq!(ApiError::dry_run().response(Protocol::Ec2Query, REQUEST_ID).status(), 412);
}

#[test]
fn internal_detail_is_in_no_response() {
    let error = ApiError::internal_error("the disk at /home/kim is full");
    for protocol in [Protocol::Ec2Query, Protocol::AwsQuery, Protocol::AwsJson11] {
        assert!(!error_body(&error, protocol).contains("kim"));
    }
}

/// Characters that XML cannot hold must not make the whole answer unreadable.
#[test]
fn text_that_xml_cannot_hold_is_replaced() {
    let tag = model::TagDescription {
        value: Some("a\u{0}\u{1b}[1m\r\n\u{ffff}b".into()),
        ..Default::default()
    };
    let output = model::DescribeTagsResult { next_token: None, tags: vec![tag] };
    let response = gureum_api::response::<op::DescribeTags>(&output, REQUEST_ID);
    let body = std::str::from_utf8(response.body()).expect("UTF-8");
    let expected = "<value>a\u{fffd}\u{fffd}[1m&#xD;\n\u{fffd}b</value>";
    assert!(body.contains(expected), "{body}");
}

#[test]
fn a_request_is_read_as_its_own_operation_only() {
    let request = post(&signed("ec2"), b"Action=DescribeVpcs&Version=2016-11-15").expect("routed");
    let error = request.decode::<op::DeleteVpc>().expect_err("another operation");
    assert_eq!(error.code, "InternalError");
}
