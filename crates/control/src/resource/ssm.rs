//! Parameters of Systems Manager as they are read: the public ones that name machine images, and the
//! account's own.

use gureum_api::{ApiError, ssm};
use gureum_store::Snapshot;
use gureum_types::{
    Timestamp,
    record::{Parameter as Own, ParameterVersion},
};

use super::{
    image, own_parameter,
    parameter_filter::{OF_PATHS, checked, is_beneath},
};
use crate::{
    call::{Answer, Call, text},
    catalogue::{Image, image_id, public_parameters},
    page::page,
};

/// How many parameters a page has when the request does not say.
const PAGE: i32 = 10;

/// The version of every public parameter: none was ever changed.
const VERSION: i64 = 1;

fn shown(call: &Call, name: &str, image: &Image) -> ssm::Parameter {
    // Canonical declares the type of its values, others don't.
    let data_type = match name.starts_with("/aws/service/canonical/") {
        true => "aws:ec2:image",
        false => "text",
    };
    ssm::Parameter {
        name: Some(name.to_owned()),
        r#type: Some("String".into()),
        value: Some(image_id(call.region(), image).to_string()),
        version: Some(VERSION),
        last_modified_date: image.created.parse::<Timestamp>().ok(),
        arn: Some(format!("{}{name}", arn_prefix(call))),
        data_type: Some(data_type.into()),
        ..Default::default()
    }
}

/// Public parameters belong to no account.
fn arn_prefix(call: &Call) -> String {
    format!("arn:aws:ssm:{}::parameter", call.region())
}

/// An account's parameter in one of its versions.
fn own_shown(
    call: &Call,
    name: &str,
    version: &ParameterVersion,
    with_decryption: Option<bool>,
) -> ssm::Parameter {
    ssm::Parameter {
        name: Some(name.to_owned()),
        r#type: Some(version.kind.clone()),
        value: Some(own_parameter::value(version, with_decryption)),
        version: Some(version.number),
        last_modified_date: Some(version.modified),
        arn: Some(own_parameter::arn(call, name)),
        data_type: Some(version.data_type.clone()),
        ..Default::default()
    }
}

/// The id of the image that a launch means by `resolve:ssm:` and a parameter. EC2 calls such names
/// aliases.
pub(crate) fn aliased_image(call: &Call, records: &Snapshot, alias: &str) -> Answer<String> {
    let found = named(call, records, alias, None).ok().and_then(|it| it.value);
    found.filter(|id| image::exists(call, records, id)).ok_or_else(|| {
        let message = format!("The following aliases are invalid: {alias}");
        ApiError::new("SsmInvalidParameter", message)
    })
}

/// The parameter that a text names: a name or ARN, with a version after a colon or without.
fn named(
    call: &Call,
    records: &Snapshot,
    text: &str,
    with_decryption: Option<bool>,
) -> Answer<ssm::Parameter> {
    let whole = own_parameter::without_selector(text);
    let selector = text.strip_prefix(whole).and_then(|rest| rest.strip_prefix(':'));
    let number = selector.map(|it| it.parse::<i64>().ok());
    let (name, shown) = match own_parameter::find(call, records, whole) {
        Some(own) => {
            // A selector that is no number is a label, and there are none.
            let version = match number {
                Some(None) => None,
                Some(number) => own.version(number),
                None => own.version(None),
            };
            let shown = version.map(|it| own_shown(call, &own.name, it, with_decryption));
            (own.name.clone(), shown)
        }
        None => {
            let path = whole.strip_prefix(arn_prefix(call).as_str()).unwrap_or(whole);
            let found = public_parameters().find(|(known, _)| *known == path);
            let (name, image) = found.ok_or_else(|| own_parameter::not_found(text))?;
            let is_there = number.is_none_or(|number| number == Some(VERSION));
            (name.to_owned(), is_there.then(|| shown(call, name, image)))
        }
    };
    let selector = selector.map(|it| format!(":{it}"));
    match shown {
        Some(shown) => Ok(ssm::Parameter { selector, ..shown }),
        None => {
            let message = format!(
                "Systems Manager could not find version {} of {name}. Verify the version and try \
                 again.",
                selector.unwrap_or_default().trim_start_matches(':')
            );
            Err(ApiError::new("ParameterVersionNotFound", message))
        }
    }
}

pub(crate) fn parameter(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetParameterRequest,
) -> Answer<ssm::GetParameterResult> {
    let parameter = named(call, records, text(&r.name, "Name")?, r.with_decryption)?;
    Ok(ssm::GetParameterResult { parameter: Some(parameter) })
}

/// Those that are not there are listed instead of failing the whole.
pub(crate) fn parameters(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetParametersRequest,
) -> Answer<ssm::GetParametersResult> {
    let mut answer = ssm::GetParametersResult::default();
    let mut names: Vec<_> = r.names.iter().collect();
    names.sort();
    names.dedup();
    for name in names {
        match named(call, records, name, r.with_decryption) {
            Ok(parameter) => answer.parameters.push(parameter),
            Err(_) => answer.invalid_parameters.push(name.clone()),
        }
    }
    Ok(answer)
}

/// The parameters directly beneath a path, or with `Recursive` all of them. AWS's own are shown to
/// those who ask for them.
pub(crate) fn parameters_by_path(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetParametersByPathRequest,
) -> Answer<ssm::GetParametersByPathResult> {
    let path = text(&r.path, "Path")?;
    if !path.starts_with('/') {
        return Err(ApiError::new(
            "ValidationException",
            "The parameter doesn't meet the parameter name requirements. The parameter name must \
             begin with a forward slash \"/\".",
        ));
    }
    let filters = r.parameter_filters.iter().map(|it| checked(OF_PATHS, it));
    let filters = filters.collect::<Answer<Vec<_>>>()?;
    let recursive = r.recursive.unwrap_or_default();
    let beneath = |name: &str| is_beneath(path, name, recursive);
    let shows_public = path != "/" && filters.iter().all(|it| it.fits("Type", "String"));
    let public = public_parameters().filter(|(name, _)| shows_public && beneath(name));
    let own = records.all::<Own>(&call.scope).filter(|it| beneath(&it.name));
    let own = own.filter(|it| filters.iter().all(|filter| filter.passes(it)));
    let own =
        own.filter_map(|it| Some(own_shown(call, &it.name, it.version(None)?, r.with_decryption)));
    let mut found: Vec<_> = public.map(|(name, image)| shown(call, name, image)).collect();
    found.extend(own);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let size = r.max_results.unwrap_or(PAGE);
    let (parameters, next_token) =
        page(found, Some(size), &r.next_token, |it: &ssm::Parameter| it.name.as_deref())?;
    Ok(ssm::GetParametersByPathResult { parameters, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{image_with_id, newest},
        resource::place::fixture::{Cloud, code},
    };

    const LAB: &str = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2";

    fn get(cloud: &Cloud, name: &str) -> Answer<ssm::Parameter> {
        let r = ssm::GetParameterRequest { name: Some(name.into()), ..Default::default() };
        let found = parameter(&cloud.call, &cloud.records(), &r)?;
        Ok(found.parameter.expect("a parameter"))
    }

    #[test]
    fn the_parameter_of_the_lab_gives_the_newest_image() {
        let cloud = Cloud::new();
        let found = get(&cloud, LAB).expect("a parameter");
        let id = found.value.expect("a value");
        assert_eq!(image_with_id(cloud.call.region(), &id), newest("amzn2-ami-hvm-"));
        let arn = format!("arn:aws:ssm:ap-northeast-2::parameter{LAB}");
        assert_eq!(found.arn.as_deref(), Some(arn.as_str()));
        let made = found.last_modified_date.expect("a date").to_string();
        assert_eq!(Some(made.as_str()), newest("amzn2-ami-hvm-").map(|image| image.created));
        let same = get(&cloud, &format!("{arn}:1")).expect("by ARN and version");
        assert_eq!((same.value, same.selector.as_deref()), (Some(id), Some(":1")));
    }

    #[test]
    fn what_is_not_there_is_said_so() {
        let cloud = Cloud::new();
        assert_eq!(code(get(&cloud, "/my/own")), "ParameterNotFound");
        assert_eq!(code(get(&cloud, &format!("{LAB}:2"))), "ParameterVersionNotFound");
        assert_eq!(code(get(&cloud, &format!("{LAB}:beta"))), "ParameterVersionNotFound");
        let r = ssm::GetParametersRequest {
            names: vec![LAB.into(), "/my/own".into(), LAB.into()],
            ..Default::default()
        };
        let found = parameters(&cloud.call, &cloud.records(), &r).expect("an answer");
        assert_eq!(found.parameters.len(), 1);
        assert_eq!(found.invalid_parameters, ["/my/own"]);
    }

    fn by_path(cloud: &Cloud, r: ssm::GetParametersByPathRequest) -> Answer<Vec<String>> {
        let (mut r, mut names) = (r, Vec::new());
        loop {
            let found = parameters_by_path(&cloud.call, &cloud.records(), &r)?;
            names.extend(found.parameters.into_iter().filter_map(|it| it.name));
            r.next_token = found.next_token;
            if r.next_token.is_none() {
                return Ok(names);
            }
        }
    }

    #[test]
    fn a_path_shows_what_is_beneath() {
        let cloud = Cloud::new();
        let r = |path: &str, recursive| ssm::GetParametersByPathRequest {
            path: Some(path.into()),
            recursive: Some(recursive),
            max_results: Some(3),
            ..Default::default()
        };
        let amazon = by_path(&cloud, r("/aws/service/ami-amazon-linux-latest/", false));
        let amazon = amazon.expect("parameters");
        assert_eq!(amazon.len(), 4);
        assert!(amazon.contains(&LAB.to_owned()));
        assert_eq!(by_path(&cloud, r("/aws/service", false)), Ok(vec![]));
        let all = by_path(&cloud, r("/aws/service", true)).expect("parameters");
        assert_eq!(all.len(), public_parameters().count(), "pages cover everything once");
        assert_eq!(by_path(&cloud, r("/aws/serv", true)), Ok(vec![]), "half a name is no folder");
        assert_eq!(code(by_path(&cloud, r("aws", true))), "ValidationException");
    }

    #[test]
    fn filters_of_a_path_are_heeded() {
        let cloud = Cloud::new();
        let count = |key: &str, option: &str, value: &str| {
            let filter = ssm::ParameterStringFilter {
                key: Some(key.into()),
                option: Some(option.into()),
                values: vec![value.into()],
            };
            let r = ssm::GetParametersByPathRequest {
                path: Some("/aws/service/debian".into()),
                recursive: Some(true),
                parameter_filters: vec![filter],
                ..Default::default()
            };
            by_path(&cloud, r).map(|names| names.len())
        };
        assert_eq!(count("Type", "Equals", "String"), Ok(2));
        assert_eq!(count("Type", "Equals", "SecureString"), Ok(0));
        assert_eq!(count("Type", "BeginsWith", "Str"), Ok(2));
        assert_eq!(count("Label", "Equals", "x"), Ok(0));
        assert_eq!(code(count("Type", "Contains", "x")), "InvalidFilterOption");
        assert_eq!(code(count("Tier", "Equals", "x")), "InvalidFilterKey");
    }
}
