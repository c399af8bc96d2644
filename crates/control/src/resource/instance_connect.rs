//! EC2 Instance Connect: a key that opens an account of an instance for a minute.
//!
//! The key is kept with the instance. Its SSH server asks the metadata service for the keys of who
//! logs in, which shows those whose minute is not over.

use gureum_api::{ApiError, ec2_instance_connect as model};
use gureum_store::Transaction;
use gureum_types::{
    Timestamp,
    record::{ConnectKey, Instance, InstanceState},
};

use crate::call::{Answer, Call};

/// How long a key is good.
const LIFETIME_MS: i64 = 60_000;

fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, message)
}

/// Kind and key, without the comment and what else may stand on its line.
fn key(text: &str) -> Answer<String> {
    use ssh_key::Algorithm::{Ecdsa, Ed25519, Rsa};
    let invalid = || error("InvalidArgsException", "Invalid SSH public key provided.");
    let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|_| invalid())?;
    let taken = matches!(key.algorithm(), Rsa { .. } | Ed25519 | Ecdsa { .. });
    if !taken {
        return Err(invalid());
    }
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) => Ok(format!("{kind} {key}")),
        _ => Err(invalid()),
    }
}

pub(crate) fn send_key(
    call: &Call,
    tx: &mut Transaction,
    r: &model::SendSSHPublicKeyRequest,
) -> Answer<model::SendSSHPublicKeyResponse> {
    let id = r.instance_id.as_deref().unwrap_or_default();
    let missing = || error("EC2InstanceNotFoundException", format!("Instance {id} is not found."));
    let instance = tx.find::<Instance>(&call.scope, id).cloned().ok_or_else(missing)?;
    let zone = r.availability_zone.as_deref().unwrap_or_default();
    if !zone.is_empty() && zone != instance.availability_zone {
        return Err(missing());
    }
    match instance.state {
        InstanceState::Running => {}
        InstanceState::Terminated => return Err(missing()),
        state => {
            return Err(error(
                "EC2InstanceStateInvalidException",
                format!("Instance {id} is {}. It must be running.", state.name()),
            ));
        }
    }
    let key = key(r.ssh_public_key.as_deref().unwrap_or_default())?;
    let user = r.instance_os_user.clone().unwrap_or_default();
    let until = Timestamp(call.now.0.saturating_add(LIFETIME_MS));
    tx.update::<Instance>(&call.scope, id, |instance| {
        instance
            .connect_keys
            .retain(|it| it.until > call.now && (&it.user, &it.key) != (&user, &key));
        instance.connect_keys.push(ConnectKey { user: user.clone(), key: key.clone(), until });
    });
    Ok(model::SendSSHPublicKeyResponse { request_id: Some(request_id(call)), success: Some(true) })
}

/// AWS answers with an id in the body too.
fn request_id(call: &Call) -> String {
    let (high, low) = (call.random(), call.random());
    let hex = format!("{high:016x}{low:016x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
