//! IAM's operations.

use super::operations;
use crate::resource::iam::{
    access_key, account, attachment, boundary, group, inline_policy, instance_profile,
    managed_policy as policy, role, service_linked_role, simulation, tags, user,
};

operations! { iam
    AddRoleToInstanceProfile: write instance_profile::add_role, obeyed [
        "InstanceProfileName", "RoleName",
    ];
    AddUserToGroup: write group::add_user, obeyed ["GroupName", "UserName"];
    AttachGroupPolicy: write attachment::group::attach, obeyed ["GroupName", "PolicyArn"];
    AttachRolePolicy: write attachment::role::attach, obeyed ["PolicyArn", "RoleName"];
    AttachUserPolicy: write attachment::user::attach, obeyed ["PolicyArn", "UserName"];
    CreateAccessKey: write access_key::create, obeyed ["UserName"];
    CreateAccountAlias: write account::create_alias, obeyed ["AccountAlias"];
    CreateGroup: write group::create, obeyed ["GroupName", "Path"];
    CreateInstanceProfile: write instance_profile::create, obeyed [
        "InstanceProfileName", "Path", "Tags",
    ];
    CreatePolicy: write policy::create, obeyed [
        "Description", "Path", "PolicyDocument", "PolicyName", "Tags",
    ];
    CreatePolicyVersion: write policy::create_version, obeyed [
        "PolicyArn", "PolicyDocument", "SetAsDefault",
    ];
    CreateRole: write role::create, obeyed [
        "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Path",
        "PermissionsBoundary", "RoleName", "Tags",
    ];
    CreateServiceLinkedRole: write service_linked_role::create, obeyed [
        "AWSServiceName", "CustomSuffix", "Description",
    ];
    CreateUser: write user::create, obeyed ["Path", "PermissionsBoundary", "Tags", "UserName"];
    DeleteAccessKey: write access_key::delete, obeyed ["AccessKeyId", "UserName"];
    DeleteAccountAlias: write account::delete_alias, obeyed ["AccountAlias"];
    DeleteGroup: write group::delete, obeyed ["GroupName"];
    DeleteGroupPolicy: write inline_policy::group::delete, obeyed ["GroupName", "PolicyName"];
    DeleteInstanceProfile: write instance_profile::delete, obeyed ["InstanceProfileName"];
    DeletePolicy: write policy::delete, obeyed ["PolicyArn"];
    DeletePolicyVersion: write policy::delete_version, obeyed ["PolicyArn", "VersionId"];
    DeleteRole: write role::delete, obeyed ["RoleName"];
    DeleteRolePermissionsBoundary: write boundary::delete_of_role, obeyed ["RoleName"];
    DeleteRolePolicy: write inline_policy::role::delete, obeyed ["PolicyName", "RoleName"];
    DeleteServiceLinkedRole: write service_linked_role::delete, obeyed ["RoleName"];
    DeleteUser: write user::delete, obeyed ["UserName"];
    DeleteUserPermissionsBoundary: write boundary::delete_of_user, obeyed ["UserName"];
    DeleteUserPolicy: write inline_policy::user::delete, obeyed ["PolicyName", "UserName"];
    DetachGroupPolicy: write attachment::group::detach, obeyed ["GroupName", "PolicyArn"];
    DetachRolePolicy: write attachment::role::detach, obeyed ["PolicyArn", "RoleName"];
    DetachUserPolicy: write attachment::user::detach, obeyed ["PolicyArn", "UserName"];
    GetAccessKeyLastUsed: read access_key::last_used, obeyed ["AccessKeyId"];
    GetAccountAuthorizationDetails: read account::authorization_details, obeyed [
        "Filter", "Marker", "MaxItems",
    ];
    GetAccountSummary: read account::summary, obeyed [];
    GetContextKeysForCustomPolicy: read simulation::keys_of_custom, obeyed ["PolicyInputList"];
    GetContextKeysForPrincipalPolicy: read simulation::keys_of_principal, obeyed [
        "PolicyInputList", "PolicySourceArn",
    ];
    GetGroup: read group::get, obeyed ["GroupName", "Marker", "MaxItems"];
    GetGroupPolicy: read inline_policy::group::get, obeyed ["GroupName", "PolicyName"];
    GetInstanceProfile: read instance_profile::get, obeyed ["InstanceProfileName"];
    GetPolicy: read policy::get, obeyed ["PolicyArn"];
    GetPolicyVersion: read policy::get_version, obeyed ["PolicyArn", "VersionId"];
    GetRole: read role::get, obeyed ["RoleName"];
    GetRolePolicy: read inline_policy::role::get, obeyed ["PolicyName", "RoleName"];
    GetServiceLinkedRoleDeletionStatus: read service_linked_role::deletion_status, obeyed [
        "DeletionTaskId",
    ];
    GetUser: read user::get, obeyed ["UserName"];
    GetUserPolicy: read inline_policy::user::get, obeyed ["PolicyName", "UserName"];
    ListAccessKeys: read access_key::list, obeyed ["Marker", "MaxItems", "UserName"];
    ListAccountAliases: read account::list_aliases, obeyed ["Marker", "MaxItems"];
    ListAttachedGroupPolicies: read attachment::group::list, obeyed [
        "GroupName", "Marker", "MaxItems", "PathPrefix",
    ];
    ListAttachedRolePolicies: read attachment::role::list, obeyed [
        "Marker", "MaxItems", "PathPrefix", "RoleName",
    ];
    ListAttachedUserPolicies: read attachment::user::list, obeyed [
        "Marker", "MaxItems", "PathPrefix", "UserName",
    ];
    ListEntitiesForPolicy: read attachment::entities, obeyed [
        "EntityFilter", "Marker", "MaxItems", "PathPrefix", "PolicyArn", "PolicyUsageFilter",
    ];
    ListGroupPolicies: read inline_policy::group::list, obeyed ["GroupName", "Marker", "MaxItems"];
    ListGroups: read group::list, obeyed ["Marker", "MaxItems", "PathPrefix"];
    ListGroupsForUser: read group::of_user, obeyed ["Marker", "MaxItems", "UserName"];
    ListInstanceProfileTags: read tags::instance_profile::list, obeyed [
        "InstanceProfileName", "Marker", "MaxItems",
    ];
    ListInstanceProfiles: read instance_profile::list, obeyed [
        "Marker", "MaxItems", "PathPrefix",
    ];
    ListInstanceProfilesForRole: read instance_profile::of_role, obeyed [
        "Marker", "MaxItems", "RoleName",
    ];
    ListPolicies: read policy::list, obeyed [
        "Marker", "MaxItems", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "Scope",
    ];
    ListPolicyTags: read tags::policy::list, obeyed ["Marker", "MaxItems", "PolicyArn"];
    ListPolicyVersions: read policy::list_versions, obeyed ["Marker", "MaxItems", "PolicyArn"];
    ListRolePolicies: read inline_policy::role::list, obeyed ["Marker", "MaxItems", "RoleName"];
    ListRoleTags: read tags::role::list, obeyed ["Marker", "MaxItems", "RoleName"];
    ListRoles: read role::list, obeyed ["Marker", "MaxItems", "PathPrefix"];
    ListUserPolicies: read inline_policy::user::list, obeyed ["Marker", "MaxItems", "UserName"];
    ListUserTags: read tags::user::list, obeyed ["Marker", "MaxItems", "UserName"];
    ListUsers: read user::list, obeyed ["Marker", "MaxItems", "PathPrefix"];
    PutGroupPolicy: write inline_policy::group::put, obeyed [
        "GroupName", "PolicyDocument", "PolicyName",
    ];
    PutRolePermissionsBoundary: write boundary::put_on_role, obeyed [
        "PermissionsBoundary", "RoleName",
    ];
    PutRolePolicy: write inline_policy::role::put, obeyed [
        "PolicyDocument", "PolicyName", "RoleName",
    ];
    PutUserPermissionsBoundary: write boundary::put_on_user, obeyed [
        "PermissionsBoundary", "UserName",
    ];
    PutUserPolicy: write inline_policy::user::put, obeyed [
        "PolicyDocument", "PolicyName", "UserName",
    ];
    RemoveRoleFromInstanceProfile: write instance_profile::remove_role, obeyed [
        "InstanceProfileName", "RoleName",
    ];
    RemoveUserFromGroup: write group::remove_user, obeyed ["GroupName", "UserName"];
    SetDefaultPolicyVersion: write policy::set_default_version, obeyed ["PolicyArn", "VersionId"];
    SimulateCustomPolicy: read simulation::custom, obeyed [
        "ActionNames", "CallerArn", "ContextEntries", "Marker", "MaxItems",
        "PermissionsBoundaryPolicyInputList", "PolicyInputList", "ResourceArns",
        "ResourceOwner", "ResourcePolicy",
    ];
    SimulatePrincipalPolicy: read simulation::of_principal, obeyed [
        "ActionNames", "CallerArn", "ContextEntries", "Marker", "MaxItems",
        "PermissionsBoundaryPolicyInputList", "PolicyInputList", "PolicySourceArn", "ResourceArns",
        "ResourceOwner", "ResourcePolicy",
    ];
    TagInstanceProfile: write tags::instance_profile::tag, obeyed ["InstanceProfileName", "Tags"];
    TagPolicy: write tags::policy::tag, obeyed ["PolicyArn", "Tags"];
    TagRole: write tags::role::tag, obeyed ["RoleName", "Tags"];
    TagUser: write tags::user::tag, obeyed ["Tags", "UserName"];
    UntagInstanceProfile: write tags::instance_profile::untag, obeyed [
        "InstanceProfileName", "TagKeys",
    ];
    UntagPolicy: write tags::policy::untag, obeyed ["PolicyArn", "TagKeys"];
    UntagRole: write tags::role::untag, obeyed ["RoleName", "TagKeys"];
    UntagUser: write tags::user::untag, obeyed ["TagKeys", "UserName"];
    UpdateAccessKey: write access_key::update, obeyed ["AccessKeyId", "Status", "UserName"];
    UpdateAssumeRolePolicy: write role::update_trust, obeyed ["PolicyDocument", "RoleName"];
    UpdateGroup: write group::update, obeyed ["GroupName", "NewGroupName", "NewPath"];
    UpdateRole: write role::update, obeyed ["Description", "MaxSessionDuration", "RoleName"];
    UpdateRoleDescription: write role::update_description, obeyed ["Description", "RoleName"];
    UpdateUser: write user::update, obeyed ["NewPath", "NewUserName", "UserName"];
}
