//! The metadata service, version 2: who the instance is, and its role's credentials.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};

use crate::{
    network::{NetworkError, exchange},
    surroundings::Credentials,
};

const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);
const CONNECT: Duration = Duration::from_secs(2);

/// Credentials as the metadata service gives them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: jiff::Timestamp,
}

async fn request(method: &str, path: &str, key: (&str, &str)) -> Result<String, NetworkError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, ADDRESS.ip().to_string())
        .header(key.0, key.1)
        .body(Full::new(Bytes::new()))?;
    let stream = timeout(CONNECT, TcpStream::connect(ADDRESS)).await;
    let stream = stream.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let (status, body) = exchange(stream, request).await?;
    let text = String::from_utf8_lossy(&body).into_owned();
    match status.is_success() {
        true => Ok(text),
        false => Err(NetworkError::Refused(status, text)),
    }
}

/// One item, below `/latest/`.
async fn item(path: &str) -> Result<String, NetworkError> {
    let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
    let token = request("PUT", "/latest/api/token", lifetime).await?;
    request("GET", &format!("/latest/{path}"), ("x-aws-ec2-metadata-token", &token)).await
}

/// The instance's id and region.
pub(crate) async fn identity() -> Result<(String, String), NetworkError> {
    let id = item("meta-data/instance-id").await?;
    let region = item("meta-data/placement/region").await?;
    Ok((id, region))
}

/// The instance's private address.
pub(crate) async fn address() -> Result<String, NetworkError> {
    item("meta-data/local-ipv4").await
}

/// The credentials of the instance's role, with the time when they end.
pub(crate) async fn credentials() -> Result<(Credentials, jiff::Timestamp), NetworkError> {
    let missing = |error| match error {
        NetworkError::Refused(StatusCode::NOT_FOUND, _) => NetworkError::NoCredentials,
        other => other,
    };
    let roles = item("meta-data/iam/security-credentials/").await.map_err(missing)?;
    let role = roles.lines().next().ok_or(NetworkError::NoCredentials)?;
    let found = item(&format!("meta-data/iam/security-credentials/{role}")).await;
    let found = serde_json::from_str::<RoleCredentials>(&found.map_err(missing)?);
    let found = found.map_err(|_| NetworkError::NoCredentials)?;
    let credentials = Credentials {
        access_key_id: found.access_key_id,
        secret_access_key: found.secret_access_key,
        token: Some(found.token),
    };
    Ok((credentials, found.expiration))
}
