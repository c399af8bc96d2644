//! `gureum session`: Session Manager's client of our own, for people without AWS's plugin. The session
//! is a real one: asked for by StartSession, held by the agent in the instance.

mod channel;
mod forward;
pub(crate) mod plugin;
mod service;
mod terminal;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use gureum_session::{
    client::Event,
    message::{LOCAL_PORT_FORWARDING, session_type},
    signature::Credentials,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use self::{
    channel::Channel,
    service::{CallError, Service, Started},
    terminal::End,
};
use super::{client::Daemon, env as aws_env, output, ssh};
use crate::{admin::InstanceRow, failure::Failure, paths, root_key};

/// How long an agent may take to begin a session.
const BEGIN: Duration = Duration::from_secs(30);
/// How long the end of a session may take to be said.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// As shells have it, for what ended by a signal.
const SIGNALED: i32 = 128;

/// The arguments of `gureum session`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The instance needs what it needs on AWS: a role for Systems Manager, and a way \
to the services over its own network. Where it is not connected, ask: gureum why NAME ssmmessages

Examples:
  gureum session PRIVATE-01                      a shell, as ssm-user
  gureum session PRIVATE-01 -- uptime            a command
  gureum session PRIVATE-01 -L 8080:80           port 8080 here is port 80 there
  gureum session PRIVATE-01 -L 5432:db.internal:5432
  ssh -o ProxyCommand='gureum session PRIVATE-01 -W 22' ec2-user@PRIVATE-01"
)]
pub(crate) struct SessionArgs {
    /// The instance: its Name tag, id, address or DNS name
    name: String,
    /// Forward a port of this machine to one of the instance, or of a host that it reaches
    #[arg(short = 'L', long = "forward", value_name = "[LOCAL:][HOST:]PORT", value_parser = forward_of)]
    forward: Option<Forward>,
    /// Make standard input and output a connection to a port of the instance, as ProxyCommands are
    #[arg(short = 'W', long = "connect", value_name = "PORT", conflicts_with = "forward")]
    connect: Option<u16>,
    /// Run a command instead of a shell
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["forward", "connect"])]
    command: Vec<String>,
}

/// What is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Forward {
    /// 0 for any.
    local: u16,
    host: Option<String>,
    port: u16,
}

fn forward_of(text: &str) -> Result<Forward, String> {
    let number = |text: &str| {
        text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(format!("\"{text}\" is no port"))
    };
    let (rest, port) =
        text.rsplit_once(':').map_or((None, text), |(rest, port)| (Some(rest), port));
    let port = number(port)?;
    let Some(rest) = rest else { return Ok(Forward { local: 0, host: None, port }) };
    let (local, host) = match rest.split_once(':') {
        Some((local, host)) => (number(local)?, Some(host)),
        None => match rest.parse() {
            Ok(local) => (local, None),
            Err(_) => (0, Some(rest)),
        },
    };
    let host = host.map(str::to_owned);
    if host.as_deref() == Some("") {
        return Err("the host is missing".to_owned());
    }
    Ok(Forward { local, host, port })
}

/// Runs `gureum session`.
pub(crate) fn run(args: &SessionArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let instance = daemon.resolve(&args.name)?;
    ssh::refuse_light(&instance, "agent of Session Manager")?;
    let service = service(daemon, &instance)?;
    let request = request(args, &instance.id);
    let started = runtime()?.block_on(service.call::<Started>("StartSession", &request));
    let started = started.map_err(|error| refused(&error, ssh::called(&instance)))?;
    let quiet = args.connect.is_some() || !args.command.is_empty();
    let status = talk(service, started, quiet)?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

/// Systems Manager where the instance is, called by the owner of the cloud.
fn service(daemon: &Daemon, instance: &InstanceRow) -> Result<Service, Failure> {
    let status = daemon.status()?;
    let authority = status.endpoint.trim_start_matches("http://").to_owned();
    let (id, secret) = match root_key::read(&paths::root_key(&status.data_dir))? {
        Some(key) => (key.access_key_id, key.secret_access_key),
        // A key that is an account's number speaks for that account.
        None => (instance.account.clone(), aws_env::SECRET_KEY.to_owned()),
    };
    let credentials = Credentials { access_key_id: id, secret_access_key: secret, token: None };
    Ok(Service { authority, region: instance.region.clone(), credentials })
}

/// What StartSession is asked.
fn request(args: &SessionArgs, target: &str) -> Value {
    let with = |document: &str, parameters: Value| json!({ "Target": target, "DocumentName": document, "Parameters": parameters });
    if let Some(Forward { local, host, port }) = &args.forward {
        let (local, port) = (local.to_string(), port.to_string());
        return match host {
            None => with(
                "AWS-StartPortForwardingSession",
                json!({ "portNumber": [port], "localPortNumber": [local] }),
            ),
            Some(host) => with(
                "AWS-StartPortForwardingSessionToRemoteHost",
                json!({ "host": [host], "portNumber": [port], "localPortNumber": [local] }),
            ),
        };
    }
    if let Some(port) = args.connect {
        return with("AWS-StartSSHSession", json!({ "portNumber": [port.to_string()] }));
    }
    if args.command.is_empty() {
        return json!({ "Target": target });
    }
    // As with ssh, the words are one line for a shell.
    let line = args.command.join(" ");
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return with("AWS-StartInteractiveCommand", json!({ "command": [line] }));
    }
    let quoted = format!("sh -c '{}'", line.replace('\'', r"'\''"));
    with("AWS-StartNonInteractiveCommand", json!({ "command": [quoted] }))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(format!("cannot start: {error}")))
}

/// Speaks in a session that was started, until it is over: the exit status. `quiet` keeps our own
/// words out of its output.
fn talk(service: Service, started: Started, quiet: bool) -> Result<i32, Failure> {
    let id = started.session_id.clone();
    let runtime = runtime()?;
    let end = runtime.block_on(async {
        let mut channel = Channel::open(service, started).await?;
        let first = timeout(BEGIN, channel.ends.events.recv()).await;
        let (kind, properties, message) = match first {
            Ok(Some(Ok(Event::Begun { session_type, properties, message }))) => {
                (session_type, properties, message)
            }
            Ok(Some(Ok(Event::Closed(why)))) => return Ok(End::Closed(why)),
            Ok(Some(Err(why))) => return Err(why),
            Ok(_) => return Err("the session did not begin".to_owned()),
            Err(_) => return Err("the agent does not begin the session".to_owned()),
        };
        begin(channel, &kind, &properties, &message, (&id, quiet)).await
    });
    let end = end.map_err(|why: String| match why.is_empty() {
        true => Failure::new("").status(0),
        false => Failure::new(why),
    })?;
    match end {
        End::Closed(why) if !why.is_empty() => {
            eprintln!("SessionId: {id} : {why}");
            Ok(1)
        }
        End::Closed(_) | End::Left => {
            if !quiet {
                output::print(&format!("\n\nExiting session with sessionId: {id}.\n\n"))?;
            }
            Ok(0)
        }
        End::Signal(number) => Ok(SIGNALED + number),
    }
}

/// Does what a session of this kind is for.
async fn begin(
    channel: Channel,
    kind: &str,
    properties: &Value,
    message: &str,
    (id, quiet): (&str, bool),
) -> Result<End, String> {
    let listens = properties["type"] == LOCAL_PORT_FORWARDING;
    let say = |text: &str| match quiet {
        true => Ok(()),
        false => output::print(text).map_err(|error| error.message),
    };
    say(&format!("\nStarting session with SessionId: {id}\n"))?;
    if !message.is_empty() {
        say(&format!("{message}\n"))?;
    }
    let (task, ends) = (channel.task, channel.ends);
    let end = if kind != session_type::PORT {
        terminal::shell(ends).await
    } else if listens {
        let listener = forward::listen(local_port(properties)).await?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        say(&format!("Port {port} opened for sessionId {id}.\nWaiting for connections...\n\n"))?;
        forward::forward(ends, listener).await
    } else {
        terminal::streams(ends).await
    };
    // The other side hears that we are gone.
    let _ = timeout(LAST_WORDS, task).await;
    end
}

/// The port of this machine that a session asks for; 0 where it does not mind.
fn local_port(properties: &Value) -> u16 {
    properties["localPortNumber"].as_str().and_then(|port| port.parse().ok()).unwrap_or(0)
}

fn refused(error: &CallError, called: &str) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        CallError::Refused { code, .. } if code == "TargetNotConnected" => {
            failure.help(format!("ask why: gureum why {called} ssmmessages"))
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        session: SessionArgs,
    }

    fn asked(line: &[&str]) -> Value {
        let line = Line::try_parse_from(["session"].iter().chain(line)).expect("it parses");
        request(&line.session, "i-1")
    }

    #[test]
    fn what_is_asked_for_is_the_document_for_it() {
        assert_eq!(asked(&["a"]), json!({"Target": "i-1"}));
        let forward = |spec: &str| asked(&["a", "-L", spec]);
        let document = |it: &Value| it["DocumentName"].as_str().expect("a name").to_owned();
        for (spec, parameters) in [
            ("80", json!({"portNumber": ["80"], "localPortNumber": ["0"]})),
            ("8080:80", json!({"portNumber": ["80"], "localPortNumber": ["8080"]})),
        ] {
            assert_eq!(forward(spec)["Parameters"], parameters, "{spec}");
            assert_eq!(document(&forward(spec)), "AWS-StartPortForwardingSession");
        }
        for (spec, local) in [("db:5432", "0"), ("99:db:5432", "99")] {
            let parameters = json!(
                {"host": ["db"], "portNumber": ["5432"], "localPortNumber": [local]});
            assert_eq!(forward(spec)["Parameters"], parameters, "{spec}");
            let name = "AWS-StartPortForwardingSessionToRemoteHost";
            assert_eq!(document(&forward(spec)), name);
        }
        assert_eq!(document(&asked(&["a", "-W", "22"])), "AWS-StartSSHSession");
    }

    #[test]
    fn words_of_a_command_are_one_line_for_a_shell() {
        // Tests have no terminal.
        let asked = asked(&["a", "--", "echo", "it's", "|", "wc"]);
        let line = r"sh -c 'echo it'\''s | wc'";
        assert_eq!(asked["Parameters"]["command"], json!([line]));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for spec in ["0", "x", "1:x", ":80", "1::2", "70000", "0:80:80"] {
            assert!(forward_of(spec).is_err(), "{spec}");
        }
    }
}
