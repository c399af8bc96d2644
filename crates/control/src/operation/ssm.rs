//! Systems Manager's operations.

use super::operations;
use crate::resource::{
    command, document, managed_instance, own_document, own_parameter, session, ssm as parameter,
    ssm_tag,
};

operations! { ssm
    AddTagsToResource: write ssm_tag::add, obeyed ["ResourceId", "ResourceType", "Tags"];
    CancelCommand: write command::cancel, obeyed ["CommandId", "InstanceIds"];
    CreateDocument: write own_document::create, obeyed [
        "Content", "DocumentFormat", "DocumentType", "Name", "Tags", "VersionName",
    ];
    DeleteDocument: write own_document::delete, obeyed ["Name"];
    DeleteParameter: write own_parameter::delete, obeyed ["Name"];
    DeleteParameters: write own_parameter::delete_several, obeyed ["Names"];
    DescribeDocument: read document::describe, obeyed ["DocumentVersion", "Name"];
    DescribeInstanceInformation: read managed_instance::describe, obeyed [
        "Filters", "InstanceInformationFilterList", "MaxResults", "NextToken",
    ];
    DescribeParameters: read own_parameter::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "ParameterFilters",
    ];
    DescribeSessions: read session::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "State",
    ];
    GetCommandInvocation: read command::invocation, obeyed [
        "CommandId", "InstanceId", "PluginName",
    ];
    GetConnectionStatus: read session::connection_status, obeyed ["Target"];
    GetDocument: read document::get, obeyed ["DocumentFormat", "DocumentVersion", "Name"];
    GetParameter: read parameter::parameter, obeyed ["Name", "WithDecryption"];
    GetParameterHistory: read own_parameter::history, obeyed [
        "MaxResults", "Name", "NextToken", "WithDecryption",
    ];
    GetParameters: read parameter::parameters, obeyed ["Names", "WithDecryption"];
    GetParametersByPath: read parameter::parameters_by_path, obeyed [
        "MaxResults", "NextToken", "ParameterFilters", "Path", "Recursive", "WithDecryption",
    ];
    ListCommandInvocations: read command::invocations, obeyed [
        "CommandId", "Details", "Filters", "InstanceId", "MaxResults", "NextToken",
    ];
    ListCommands: read command::list, obeyed [
        "CommandId", "Filters", "InstanceId", "MaxResults", "NextToken",
    ];
    ListDocumentVersions: read document::versions, obeyed ["MaxResults", "Name", "NextToken"];
    ListDocuments: read document::list, obeyed [
        "DocumentFilterList", "Filters", "MaxResults", "NextToken",
    ];
    ListInstanceAssociations: read managed_instance::associations, obeyed [
        "InstanceId", "MaxResults", "NextToken",
    ];
    ListTagsForResource: read ssm_tag::list, obeyed ["ResourceId", "ResourceType"];
    PutParameter: write own_parameter::put, obeyed [
        "AllowedPattern", "DataType", "Description", "Name", "Overwrite", "Tags", "Tier", "Type",
        "Value",
    ], recorded ["KeyId"];
    RegisterManagedInstance: read managed_instance::register, obeyed [
        "ActivationCode", "ActivationId", "Fingerprint", "IamRole", "PublicKey", "PublicKeyType",
    ];
    RemoveTagsFromResource: write ssm_tag::remove, obeyed ["ResourceId", "ResourceType", "TagKeys"];
    RequestManagedInstanceRoleToken: read managed_instance::role_token, obeyed ["Fingerprint"];
    ResumeSession: read session::resume, obeyed ["SessionId"];
    SendCommand: write command::send, obeyed [
        "Comment", "DocumentName", "DocumentVersion", "InstanceIds", "Parameters", "Targets",
        "TimeoutSeconds",
    ], recorded ["MaxConcurrency", "MaxErrors"];
    StartSession: custom session::start, obeyed ["DocumentName", "Parameters", "Reason", "Target"];
    TerminateSession: read session::terminate, obeyed ["SessionId"];
    UpdateDocument: write own_document::update, obeyed [
        "Content", "DocumentFormat", "DocumentVersion", "Name", "VersionName",
    ];
    UpdateDocumentDefaultVersion: write own_document::set_default, obeyed [
        "DocumentVersion", "Name",
    ];
    UpdateInstanceInformation: write managed_instance::update, obeyed [
        "AgentName", "AgentStatus", "AgentVersion", "AvailabilityZone", "AvailabilityZoneId",
        "ComputerName", "IPAddress", "InstanceId", "PlatformName", "PlatformType",
        "PlatformVersion", "SSMConnectionChannel",
    ];
}
