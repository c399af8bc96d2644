//! From an HTTP request to an operation with its parameters.
//!
//! One port serves every service, region and account: the credential scope says which. The
//! operation is the `Action` of a form, or the `X-Amz-Target` of a JSON request.

use std::borrow::Cow;

use gureum_types::{AccountId, Region};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Map, Value};

use crate::{
    credential::CallerScope,
    error::ApiError,
    form::{self, Node},
    json, query,
    service::{Op, Operation, Protocol, Service},
    signature::Signature,
};

/// A request whose operation and caller are known.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// What to do.
    pub operation: Operation,
    /// Who asks, and where.
    pub scope: CallerScope,
    /// What shows that it is them who ask; not verified yet.
    pub signature: Signature,
    /// The authority that the client used, as `localhost:4566`; empty where it says none.
    pub endpoint: String,
    parameters: Parameters,
}

/// The parameters, not yet read as a shape.
#[derive(Clone, Debug)]
enum Parameters {
    Form(Node),
    Json(Map<String, Value>),
}

/// A request that cannot be routed, and the protocol to say so in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The protocol that the client seems to speak.
    pub protocol: Protocol,
    /// Why.
    pub error: ApiError,
}

/// Finds out what a request asks and who asks it.
pub fn route(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ApiRequest, Refused> {
    let guess = guess_protocol(headers);
    let query = form::pairs(uri.query().unwrap_or_default().as_bytes());
    let query = query.map_err(|error| Refused { protocol: guess, error })?;
    let signature = Signature::with_query(method, uri, headers, &query, Some(body));
    let signature = signature.map_err(|error| match without_provider(headers, &query, body) {
        Some(error) => Refused { protocol: Protocol::AwsQuery, error },
        None => Refused { protocol: guess, error },
    })?;
    let signed_for = signature.credential().service();
    let Some(service) = Service::from_signing_name(signed_for) else {
        let message = format!("The service {signed_for} is not served here.");
        return Err(Refused { protocol: guess, error: ApiError::new("InvalidAction", message) });
    };
    let protocol = service.info().protocol;
    let read = || {
        if method != Method::POST && method != Method::GET {
            let message = format!("The method {method} is not allowed.");
            return Err(ApiError::new("MethodNotAllowed", message)
                .with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let scope = signature.credential().scope(service)?;
        let (operation, parameters) = match protocol {
            Protocol::Ec2Query | Protocol::AwsQuery => read_form(service, query, body)?,
            Protocol::AwsJson11 => read_json(service, headers, body)?,
        };
        let endpoint = endpoint(uri, headers);
        Ok(ApiRequest { operation, scope, signature, endpoint, parameters })
    };
    read().map_err(|error| Refused { protocol, error })
}

impl ApiRequest {
    /// Reads the parameters as the input of `O`, which must be the request's operation.
    pub fn decode<O: Op>(&self) -> Result<O::Input, ApiError> {
        let service = self.operation.service();
        if O::SERVICE.service != service || O::NAME != self.operation.name() {
            let detail = format!("{} read as {}", self.operation.name(), O::NAME);
            return Err(ApiError::internal_error(detail));
        }
        let mut input = O::Input::default();
        match &self.parameters {
            Parameters::Form(node) => query::decode(O::SERVICE.protocol, &mut input, node)?,
            Parameters::Json(object) => {
                json::decode(&mut input, object).map_err(|error| match service {
                    // It has a name of its own for what others call so.
                    Service::Logs if error.code == "ValidationException" => {
                        ApiError { code: "InvalidParameterException", ..error }
                    }
                    _ => error,
                })?;
            }
        }
        Ok(input)
    }

    /// The parameters as they came: their names with dots and numbers for what is below and in
    /// order, and their texts.
    pub fn leaves(&self) -> Vec<(String, Cow<'_, str>)> {
        let mut found = Vec::new();
        match &self.parameters {
            Parameters::Form(node) => node.leaves("", &mut found),
            Parameters::Json(object) => {
                for (name, value) in object {
                    json::leaves(name, value, &mut found);
                }
            }
        }
        found
    }

    /// The protocol that answers must speak.
    pub fn protocol(&self) -> Protocol {
        self.operation.service().info().protocol
    }

    /// The caller's region.
    pub fn region(&self) -> &Region {
        &self.scope.region
    }

    /// The caller's account.
    pub fn account(&self) -> &AccountId {
        &self.scope.account
    }
}

/// The authority of a request: of its URI, or its Host header.
fn endpoint(uri: &Uri, headers: &HeaderMap) -> String {
    let host = || headers.get(header::HOST)?.to_str().ok();
    uri.authority().map(|it| it.as_str()).or_else(host).unwrap_or_default().to_owned()
}

fn read_form(
    service: Service,
    query: Vec<(String, String)>,
    body: &[u8],
) -> Result<(Operation, Parameters), ApiError> {
    let mut pairs = query;
    pairs.retain(|(name, _)| !name.starts_with("X-Amz-"));
    pairs.extend(form::pairs(body)?);
    let mut parameters = Node::from_pairs(pairs)?;
    let mut take = |name: &str| parameters.children.remove(name).and_then(|node| node.value);
    let info = service.info();
    let Some(action) = take("Action").filter(|action| !action.is_empty()) else {
        return Err(match info.protocol {
            Protocol::Ec2Query => ApiError::missing_parameter("Action"),
            _ => ApiError::new("MissingAction", "The request is missing an Action parameter."),
        });
    };
    match take("Version") {
        Some(version) if version == info.version => {}
        Some(version) => {
            let message = format!(
                "The requested version ({version}) of service {} does not exist",
                info.signing_name
            );
            return Err(ApiError::new("NoSuchVersion", message));
        }
        None => return Err(ApiError::missing_parameter("Version")),
    }
    let operation = service.operation(&action).ok_or_else(|| ApiError::invalid_action(&action))?;
    Ok((operation, Parameters::Form(parameters)))
}

fn read_json(
    service: Service,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Operation, Parameters), ApiError> {
    let unknown = |target: &str| {
        let message = format!("The operation {target} is not served here.");
        ApiError::new("UnknownOperationException", message)
    };
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let Some((prefix, name)) = target.and_then(|target| target.rsplit_once('.')) else {
        return Err(unknown(target.unwrap_or("(no X-Amz-Target)")));
    };
    if prefix != service.info().target_prefix {
        return Err(ApiError::signature_mismatch(
            "Credential should be scoped to correct service.",
        ));
    }
    let operation = service.operation(name).ok_or_else(|| unknown(name))?;
    Ok((operation, Parameters::Json(json::parse(body)?)))
}

/// What is asked without a signature by design, on the word of an identity provider. There are none.
fn without_provider(
    headers: &HeaderMap,
    query: &[(String, String)],
    body: &[u8],
) -> Option<ApiError> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let body = form::pairs(body).unwrap_or_default();
    let action = query.iter().chain(&body).find(|(name, _)| name == "Action");
    let (provider, subject) = match action.map(|(_, action)| action.as_str())? {
        "AssumeRoleWithWebIdentity" => ("OpenIDConnect provider", "this token"),
        "AssumeRoleWithSAML" => ("SAML provider", "this assertion"),
        _ => return None,
    };
    let message = format!("No {provider} found in your account for {subject}");
    Some(ApiError::new("InvalidIdentityToken", message))
}

/// What an unsigned or mis-signed request seems to speak: by its target, else by its host.
fn guess_protocol(headers: &HeaderMap) -> Protocol {
    if headers.contains_key("x-amz-target") {
        return Protocol::AwsJson11;
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let label = host.split(['.', ':']).next().unwrap_or_default();
    match Service::from_signing_name(label) {
        Some(service) => service.info().protocol,
        None => Protocol::Ec2Query,
    }
}
