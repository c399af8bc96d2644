//! `gureum api`: which operations are served, and what becomes of their parameters.

use std::process::ExitCode;

use clap::Args;
use gureum_api::Operation;
use gureum_control::{Treatment, markdown, reference};
use serde::Serialize;

use super::output::{self, Format, OutputArgs};
use crate::failure::Failure;

/// What is asked for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gureum api
  gureum api ec2
  gureum api CreateVpc
  gureum api --output json")]
pub(super) struct ApiArgs {
    /// Only this service's operations, or only this operation, with its parameters
    name: Option<String>,
    /// Print the page of the documentation
    #[arg(long, conflicts_with_all = ["name", "output"])]
    markdown: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// An operation for programs.
#[derive(Debug, Serialize)]
struct Served {
    service: &'static str,
    operation: &'static str,
    obeyed: Vec<String>,
    recorded: Vec<String>,
    refused: Vec<String>,
}

impl Served {
    fn of(operation: Operation) -> Self {
        let found = reference(operation);
        let of = |wanted| {
            let names = found.iter().filter(|(_, treatment)| *treatment == wanted);
            names.map(|(name, _)| name.clone()).collect()
        };
        Self {
            service: operation.service().info().signing_name,
            operation: operation.name(),
            obeyed: of(Treatment::Obeyed),
            recorded: of(Treatment::Recorded),
            refused: of(Treatment::Refused),
        }
    }
}

pub(super) fn run(args: &ApiArgs) -> Result<ExitCode, Failure> {
    if args.markdown {
        output::print(&markdown())?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_asked = |it: &Operation| match &args.name {
        Some(name) => {
            it.name().eq_ignore_ascii_case(name) || it.service().info().signing_name == name
        }
        None => true,
    };
    let served: Vec<_> = Operation::all().filter(is_asked).map(Served::of).collect();
    if served.is_empty() {
        let name = args.name.as_deref().unwrap_or_default();
        return Err(Failure::new(format!("there is no service and no operation {name}"))
            .help("`gureum api` lists what is served"));
    }
    if args.output.output == Format::Json {
        output::print_json(&served)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [one] = &served[..] {
        let kinds =
            [("obeyed", &one.obeyed), ("recorded", &one.recorded), ("refused", &one.refused)];
        let rows = kinds.iter().flat_map(|(kind, names)| {
            names.iter().map(|name| vec![name.clone(), (*kind).to_owned()])
        });
        output::print(&output::table(&["PARAMETER", "IS"], rows))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = served.iter().map(|it| {
        vec![
            it.service.to_owned(),
            it.operation.to_owned(),
            it.obeyed.len().to_string(),
            it.recorded.len().to_string(),
            it.refused.len().to_string(),
        ]
    });
    output::print(&output::table(
        &["SERVICE", "OPERATION", "OBEYED", "RECORDED", "REFUSED"],
        rows,
    ))?;
    Ok(ExitCode::SUCCESS)
}
