//! Parameters that an account owns, over the wire.

mod common;

use common::{Cloud, Keys, Reply};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";

async fn call(cloud: &Cloud, action: &str, body: Value) -> Value {
    serde_json::from_str(&cloud.ssm(action, &body.to_string()).await.ok().body).expect("JSON")
}

/// The code and the message of a refusal.
fn error(reply: &Reply) -> (String, String) {
    assert_ne!(reply.status, 200, "{}", reply.body);
    let error: Value = serde_json::from_str(&reply.body).expect("JSON");
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (text("__type"), text("message") + &text("Message"))
}

async fn refused(cloud: &Cloud, action: &str, body: Value) -> (String, String) {
    error(&cloud.ssm(action, &body.to_string()).await)
}

async fn put(cloud: &Cloud, name: &str, value: &str) -> Value {
    call(cloud, "PutParameter", json!({"Name": name, "Value": value, "Type": "String"})).await
}

fn names(answer: &Value) -> Vec<&str> {
    let found = answer["Parameters"].as_array().into_iter().flatten();
    found.filter_map(|it| it["Name"].as_str()).collect()
}

#[tokio::test]
async fn versions_are_kept_and_selected() {
    let cloud = Cloud::new();
    let make = json!({
        "Name": "/app/port", "Value": "80", "Type": "String", "Description": "where it listens",
        "AllowedPattern": "[0-9]+", "Tags": [{"Key": "team", "Value": "net"}],
    });
    let made = call(&cloud, "PutParameter", make.clone()).await;
    assert_eq!(made, json!({"Version": 1, "Tier": "Standard"}));
    let (code, message) = refused(&cloud, "PutParameter", make).await;
    assert_eq!(code, "ParameterAlreadyExists");
    assert!(message.starts_with("The parameter already exists. To overwrite this value"));

    let over = |value: &str| json!({"Name": "/app/port", "Value": value, "Overwrite": true});
    assert_eq!(call(&cloud, "PutParameter", over("8080")).await["Version"], 2);
    let (code, message) = refused(&cloud, "PutParameter", over("http")).await;
    assert_eq!(code, "ParameterPatternMismatchException", "the pattern stays");
    assert!(message.ends_with("allowedPattern: [0-9]+"), "{message}");

    let arn = format!("arn:aws:ssm:ap-northeast-2:{ACCOUNT}:parameter/app/port");
    for (name, version, value) in [
        ("/app/port".to_owned(), 2, "8080"),
        ("/app/port:1".to_owned(), 1, "80"),
        (arn.clone(), 2, "8080"),
        (format!("{arn}:1"), 1, "80"),
    ] {
        let got = &call(&cloud, "GetParameter", json!({"Name": name})).await["Parameter"];
        assert_eq!((&got["Version"], &got["Value"]), (&json!(version), &json!(value)), "{name}");
        assert_eq!((&got["Name"], &got["ARN"]), (&json!("/app/port"), &json!(arn)));
        assert_eq!(got["DataType"], "text");
    }
    for wrong in ["/app/port:3", "/app/port:label"] {
        let (code, _) = refused(&cloud, "GetParameter", json!({"Name": wrong})).await;
        assert_eq!(code, "ParameterVersionNotFound", "{wrong}");
    }
    let several = json!({"Names": ["/app/port:1", "/app/port:9", "none"]});
    let several = call(&cloud, "GetParameters", several).await;
    assert_eq!(several["Parameters"][0]["Selector"], ":1");
    assert_eq!(several["InvalidParameters"], json!(["/app/port:9", "none"]));

    let mut history = Vec::new();
    let mut body = json!({"Name": "/app/port", "MaxResults": 1});
    loop {
        let page = call(&cloud, "GetParameterHistory", body.clone()).await;
        history.extend(page["Parameters"].as_array().cloned().unwrap_or_default());
        match page["NextToken"].as_str() {
            Some(token) => body["NextToken"] = token.into(),
            None => break,
        }
    }
    let shown: Vec<_> = history.iter().map(|it| (&it["Version"], &it["Value"])).collect();
    assert_eq!(shown, [(&json!(1), &json!("80")), (&json!(2), &json!("8080"))]);
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    assert_eq!(history[1]["LastModifiedUser"], root.as_str());
    assert_eq!(history[1]["Description"], "where it listens");

    // Of very many versions the oldest are forgotten.
    for value in 3..=101 {
        call(&cloud, "PutParameter", over(&value.to_string())).await;
    }
    let (code, _) = refused(&cloud, "GetParameter", json!({"Name": "/app/port:1"})).await;
    assert_eq!(code, "ParameterVersionNotFound");
    let oldest = call(&cloud, "GetParameter", json!({"Name": "/app/port:2"})).await;
    assert_eq!(oldest["Parameter"]["Value"], "8080");

    let other = cloud.as_seen_by("999999999999", "ap-northeast-2");
    let (code, _) = refused(&other, "GetParameter", json!({"Name": "/app/port"})).await;
    assert_eq!(code, "ParameterNotFound", "another account");
    let other = cloud.as_seen_by(ACCOUNT, "eu-west-1");
    let (code, _) = refused(&other, "GetParameter", json!({"Name": "/app/port"})).await;
    assert_eq!(code, "ParameterNotFound", "another region");
}

#[tokio::test]
async fn secrets_are_shown_to_those_who_ask() {
    let cloud = Cloud::new();
    let make = |value: &str| {
        json!({
            "Name": "/db/password", "Value": value, "Type": "SecureString", "Overwrite": true,
            "KeyId": "alias/mine",
        })
    };
    call(&cloud, "PutParameter", make("hunter2")).await;
    let read = async |decrypt: Value| {
        let body = json!({"Name": "/db/password", "WithDecryption": decrypt});
        let got = call(&cloud, "GetParameter", body).await;
        got["Parameter"]["Value"].as_str().expect("a value").to_owned()
    };
    assert_eq!(read(json!(true)).await, "hunter2");
    let sealed = read(json!(false)).await;
    assert!(sealed.len() > 100 && !sealed.contains("hunter2"), "{sealed}");
    assert_eq!(read(json!(null)).await, sealed, "the same each time");
    call(&cloud, "PutParameter", make("hunter2")).await;
    assert_ne!(read(json!(false)).await, sealed, "but of another version another");

    for (action, body) in [
        ("GetParameters", json!({"Names": ["/db/password"]})),
        ("GetParametersByPath", json!({"Path": "/db"})),
        ("GetParameterHistory", json!({"Name": "/db/password"})),
    ] {
        let hidden = call(&cloud, action, body.clone()).await;
        assert_eq!(hidden["Parameters"][0]["Type"], "SecureString");
        assert_ne!(hidden["Parameters"][0]["Value"], "hunter2", "{action}");
        let mut body = body;
        body["WithDecryption"] = true.into();
        let shown = call(&cloud, action, body).await;
        assert_eq!(shown["Parameters"][0]["Value"], "hunter2", "{action}");
    }
    let listed = call(&cloud, "DescribeParameters", json!({})).await;
    assert_eq!(listed["Parameters"][0]["KeyId"], "alias/mine");
    assert_eq!(listed["Parameters"][0].get("Value"), None);
    let plain = json!({"Name": "x", "Value": "y", "Type": "SecureString"});
    call(&cloud, "PutParameter", plain).await;
    let history = call(&cloud, "GetParameterHistory", json!({"Name": "x"})).await;
    assert_eq!(history["Parameters"][0]["KeyId"], "alias/aws/ssm");
}

#[tokio::test]
async fn paths_and_filters_find_parameters() {
    let cloud = Cloud::new();
    for name in ["/app/a", "/app/b", "/app/deep/c", "/apple", "plain"] {
        put(&cloud, name, "1").await;
    }
    let list = json!({"Name": "/app/list", "Value": "a,b", "Type": "StringList"});
    call(&cloud, "PutParameter", list).await;
    let by_path = async |path: &str, recursive: bool, kind: Option<&str>| {
        let filters = kind.map(|kind| json!([{"Key": "Type", "Values": [kind]}]));
        let body = json!({
            "Path": path, "Recursive": recursive, "ParameterFilters": filters.unwrap_or(json!([])),
        });
        let answer = call(&cloud, "GetParametersByPath", body).await;
        names(&answer).join(" ")
    };
    assert_eq!(by_path("/app", false, None).await, "/app/a /app/b /app/list");
    assert_eq!(by_path("/app/", true, None).await, "/app/a /app/b /app/deep/c /app/list");
    assert_eq!(by_path("/app", true, Some("StringList")).await, "/app/list");
    assert_eq!(by_path("/", false, None).await, "/apple plain");
    assert_eq!(
        by_path("/", true, None).await.split(' ').count(),
        6,
        "AWS's own are not among them"
    );

    let call_tag = json!({
        "ResourceType": "Parameter", "ResourceId": "/app/b",
        "Tags": [{"Key": "team", "Value": "net"}],
    });
    call(&cloud, "AddTagsToResource", call_tag).await;
    let described = async |key: &str, option: &str, value: &str| {
        let filter = json!([{"Key": key, "Option": option, "Values": [value]}]);
        let answer = call(&cloud, "DescribeParameters", json!({"ParameterFilters": filter})).await;
        names(&answer).join(" ")
    };
    assert_eq!(described("Name", "Equals", "/app/a").await, "/app/a");
    assert_eq!(described("Name", "BeginsWith", "/app/").await.split(' ').count(), 4);
    assert_eq!(described("Name", "Contains", "l").await, "/app/list /apple plain");
    assert_eq!(described("Path", "OneLevel", "/app").await, "/app/a /app/b /app/list");
    assert_eq!(described("Path", "Recursive", "/app/deep").await, "/app/deep/c");
    assert_eq!(described("Type", "Equals", "StringList").await, "/app/list");
    assert_eq!(described("Tier", "Equals", "Advanced").await, "");
    assert_eq!(described("DataType", "Equals", "text").await.split(' ').count(), 6);
    assert_eq!(described("tag:team", "Equals", "net").await, "/app/b");
    assert_eq!(described("Label", "Equals", "prod").await, "");
    let old = json!({"Filters": [{"Key": "Name", "Values": ["/app/"]}]});
    assert_eq!(names(&call(&cloud, "DescribeParameters", old).await).len(), 4);
    let page = call(&cloud, "DescribeParameters", json!({"MaxResults": 2})).await;
    let rest = json!({"NextToken": page["NextToken"]});
    let rest = call(&cloud, "DescribeParameters", rest).await;
    assert_eq!((names(&page).len(), names(&rest).len()), (2, 4));

    let gone = json!({"Names": ["/app/a", "none", "/app/b"]});
    let gone = call(&cloud, "DeleteParameters", gone).await;
    assert_eq!(gone["DeletedParameters"], json!(["/app/a", "/app/b"]));
    assert_eq!(gone["InvalidParameters"], json!(["none"]));
    call(&cloud, "DeleteParameter", json!({"Name": "plain"})).await;
    let (code, _) = refused(&cloud, "GetParameter", json!({"Name": "plain"})).await;
    assert_eq!(code, "ParameterNotFound");
}

#[tokio::test]
async fn tiers_limit_values() {
    let cloud = Cloud::new();
    let put = async |name: &str, size: usize, tier: &str| {
        let body = json!({
            "Name": name, "Value": "x".repeat(size), "Type": "String", "Tier": tier,
            "Overwrite": true,
        });
        let reply = cloud.ssm("PutParameter", &body.to_string()).await;
        match reply.status {
            200 => serde_json::from_str::<Value>(&reply.body).expect("JSON")["Tier"].clone(),
            _ => error(&reply).0.into(),
        }
    };
    assert_eq!(put("a", 4096, "Standard").await, "Standard");
    assert_eq!(put("a", 4097, "Standard").await, "ValidationException");
    assert_eq!(put("a", 8192, "Advanced").await, "Advanced");
    assert_eq!(put("a", 8193, "Advanced").await, "ValidationException");
    assert_eq!(put("a", 1, "Standard").await, "ValidationException", "there is no way back");
    assert_eq!(put("b", 4096, "Intelligent-Tiering").await, "Standard");
    assert_eq!(put("b", 4097, "Intelligent-Tiering").await, "Advanced");
    assert_eq!(put("b", 8193, "Intelligent-Tiering").await, "ValidationException");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let cloud = Cloud::new();
    put(&cloud, "there", "1").await;
    let value = |name: &str| json!({"Name": name, "Value": "1", "Type": "String"});
    let with = |key: &str, text: Value| {
        let mut body = value("new");
        body[key] = text;
        body
    };
    let tag = json!([{"Key": "a", "Value": "b"}]);
    let many: Vec<_> = (0..51).map(|it| json!({"Key": it.to_string(), "Value": ""})).collect();
    let on = |kind: &str, id: &str| json!({"ResourceType": kind, "ResourceId": id, "Tags": tag});
    let filter = |key: &str, option: &str| json!({"ParameterFilters": [{"Key": key, "Option": option, "Values": ["/a"]}]});
    let deep = "/a".repeat(16);
    for (action, body, code) in [
        ("PutParameter", json!({"Name": "new", "Value": "1"}), "ValidationException"),
        ("PutParameter", with("Value", "".into()), "ValidationException"),
        ("PutParameter", with("Value", "{{ssm:there}}".into()), "ValidationException"),
        ("PutParameter", with("Type", "Number".into()), "ValidationException"),
        ("PutParameter", with("KeyId", "alias/x".into()), "ValidationException"),
        ("PutParameter", with("AllowedPattern", "[".into()), "InvalidAllowedPatternException"),
        ("PutParameter", with("AllowedPattern", "2".into()), "ParameterPatternMismatchException"),
        ("PutParameter", with("DataType", "Text".into()), "ValidationException"),
        ("PutParameter", with("DataType", "aws:ec2:image".into()), "ValidationException"),
        ("PutParameter", with("Policies", "[]".into()), "UnsupportedOperation"),
        ("PutParameter", with("Tags", many.into()), "TooManyTagsError"),
        (
            "PutParameter",
            json!({"Name": "there", "Value": "1", "Overwrite": true, "Tags": tag}),
            "ValidationException",
        ),
        ("PutParameter", value("/aws/service/mine"), "AccessDeniedException"),
        ("PutParameter", value("AWSmine"), "ValidationException"),
        ("PutParameter", value("/ssm/mine"), "ValidationException"),
        ("PutParameter", value("a b"), "ValidationException"),
        ("PutParameter", value("a/b"), "ValidationException"),
        ("PutParameter", value("/a//b"), "ValidationException"),
        ("PutParameter", value(&"a".repeat(1012)), "ValidationException"),
        ("PutParameter", value(&deep), "HierarchyLevelLimitExceededException"),
        ("DeleteParameter", json!({"Name": "none"}), "ParameterNotFound"),
        ("GetParameterHistory", json!({"Name": "none"}), "ParameterNotFound"),
        ("DescribeParameters", filter("Colour", "Equals"), "InvalidFilterKey"),
        ("DescribeParameters", filter("Type", "Contains"), "InvalidFilterOption"),
        ("GetParametersByPath", json!({"Path": "there"}), "ValidationException"),
        ("AddTagsToResource", on("Parameter", "none"), "InvalidResourceId"),
        ("AddTagsToResource", on("Document", "none"), "InvalidResourceId"),
        ("AddTagsToResource", on("OpsItem", "none"), "UnsupportedOperation"),
        (
            "RemoveTagsFromResource",
            json!({"ResourceType": "Parameter", "ResourceId": "none", "TagKeys": ["a"]}),
            "InvalidResourceId",
        ),
        (
            "ListTagsForResource",
            json!({"ResourceType": "Parameter", "ResourceId": "none"}),
            "InvalidResourceId",
        ),
    ] {
        let (found, message) = refused(&cloud, action, body.clone()).await;
        assert_eq!(found, code, "{action} {body}: {message}");
    }
    put(&cloud, &"/a".repeat(15), "1").await;
    put(&cloud, &"a".repeat(1011), "1").await;
}

#[tokio::test]
async fn tags_are_put_on_and_taken_off() {
    let cloud = Cloud::new();
    let make = json!({
        "Name": "/a", "Value": "1", "Type": "String", "Tags": [{"Key": "one", "Value": "1"}],
    });
    call(&cloud, "PutParameter", make).await;
    let content = r#"{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{}}"#;
    let document = json!({
        "Name": "Kind", "Content": content, "DocumentType": "Session",
        "Tags": [{"Key": "one", "Value": "1"}],
    });
    call(&cloud, "CreateDocument", document).await;
    for (kind, id) in [("Parameter", "/a"), ("Document", "Kind")] {
        let with = |key: &str, value: Value| {
            let mut body = json!({"ResourceType": kind, "ResourceId": id});
            body[key] = value;
            body
        };
        let more = json!([{"Key": "two", "Value": "2"}, {"Key": "one", "Value": "3"}]);
        call(&cloud, "AddTagsToResource", with("Tags", more.clone())).await;
        let listed = json!({"ResourceType": kind, "ResourceId": id});
        let tags = call(&cloud, "ListTagsForResource", listed.clone()).await;
        let expected = json!([{"Key": "one", "Value": "3"}, {"Key": "two", "Value": "2"}]);
        assert_eq!(tags["TagList"], expected);
        call(&cloud, "RemoveTagsFromResource", with("TagKeys", json!(["one", "none"]))).await;
        let tags = call(&cloud, "ListTagsForResource", listed).await;
        assert_eq!(tags["TagList"], json!([{"Key": "two", "Value": "2"}]));
    }
}

#[tokio::test]
async fn instances_are_launched_from_an_image_in_a_parameter() {
    let cloud = Cloud::new();
    let image = cloud.image().await;
    let make = json!({
        "Name": "/golden", "Value": image, "Type": "String", "DataType": "aws:ec2:image",
    });
    call(&cloud, "PutParameter", make).await;
    put(&cloud, "/word", "hello").await;
    let (_, subnet) = cloud.network().await;
    let launch = async |alias: &str| {
        let image = format!("resolve:ssm:{alias}");
        let parameters = [
            ("ImageId", image.as_str()),
            ("SubnetId", &subnet),
            ("InstanceType", "t3.micro"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        cloud.ec2("RunInstances", &parameters).await
    };
    for alias in ["/golden", "/golden:1"] {
        assert_eq!(launch(alias).await.ok().text("imageId"), image);
    }
    for alias in ["/word", "/golden:2", "/none"] {
        assert_eq!(launch(alias).await.code(), "SsmInvalidParameter", "{alias}");
    }
}

#[tokio::test]
async fn policies_know_parameters_by_name_and_tags() {
    let cloud = Cloud::new();
    put(&cloud, "/app/port", "80").await;
    put(&cloud, "/db/port", "5432").await;
    let tag = json!({
        "ResourceType": "Parameter", "ResourceId": "/db/port",
        "Tags": [{"Key": "team", "Value": "net"}],
    });
    call(&cloud, "AddTagsToResource", tag.clone()).await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {
            "Effect": "Allow", "Action": "ssm:*",
            "Resource": format!("arn:aws:ssm:*:{ACCOUNT}:parameter/app/*"),
        },
        {
            "Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": "net"}},
        },
    ]});
    cloud.iam("CreateUser", &[("UserName", "mina")]).await.ok();
    let document = policy.to_string();
    let inline =
        [("UserName", "mina"), ("PolicyName", "own"), ("PolicyDocument", document.as_str())];
    cloud.iam("PutUserPolicy", &inline).await.ok();
    let key = cloud.iam("CreateAccessKey", &[("UserName", "mina")]).await.ok();
    let mina = cloud.with_keys(&Keys::of(&key));
    let own = json!({"Name": "/app/port", "Value": "81", "Overwrite": true});
    call(&mina, "PutParameter", own).await;
    let history = call(&mina, "GetParameterHistory", json!({"Name": "/app/port"})).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/mina");
    assert_eq!(history["Parameters"][1]["LastModifiedUser"], arn.as_str());
    let by_arn = format!("arn:aws:ssm:ap-northeast-2:{ACCOUNT}:parameter/app/port:1");
    for name in ["/app/port:1", &by_arn, "/db/port"] {
        call(&mina, "GetParameter", json!({"Name": name})).await;
    }
    for (action, body) in [
        ("PutParameter", json!({"Name": "/db/port", "Value": "1", "Overwrite": true})),
        ("DeleteParameter", json!({"Name": "/db/port"})),
        ("DeleteParameters", json!({"Names": ["/app/port", "/db/port"]})),
        ("GetParameters", json!({"Names": ["/app/port", "/db/port"]})),
        ("GetParameterHistory", json!({"Name": "/db/port"})),
        ("DescribeParameters", json!({})),
        ("AddTagsToResource", tag),
    ] {
        let (code, message) = refused(&mina, action, body).await;
        assert_eq!(code, "AccessDeniedException", "{action}: {message}");
    }
}
