"""Documents of sessions that an account makes, and the preferences of all its sessions."""

import json

from harness import case, client, refused, same, shows

ACCOUNT = "200000000017"
PREFERENCES = "SSM-SessionManagerRunShell"


def ssm():
    return client("ssm", ACCOUNT)


def content(**inputs):
    return json.dumps(
        {
            "schemaVersion": "1.0",
            "description": "ours",
            "sessionType": "Standard_Stream",
            "inputs": inputs,
        }
    )


def made(name, text):
    return ssm().create_document(Name=name, Content=text, DocumentType="Session")


@case("documents: preferences of sessions are made, changed and taken away")
def preferences():
    same(ssm().describe_document(Name=PREFERENCES)["Document"]["Owner"], "Amazon", "at first")
    text = content(cloudWatchLogGroupName="sessions")
    shows(
        made(PREFERENCES, text)["DocumentDescription"],
        {
            "Name": PREFERENCES,
            "Owner": ACCOUNT,
            "DocumentVersion": "1",
            "LatestVersion": "1",
            "DefaultVersion": "1",
            "DocumentType": "Session",
            "DocumentFormat": "JSON",
            "SchemaVersion": "1.0",
            "Description": "ours",
            "Status": "Active",
        },
    )
    same(ssm().get_document(Name=PREFERENCES)["Content"], text, "as given")
    changed = ssm().update_document(
        Name=PREFERENCES, Content=content(), DocumentVersion="$LATEST"
    )
    same(changed["DocumentDescription"]["DocumentVersion"], "2", "a version more")
    same(ssm().get_document(Name=PREFERENCES)["DocumentVersion"], "2", "which holds at once")
    ssm().delete_document(Name=PREFERENCES)
    same(ssm().describe_document(Name=PREFERENCES)["Document"]["Owner"], "Amazon", "at last")


@case("documents: versions are listed, and one of them is the default")
def versions():
    made("Kind", content())
    ssm().update_document(Name="Kind", Content=content(kmsKeyId=""), VersionName="two")
    listed = ssm().list_document_versions(Name="Kind")["DocumentVersions"]
    found = [(one["DocumentVersion"], one["IsDefaultVersion"]) for one in listed]
    same(found, [("2", False), ("1", True)], "before")
    set_ = ssm().update_document_default_version(Name="Kind", DocumentVersion="2")
    shows(set_["Description"], {"Name": "Kind", "DefaultVersion": "2", "DefaultVersionName": "two"})
    same(ssm().get_document(Name="Kind")["VersionName"], "two", "after")
    own = ssm().list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])
    same([one["Name"] for one in own["DocumentIdentifiers"]], ["Kind"], "ours")
    ssm().delete_document(Name="Kind")


@case("documents: what cannot be made or changed is refused in the words of SSM")
def mistakes():
    made("Once", content())
    refused(lambda: made("Once", content()), "DocumentAlreadyExists")
    refused(lambda: made("Other", "{"), "InvalidDocumentContent")
    refused(lambda: made("AWS-Mine", content()), "ValidationException")
    same_again = lambda: ssm().update_document(Name="Once", Content=content())  # noqa: E731
    refused(same_again, "DuplicateDocumentContent")
    absent = lambda: ssm().update_document(Name="None", Content=content())  # noqa: E731
    refused(absent, "InvalidDocument")
    default = lambda: ssm().update_document_default_version(  # noqa: E731
        Name="Once", DocumentVersion="9"
    )
    refused(default, "InvalidDocumentVersion")
    refused(lambda: ssm().delete_document(Name="AWS-StartSSHSession"), "InvalidDocumentOperation")
    refused(lambda: ssm().list_document_versions(Name="None"), "InvalidDocument")
    ssm().delete_document(Name="Once")
