//! The web sites of the internet's hosts, one function a role.

use std::net::SocketAddr;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};

use super::{
    git::GitHost,
    hosts::{Host, Role},
};
use crate::http::{escaped, host_of, respond, sentence};

/// A request to a site, without its body.
pub(super) struct Visit<'a> {
    pub(super) host: &'a Host,
    pub(super) head: &'a request::Parts,
    pub(super) peer: SocketAddr,
    /// Whether it came over TLS.
    pub(super) secure: bool,
}

impl Visit<'_> {
    /// The name that the client used, if it is one of the host's.
    fn name(&self) -> Option<String> {
        let name = requested_host(&self.head.headers, &self.head.uri)?;
        self.host.is_called(&name).then_some(name)
    }

    fn path(&self) -> &str {
        self.head.uri.path()
    }
}

fn requested_host(headers: &HeaderMap, uri: &http::Uri) -> Option<String> {
    let authority = uri.authority().map(|authority| authority.as_str());
    let header = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    authority.or_else(header).map(host_of)
}

/// Answers for every role but the AWS API, which is not ours.
pub(super) fn answer(role: Role, git: &GitHost, visit: &Visit<'_>) -> Response<Body> {
    if !matches!(visit.head.method, Method::GET | Method::HEAD) {
        return sentence(StatusCode::METHOD_NOT_ALLOWED, "this site is read only");
    }
    match role {
        // A body with the address and a newline is what scripts read.
        Role::EchoAddress => sentence(StatusCode::OK, visit.peer.ip().to_canonical()),
        Role::Page => page(visit),
        Role::PackageRepository => packages(visit),
        Role::Git => repositories(git, visit),
        Role::Resolver | Role::AwsApi => sentence(StatusCode::NOT_FOUND, "there is no site here"),
    }
}

fn page(visit: &Visit<'_>) -> Response<Body> {
    let name = visit.name();
    let name = name.as_deref().or(visit.host.literal_name()).unwrap_or_default();
    respond(StatusCode::OK, HTML, document(name, "A host of the simulated internet."))
}

const HTML: &str = "text/html; charset=utf-8";

fn document(title: &str, text: &str) -> String {
    let (title, text) = (escaped(title), escaped(text));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         </head><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
}

/// A repository without packages: what instances need is in their image, but they have to be
/// able to reach this place to get it, as on AWS (EC2-11, LAB-5).
fn packages(visit: &Visit<'_>) -> Response<Body> {
    let Some(name) = visit.name() else {
        return sentence(StatusCode::NOT_FOUND, "no repository has this name");
    };
    let path = visit.path();
    if let Some(directory) = path.strip_suffix("mirror.list") {
        let scheme = if visit.secure { "https" } else { "http" };
        return sentence(StatusCode::OK, format_args!("{scheme}://{name}{directory}"));
    }
    if path.ends_with("/repodata/repomd.xml") {
        return respond(StatusCode::OK, "application/xml", EMPTY_REPOSITORY);
    }
    sentence(StatusCode::NOT_FOUND, "no such package")
}

const EMPTY_REPOSITORY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1630627200</revision></repomd>\n";

fn repositories(git: &GitHost, visit: &Visit<'_>) -> Response<Body> {
    if !visit.secure {
        return to_https(visit);
    }
    let path = visit.path();
    if let Some(file) = git.file(path) {
        // Any kind but that of the "smart" protocol tells git which one is spoken here.
        let kind =
            if path.contains("/objects/") { "application/octet-stream" } else { "text/plain" };
        return respond(StatusCode::OK, kind, file);
    }
    if git.is_repository(path) {
        let text = "A git repository of the simulated internet; clone it with git.";
        return respond(StatusCode::OK, HTML, document(path.trim_matches('/'), text));
    }
    sentence(StatusCode::NOT_FOUND, "no such repository")
}

fn to_https(visit: &Visit<'_>) -> Response<Body> {
    let target = visit.head.uri.path_and_query().map_or("/", |target| target.as_str());
    let location = visit.name().map(|name| format!("https://{name}{target}"));
    let Some(Ok(location)) = location.map(HeaderValue::try_from) else {
        return sentence(StatusCode::NOT_FOUND, "there is no site of this name");
    };
    let mut response = sentence(StatusCode::MOVED_PERMANENTLY, "this site is at https");
    response.headers_mut().insert(header::LOCATION, location);
    response
}
