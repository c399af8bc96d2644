//! Parameters that an operation does not act on are refused by name, never dropped.

use gureum_api::{
    ApiError,
    shape::{Content, Field, Structure, View},
};

use crate::{call::Answer, operation::Parameters};

/// Refuses a request that says something that is neither obeyed nor recorded. What says nothing
/// (false, empty text, a structure of such) is no reason to refuse: clients send it as a matter
/// of course.
pub(crate) fn only(input: &dyn Structure, parameters: Parameters) -> Answer<()> {
    check(input, "", parameters)
}

/// Whether the request asks for a rehearsal (API-3).
pub(crate) fn is_dry_run(input: &dyn Structure) -> bool {
    let mut members = input.members().iter().zip(input.fields());
    members.any(|(member, field)| {
        member.name == "DryRun" && matches!(field.content(), Content::One(View::Bool(true)))
    })
}

fn check(structure: &dyn Structure, prefix: &str, parameters: Parameters) -> Answer<()> {
    let accepted = || parameters.obeyed.iter().chain(parameters.recorded);
    for (member, field) in structure.members().iter().zip(structure.fields()) {
        let path = format!("{prefix}{}", member.name);
        if path == "DryRun" || accepted().any(|name| *name == path) || !says_something(field) {
            continue;
        }
        let below = format!("{path}.");
        if !accepted().any(|name| name.starts_with(&below)) {
            let message = format!("The parameter {path} is not supported.");
            return Err(ApiError::unsupported_operation(message));
        }
        for view in views(field) {
            if let View::Structure(structure) = view {
                check(structure, &below, parameters)?;
            }
        }
    }
    Ok(())
}

fn views(field: &dyn Field) -> Vec<View<'_>> {
    match field.content() {
        Content::Absent => Vec::new(),
        Content::One(view) => vec![view],
        Content::Many(views) => views,
        Content::Map(entries) => entries.into_iter().map(|(_, view)| view).collect(),
    }
}

fn says_something(field: &dyn Field) -> bool {
    views(field).into_iter().any(|view| match view {
        View::Text(text) => !text.is_empty(),
        View::Bool(value) => value,
        View::Structure(structure) => structure.fields().into_iter().any(says_something),
        View::Nested(field) => says_something(field),
        View::Integer(_) | View::Float(_) | View::Time(_) | View::Blob(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use gureum_api::ec2;

    use super::*;

    fn obeyed(obeyed: &'static [&'static str]) -> Parameters {
        Parameters { obeyed, recorded: &[] }
    }

    #[test]
    fn what_is_not_acted_on_is_refused_by_name() {
        let mut input = ec2::CreateVpcRequest {
            cidr_block: Some("10.0.0.0/16".into()),
            amazon_provided_ipv6_cidr_block: Some(false),
            ipv6_pool: Some(String::new()),
            ..Default::default()
        };
        assert_eq!(only(&input, obeyed(&["CidrBlock"])), Ok(()), "false and empty say nothing");
        input.ipv6_pool = Some("pool".into());
        let refused = only(&input, obeyed(&["CidrBlock"])).expect_err("a pool is not acted on");
        assert_eq!(refused.code, "UnsupportedOperation");
        assert!(refused.message.contains("Ipv6Pool"));
        let recorded = Parameters { obeyed: &["CidrBlock"], recorded: &["Ipv6Pool"] };
        assert_eq!(only(&input, recorded), Ok(()), "what is shown again is not dropped");
    }

    #[test]
    fn members_of_structures_have_names_of_their_own() {
        let input = ec2::RunInstancesRequest {
            placement: Some(ec2::Placement {
                availability_zone: Some("ap-northeast-2a".into()),
                host_id: Some("h-1".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(only(&input, obeyed(&["Placement"])).is_ok());
        let refused =
            only(&input, obeyed(&["Placement.AvailabilityZone"])).expect_err("no hosts here");
        assert!(refused.message.contains("Placement.HostId"));
    }

    #[test]
    fn a_rehearsal_is_recognised() {
        let mut input = ec2::CreateVpcRequest::default();
        assert!(!is_dry_run(&input));
        input.dry_run = Some(true);
        assert!(is_dry_run(&input));
    }
}
