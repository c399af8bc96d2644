//! The command line of AWS's `session-manager-plugin`, as the AWS CLI calls it: so that
//! `aws ssm start-session` works where nobody has installed that. It lies in a folder of the data
//! directory, which `gureum env` puts behind all others: AWS's own comes first where it is there.

use std::{env, ffi::OsString, os::unix::fs::symlink, path::Path, process::ExitCode};

use gureum_session::{client::VERSION, signature::Credentials};

use super::service::{Service, Started};
use crate::{
    cli::{client::Daemon, env as aws_env, output},
    failure::Failure,
    paths::{self, Person},
};

/// What the AWS CLI looks for on the PATH.
pub(crate) const NAME: &str = "session-manager-plugin";
/// What the AWS CLI calls the variable in which it passes what StartSession answered.
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";

/// Puts it into its folder. A link: a newer binary is another plugin.
///
/// # Errors
/// Where the folder or the link cannot be made.
pub(crate) fn install(data_dir: &Path, owner: &Person) -> Result<(), Failure> {
    let folder = paths::plugin_dir(data_dir);
    owner.create_dir(&folder, 0o755).map_err(|error| Failure::file("create", &folder, &error))?;
    let link = folder.join(NAME);
    let made = env::current_exe().and_then(|program| {
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(program, &link)?;
        owner.give(&link)
    });
    made.map_err(|error| Failure::file("make", &link, &error))
}

/// Runs it by its arguments.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let done = match *arguments.as_slice() {
        [] => output::print(
            "This is Gureum's client of Session Manager; `aws ssm start-session` calls it.\n",
        ),
        ["--version"] => output::print(&format!("{VERSION}\n")),
        [response, region, "StartSession", _, _, endpoint] => start(response, region, endpoint),
        [response, region, "StartSession"] => start(response, region, ""),
        _ => Err(Failure::new("this is not how the AWS CLI calls its plugin")
            .help("use `aws ssm start-session --target i-…`, or `gureum session NAME`")),
    };
    match done {
        // As AWS's, it says nothing by its status.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_closed_pipe() {
                eprintln!("{error}");
            }
            ExitCode::from(error.status)
        }
    }
}

fn start(response: &str, region: &str, endpoint: &str) -> Result<(), Failure> {
    let response = match response.starts_with(RESPONSE) {
        true => env::var(response)
            .map_err(|_| Failure::new(format!("the variable {response} is not set")))?,
        false => response.to_owned(),
    };
    let started: Started = serde_json::from_str(&response)
        .map_err(|error| Failure::new(format!("the answer of StartSession: {error}")))?;
    let authority = authority(&started, endpoint)?;
    let service = Service { authority, region: region.to_owned(), credentials: credentials() };
    super::talk(service, started, false).map(|_| ())
}

/// Where the cloud is: where the data channel is, or where a daemon says that it is, if the channel
/// has AWS's own name.
fn authority(started: &Started, endpoint: &str) -> Result<String, Failure> {
    let of = |url: &str| {
        let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://"))?;
        rest.split('/').next().map(str::to_owned)
    };
    let url = started.stream_url.as_deref().unwrap_or_default();
    if let Some(authority) = of(url).or_else(|| of(endpoint)) {
        return Ok(authority);
    }
    let person = Person::current();
    let given = env::var_os("GUREUM_DATA_DIR");
    let data_dir = paths::data_dir(given.as_deref().map(Path::new), &person)?;
    let endpoint = Daemon::at(&data_dir).status()?.endpoint;
    of(&endpoint).ok_or_else(|| Failure::new(format!("{endpoint} is no address of a cloud")))
}

/// The caller's credentials, as the environment has them; else some that are nothing.
fn credentials() -> Credentials {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Credentials { access_key_id, secret_access_key, token: variable("AWS_SESSION_TOKEN") }
        }
        _ => Credentials {
            access_key_id: aws_env::ACCESS_KEY.to_owned(),
            secret_access_key: aws_env::SECRET_KEY.to_owned(),
            token: None,
        },
    }
}
