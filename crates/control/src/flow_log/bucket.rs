//! Buckets that flow logs are delivered to: whether their policies let the delivery in (FL-16).

use gureum_api::ApiError;
use gureum_store::Transaction;
use gureum_types::record::Bucket;
use serde_json::{Value, json};

use super::file::{bucket_and_prefix, folder};
use crate::{
    call::{Answer, Call},
    flow_windows::{LOG_DELIVERY, PutError},
    iam::{
        authorize::Source,
        visitor::{Visit, Visited, Visitor},
    },
};

/// Where a bucket has its policy among its configurations.
const POLICY: &str = "policy";
/// How long the policy of a bucket may be: 20 KB.
const POLICY_LIMIT: usize = 20 << 10;
/// What AWS calls a policy that it makes.
const POLICY_ID: &str = "AWSLogDeliveryWrite20150319";
/// The ACL that the delivery gives its objects.
const ACL: &str = "bucket-owner-full-control";

fn refused(message: String) -> ApiError {
    ApiError::new("400", message)
}

/// Sees to it that the delivery of the caller's flow logs may write where a destination says. The
/// policy of a bucket of theirs gets the statements for it; another's has to have them.
pub(crate) fn admit(
    call: &Call,
    tx: &mut Transaction,
    arn: &str,
    hive_compatible: bool,
) -> Answer<()> {
    let (name, prefix) = bucket_and_prefix(arn);
    let bucket = tx.bucket(name).and_then(|(key, bucket)| Some((key.scope.clone()?, bucket)));
    let Some((owner, bucket)) = bucket else {
        return Err(refused(format!("LogDestination: {name} does not exist.")));
    };
    let folder = folder(call.account().as_str(), prefix, hive_compatible);
    let objects = format!("arn:aws:s3:::{name}/{folder}*");
    let policy = bucket.configurations.get(POLICY).cloned();
    if may_deliver(call, tx, &owner.account, name, &objects, policy.as_deref()) {
        return Ok(());
    }
    if owner.account != *call.account() {
        return Err(refused(format!(
            "Access Denied for LogDestination: {name}. Please check LogDestination permission"
        )));
    }
    let policy = with_statements(call, name, &objects, policy.as_deref())?;
    if policy.len() > POLICY_LIMIT {
        return Err(ApiError::new(
            "LogDestinationPermissionIssueException",
            format!("The policy of the bucket {name} has no room for log delivery permissions."),
        ));
    }
    tx.update::<Bucket>(&owner, name, |it| {
        it.configurations.insert(POLICY.to_owned(), policy.clone());
    });
    Ok(())
}

/// Why a template is not in the bucket that it shall be stored in.
pub(crate) fn not_stored(bucket: &str, error: PutError) -> ApiError {
    let refused = |message| ApiError::new("InvalidParameter", message);
    match error {
        PutError::NoSuchBucket => {
            refused(format!("ConfigDeliveryS3DestinationArn: {bucket} does not exist."))
        }
        PutError::AccessDenied => refused(format!(
            "Access Denied for ConfigDeliveryS3DestinationArn: {bucket}. Please check \
             ConfigDeliveryS3DestinationArn permission"
        )),
        PutError::Failed(why) => ApiError::internal_error(why),
    }
}

/// Whether the delivery may already do what it does.
fn may_deliver(
    call: &Call,
    tx: &Transaction,
    owner: &gureum_types::AccountId,
    name: &str,
    objects: &str,
    policy: Option<&str>,
) -> bool {
    let source = Source { is_secure: true, ..Source::default() };
    let service = Visit::Service(LOG_DELIVERY, &call.scope);
    let Ok(visitor) = Visitor::of(tx, service, call.region(), source, &call.config) else {
        return false;
    };
    let bucket = format!("arn:aws:s3:::{name}");
    let acl = [("s3:x-amz-acl".to_owned(), ACL.to_owned())];
    let asks = [("s3:GetBucketAcl", bucket.as_str(), &[][..]), ("s3:PutObject", objects, &acl)];
    asks.into_iter().all(|(action, resource, keys)| {
        let owner = Some(owner);
        visitor.decide(&Visited { action, resource, owner, policy, keys }).is_ok()
    })
}

/// A policy with the statements for the delivery behind those that it has.
fn with_statements(call: &Call, name: &str, objects: &str, policy: Option<&str>) -> Answer<String> {
    let mut document = match policy {
        Some(text) => serde_json::from_str(text).map_err(ApiError::internal_error)?,
        None => json!({ "Version": "2012-10-17", "Id": POLICY_ID, "Statement": [] }),
    };
    let mut statements = match document["Statement"].take() {
        Value::Array(statements) => statements,
        statement => vec![statement],
    };
    let (account, region) = (call.account().as_str(), call.region());
    let source = json!({ "aws:SourceArn": [format!("arn:aws:logs:{region}:{account}:*")] });
    let statement = |action: &str, resource: &str, equals: Value| {
        json!({
            "Effect": "Allow",
            "Principal": { "Service": LOG_DELIVERY },
            "Action": action,
            "Resource": resource,
            "Condition": { "StringEquals": equals, "ArnLike": source },
        })
    };
    let write = json!({ "s3:x-amz-acl": ACL, "aws:SourceAccount": [account] });
    let check = json!({ "aws:SourceAccount": [account] });
    for (sid, statement) in [
        ("AWSLogDeliveryWrite", statement("s3:PutObject", objects, write)),
        (
            "AWSLogDeliveryAclCheck",
            statement("s3:GetBucketAcl", &format!("arn:aws:s3:::{name}"), check),
        ),
    ] {
        add(&mut statements, sid, statement);
    }
    document["Statement"] = Value::Array(statements);
    Ok(document.to_string())
}

/// Adds a statement that is not there, under a name that no other has.
fn add(statements: &mut Vec<Value>, sid: &str, mut statement: Value) {
    let nameless = |it: &Value| {
        let mut it = it.clone();
        it.as_object_mut().map(|it| it.remove("Sid"));
        it
    };
    if statements.iter().any(|it| nameless(it) == statement) {
        return;
    }
    let is_free = |name: &String| statements.iter().all(|it| it["Sid"] != name.as_str());
    let numbered = (1..).map(|number| format!("{sid}{number}"));
    let name = std::iter::once(sid.to_owned()).chain(numbered).find(is_free);
    statement["Sid"] = name.into();
    statements.push(statement);
}

#[cfg(test)]
mod tests {
    use gureum_types::Tags;

    use super::*;
    use crate::resource::place::fixture::Cloud;

    const ARN: &str = "arn:aws:s3:::box/logs";

    /// A cloud with a bucket that has a policy, or none.
    fn cloud(policy: Option<&Value>) -> Cloud {
        let cloud = Cloud::new();
        let policy = policy.map(|it| (POLICY.to_owned(), it.to_string()));
        cloud.put(|call, tx| {
            let bucket = Bucket {
                name: "box".to_owned(),
                data: 1,
                created: call.now,
                tags: Tags::new(),
                configurations: policy.clone().into_iter().collect(),
            };
            tx.put(&call.scope, bucket);
        });
        cloud
    }

    fn policy(cloud: &Cloud) -> Value {
        let records = cloud.records();
        let (_, bucket) = records.bucket("box").expect("a bucket");
        let text = bucket.configurations.get(POLICY).expect("a policy");
        serde_json::from_str(text).expect("JSON")
    }

    fn names(policy: &Value) -> Vec<&str> {
        let statements = policy["Statement"].as_array().expect("a list");
        statements.iter().map(|it| it["Sid"].as_str().unwrap_or_default()).collect()
    }

    /// Whether the delivery of an account's flow logs may put an object.
    fn may_put(cloud: &Cloud, call: &Call, key: &str) -> bool {
        let records = cloud.records();
        let service = Visit::Service(LOG_DELIVERY, &call.scope);
        let source = Source { is_secure: true, ..Source::default() };
        let visitor = Visitor::of(&records, service, call.region(), source, &call.config);
        let (owner, bucket) = records.bucket("box").expect("a bucket");
        let owner = owner.scope.as_ref().map(|it| &it.account);
        visitor
            .expect("a service")
            .decide(&Visited {
                action: "s3:PutObject",
                resource: &format!("arn:aws:s3:::box/{key}"),
                owner,
                policy: bucket.configurations.get(POLICY).map(String::as_str),
                keys: &[("s3:x-amz-acl".to_owned(), ACL.to_owned())],
            })
            .is_ok()
    }

    /// FL-16
    #[test]
    fn the_policy_of_a_bucket_of_ones_own_gets_what_the_delivery_needs() {
        let cloud = cloud(None);
        let account = cloud.call.account().to_string();
        cloud.change(|call, tx| admit(call, tx, ARN, false)).expect("admitted");
        let made = policy(&cloud);
        assert_eq!(
            made,
            json!({
                "Version": "2012-10-17",
                "Id": "AWSLogDeliveryWrite20150319",
                "Statement": [
                    {
                        "Sid": "AWSLogDeliveryWrite",
                        "Effect": "Allow",
                        "Principal": { "Service": "delivery.logs.amazonaws.com" },
                        "Action": "s3:PutObject",
                        "Resource": format!("arn:aws:s3:::box/logs/AWSLogs/{account}/*"),
                        "Condition": {
                            "StringEquals": {
                                "s3:x-amz-acl": "bucket-owner-full-control",
                                "aws:SourceAccount": [account],
                            },
                            "ArnLike": {
                                "aws:SourceArn": [format!("arn:aws:logs:ap-northeast-2:{account}:*")],
                            },
                        },
                    },
                    {
                        "Sid": "AWSLogDeliveryAclCheck",
                        "Effect": "Allow",
                        "Principal": { "Service": "delivery.logs.amazonaws.com" },
                        "Action": "s3:GetBucketAcl",
                        "Resource": "arn:aws:s3:::box",
                        "Condition": {
                            "StringEquals": { "aws:SourceAccount": [account] },
                            "ArnLike": {
                                "aws:SourceArn": [format!("arn:aws:logs:ap-northeast-2:{account}:*")],
                            },
                        },
                    },
                ],
            })
        );
        let key = format!("logs/AWSLogs/{account}/vpcflowlogs/x.log.gz");
        assert!(may_put(&cloud, &cloud.call, &key));
        assert!(!may_put(&cloud, &cloud.call, "logs/x"));
        assert!(!may_put(&cloud, &cloud.of_account("444455556666"), &key));
        // Another flow log of the same kind needs no more; one with other folders does.
        cloud.change(|call, tx| admit(call, tx, ARN, false)).expect("admitted");
        assert_eq!(policy(&cloud), made);
        cloud.change(|call, tx| admit(call, tx, ARN, true)).expect("admitted");
        let more = policy(&cloud);
        let expected = ["AWSLogDeliveryWrite", "AWSLogDeliveryAclCheck", "AWSLogDeliveryWrite1"];
        assert_eq!(names(&more), expected);
        assert_eq!(
            more["Statement"][2]["Resource"],
            format!("arn:aws:s3:::box/logs/AWSLogs/aws-account-id={account}/*")
        );
    }

    /// FL-16
    #[test]
    fn what_a_policy_says_of_others_stays_and_a_denial_holds() {
        let own = json!({
            "Sid": "mine",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::box/logs/AWSLogs/*",
        });
        let cloud = cloud(Some(&json!({ "Version": "2012-10-17", "Statement": own })));
        let admitted = || cloud.change(|call, tx| admit(call, tx, ARN, false));
        admitted().expect("admitted");
        let made = policy(&cloud);
        assert_eq!(names(&made), ["mine", "AWSLogDeliveryWrite", "AWSLogDeliveryAclCheck"]);
        assert_eq!(made["Statement"][0], own);
        let account = cloud.call.account();
        assert!(!may_put(&cloud, &cloud.call, &format!("logs/AWSLogs/{account}/x")));
        admitted().expect("admitted");
        assert_eq!(policy(&cloud), made, "nothing is there twice");
    }

    /// FL-16
    #[test]
    fn the_bucket_of_another_account_must_admit_the_delivery_itself() {
        let other = "444455556666";
        let refused = |cloud: &Cloud, arn: &str| {
            let call = cloud.of_account(other);
            cloud.change(|_, tx| admit(&call, tx, arn, false)).err().map(|it| it.message)
        };
        let closed = cloud(None);
        assert_eq!(
            refused(&closed, ARN).as_deref(),
            Some("Access Denied for LogDestination: box. Please check LogDestination permission")
        );
        assert_eq!(
            refused(&closed, "arn:aws:s3:::none").as_deref(),
            Some("LogDestination: none does not exist.")
        );
        let service = json!({ "Service": LOG_DELIVERY });
        let open = cloud(Some(&json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": service,
                    "Action": "s3:PutObject",
                    "Resource": format!("arn:aws:s3:::box/logs/AWSLogs/{other}/*"),
                    "Condition": { "StringEquals": { "aws:SourceAccount": other } },
                },
                {
                    "Effect": "Allow",
                    "Principal": service,
                    "Action": "s3:GetBucketAcl",
                    "Resource": "arn:aws:s3:::box",
                },
            ],
        })));
        assert_eq!(refused(&open, ARN), None);
        assert!(refused(&open, "arn:aws:s3:::box/elsewhere").is_some());
    }

    /// FL-16
    #[test]
    fn a_policy_that_is_too_long_gets_no_more() {
        let long = json!({
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": (0..430).map(|it| format!("arn:aws:s3:::box/a/long/folder/name/{it:08}"))
                .collect::<Vec<_>>(),
        });
        let cloud = cloud(Some(&json!({ "Version": "2012-10-17", "Statement": [long] })));
        let before = policy(&cloud);
        let error = cloud.change(|call, tx| admit(call, tx, ARN, false)).expect_err("refused");
        assert_eq!(error.code, "LogDestinationPermissionIssueException");
        assert_eq!(policy(&cloud), before);
    }
}
