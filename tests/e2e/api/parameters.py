"""Parameters of Systems Manager that an account owns."""

from harness import case, client, refused, same, shows

ACCOUNT = "200000000019"


def ssm():
    return client("ssm", ACCOUNT)


def names(answer):
    return [one["Name"] for one in answer["Parameters"]]


@case("parameters: versions are made, selected, listed and taken away")
def versions():
    made = ssm().put_parameter(Name="/v/port", Value="80", Type="String", Description="a port")
    shows(made, {"Version": 1, "Tier": "Standard"})
    ssm().put_parameter(Name="/v/port", Value="8080", Overwrite=True)
    shows(
        ssm().get_parameter(Name="/v/port")["Parameter"],
        {
            "Name": "/v/port",
            "Type": "String",
            "Value": "8080",
            "Version": 2,
            "ARN": f"arn:aws:ssm:ap-northeast-2:{ACCOUNT}:parameter/v/port",
            "DataType": "text",
        },
    )
    first = ssm().get_parameter(Name="/v/port:1")["Parameter"]
    shows(first, {"Value": "80", "Version": 1, "Selector": ":1"})
    pages = ssm().get_paginator("get_parameter_history").paginate(
        Name="/v/port", PaginationConfig={"PageSize": 1}
    )
    history = [one for page in pages for one in page["Parameters"]]
    same([one["Value"] for one in history], ["80", "8080"], "the oldest first")
    shows(history[0], {"Description": "a port", "LastModifiedUser": f"arn:aws:iam::{ACCOUNT}:root"})
    gone = ssm().delete_parameters(Names=["/v/port", "/v/none"])
    shows(gone, {"DeletedParameters": ["/v/port"], "InvalidParameters": ["/v/none"]})


@case("parameters: secrets are shown to those who ask for them")
def secrets():
    ssm().put_parameter(Name="/s/word", Value="open sesame", Type="SecureString")
    hidden = ssm().get_parameter(Name="/s/word")["Parameter"]
    same("sesame" in hidden["Value"], False, "not asked for")
    shown = ssm().get_parameter(Name="/s/word", WithDecryption=True)["Parameter"]
    shows(shown, {"Type": "SecureString", "Value": "open sesame"})
    described = ssm().describe_parameters(
        ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": ["/s/word"]}]
    )
    shows(described["Parameters"][0], {"KeyId": "alias/aws/ssm", "Tier": "Standard"})
    ssm().delete_parameter(Name="/s/word")


@case("parameters: paths, filters and tags find them")
def found():
    for name in ("/f/a", "/f/b", "/f/deep/c"):
        ssm().put_parameter(Name=name, Value="1", Type="String")
    same(names(ssm().get_parameters_by_path(Path="/f")), ["/f/a", "/f/b"], "directly beneath")
    below = ssm().get_parameters_by_path(Path="/f", Recursive=True)
    same(names(below), ["/f/a", "/f/b", "/f/deep/c"], "all beneath")
    tags = [{"Key": "team", "Value": "net"}]
    ssm().add_tags_to_resource(ResourceType="Parameter", ResourceId="/f/b", Tags=tags)
    listed = ssm().list_tags_for_resource(ResourceType="Parameter", ResourceId="/f/b")
    same(listed["TagList"], tags, "the tags")
    by_tag = [{"Key": "tag:team", "Values": ["net"]}]
    same(names(ssm().describe_parameters(ParameterFilters=by_tag)), ["/f/b"], "by its tag")
    ssm().remove_tags_from_resource(
        ResourceType="Parameter", ResourceId="/f/b", TagKeys=["team"]
    )
    same(names(ssm().describe_parameters(ParameterFilters=by_tag)), [], "without the tag")
    ssm().delete_parameters(Names=["/f/a", "/f/b", "/f/deep/c"])


@case("parameters: what cannot be is refused in the words of SSM")
def mistakes():
    def put(**more):
        wanted = {"Name": "/m/x", "Value": "1", "Type": "String", **more}
        return lambda: ssm().put_parameter(**wanted)

    put()()
    refused(put(), "ParameterAlreadyExists")
    refused(put(Name="/m/y", AllowedPattern="[a-z]"), "ParameterPatternMismatchException")
    refused(put(Name="/m/y", Value="x" * 4097), "ValidationException")
    refused(put(Name="/m/y", DataType="aws:ec2:image"), "ValidationException")
    refused(put(Name="aws-mine"), "ValidationException")
    refused(put(Name="/a" * 16), "HierarchyLevelLimitExceededException")
    refused(lambda: ssm().get_parameter(Name="/m/x:7"), "ParameterVersionNotFound")
    refused(lambda: ssm().get_parameter_history(Name="/m/none"), "ParameterNotFound")
    refused(lambda: ssm().delete_parameter(Name="/m/none"), "ParameterNotFound")
    absent = {"ResourceType": "Parameter", "ResourceId": "/m/none"}
    refused(lambda: ssm().list_tags_for_resource(**absent), "InvalidResourceId")
    ssm().delete_parameter(Name="/m/x")
