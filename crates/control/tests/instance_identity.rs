//! The credentials that an instance has of its own: who they are, and how little they may (IMDS-30).

mod common;

use std::{sync::Arc, time::Duration};

use common::{Cloud, Keys, Reply};
use gureum_api::{ApiError, Signature};
use gureum_control::{Control, Source, SourceEndpoint, Visit, Visited};
use gureum_types::{AccountId, InstanceId, VpcId, record::SessionCredential};
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};

/// What the metadata service is given for an instance, when it is what is wanted.
async fn credentials(
    cloud: &Cloud,
    id: &str,
    wanted: impl Fn(&SessionCredential) -> bool,
) -> Arc<SessionCredential> {
    let id: InstanceId = id.parse().expect("an id");
    let mut applied = cloud.linux.applied();
    let waited = async {
        loop {
            let view = cloud.linux.view();
            let shown = view.and_then(|view| view.instances.get(&id)?.identity.clone());
            match shown.filter(|it| wanted(it)) {
                Some(found) => return found,
                None => applied.changed().await.expect("a cloud"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("they come")
}

fn as_instance(cloud: &Cloud, of: &SessionCredential) -> Cloud {
    let (id, secret) = (of.access_key_id.clone(), of.secret.clone());
    cloud.with_keys(&Keys { id, secret, token: Some(of.token.clone()) })
}

/// Says an operation of registration as an agent does.
fn register(cloud: &Cloud, operation: &str) -> Result<Value, ApiError> {
    let mut headers = HeaderMap::new();
    let target = format!("AmazonSSM.{operation}").parse().expect("a header");
    headers.insert("x-amz-target", target);
    assert_eq!(Control::registration_operation(&headers), Some(operation));
    let body = json!({"Fingerprint": "i-1", "PublicKey": "k", "PublicKeyType": "Rsa"}).to_string();
    let headers = match cloud.keys {
        Some(_) => cloud.signed("ssm", headers, body.as_bytes()),
        None => cloud.headers("ssm"),
    };
    let (method, uri) = (Method::POST, Uri::from_static("/"));
    let signature = Signature::of(&method, &uri, &headers, body.as_bytes()).expect("well formed");
    cloud.control.registration(operation, &signature, &cloud.source)
}

fn code(reply: &Reply) -> String {
    reply.refusal().0
}

#[tokio::test]
async fn an_instance_is_known_by_credentials_of_its_own() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let own = credentials(&cloud, &id, |_| true).await;
    assert_eq!(own.expires.seconds() - own.issued.seconds(), 6 * 3600);
    let instance = as_instance(&cloud, &own);
    let caller = instance.sts("GetCallerIdentity", &[]).await.ok();
    let arn = format!("arn:aws:sts::{}:assumed-role/aws:ec2-instance/{id}", cloud.account);
    assert_eq!(caller.text("Arn"), arn);
    assert_eq!(caller.text("UserId"), format!("{}:aws:ec2-instance:{id}", cloud.account));
    assert_eq!(caller.text("Account"), cloud.account);

    // Nothing else, whatever policies of others say.
    assert_eq!(code(&instance.ec2("DescribeInstances", &[]).await), "UnauthorizedOperation");
    assert_eq!(code(&instance.iam("ListRoles", &[]).await), "AccessDenied");
    assert_eq!(code(&instance.sts("GetSessionToken", &[]).await), "AccessDenied");
    let update = json!({"InstanceId": id}).to_string();
    let said = instance.ssm("UpdateInstanceInformation", &update).await;
    assert!(said.body.contains("AccessDeniedException"), "{}", said.body);
    let trust =
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}"#;
    let role = [("RoleName", "all"), ("AssumeRolePolicyDocument", trust)];
    let role = cloud.iam("CreateRole", &role).await.ok().text("Arn");
    let assume = [("RoleArn", role.as_str()), ("RoleSessionName", "s")];
    assert_eq!(code(&instance.sts("AssumeRole", &assume).await), "AccessDenied");
    let headers = instance.signed("s3", HeaderMap::new(), b"");
    let signature = Signature::of_head(&Method::POST, &Uri::from_static("/"), &headers);
    let (signature, owner) = (signature.expect("well formed"), AccountId::parse(&cloud.account));
    let visit = Visit::Signed(&signature, owner.as_ref().expect("an account"));
    let region = cloud.region.parse().expect("a region");
    let visitor = cloud.control.visitor(visit, &region, Source::default()).expect("let in");
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#;
    let (action, resource) = ("s3:GetObject", "arn:aws:s3:::box/key");
    let (owner, policy) = (owner.as_ref(), Some(policy));
    let asked = Visited { action, resource, owner, policy, keys: &[] };
    assert!(visitor.decide(&asked).is_err(), "a bucket that is open to everybody");
    let wrong = SessionCredential { secret: "x".repeat(40), ..SessionCredential::clone(&own) };
    let wrong = as_instance(&cloud, &wrong).sts("GetCallerIdentity", &[]).await;
    assert_eq!(code(&wrong), "SignatureDoesNotMatch");

    // IMDS-27
    cloud.advance(Duration::from_secs(5 * 3600 + 40 * 60));
    let next = credentials(&cloud, &id, |it| it.access_key_id != own.access_key_id).await;
    instance.sts("GetCallerIdentity", &[]).await.ok();
    cloud.advance(Duration::from_secs(3600));
    assert_eq!(code(&instance.sts("GetCallerIdentity", &[]).await), "ExpiredToken");
    as_instance(&cloud, &next).sts("GetCallerIdentity", &[]).await.ok();
}

#[tokio::test]
async fn an_agent_registers_by_its_instances_own_credentials() {
    const REGISTER: &str = "RegisterManagedInstance";
    const ASK_FOR_ROLE: &str = "RequestManagedInstanceRoleToken";
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let own = credentials(&cloud, &id, |_| true).await;
    let instance = as_instance(&cloud, &own);
    assert_eq!(register(&instance, REGISTER).ok(), Some(json!({"InstanceId": id})));
    let refused = register(&instance, ASK_FOR_ROLE).expect_err("nobody has configured it");
    assert_eq!(refused.code, "AccessDeniedException");
    let wanted = "Systems Manager's instance management role is not configured for account: ";
    assert_eq!(refused.message, format!("{wanted}{}", cloud.account));
    // Machines that are no instances come with an activation.
    let refused = register(&cloud, REGISTER).expect_err("there are none");
    assert_eq!(refused.code, "InvalidActivation");
    // The policy of an endpoint holds for everybody who comes through it.
    let nothing = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    let endpoint = SourceEndpoint {
        vpc: vpc.parse::<VpcId>().expect("an id"),
        id: "vpce-00000000000000001".to_owned(),
        policy: Some(nothing.to_owned()),
    };
    let through = Source { endpoint: Some(endpoint), ..Source::default() };
    let refused = register(&instance.seen_from(through), REGISTER).expect_err("not through it");
    assert_eq!(refused.code, "AccessDeniedException");
}
