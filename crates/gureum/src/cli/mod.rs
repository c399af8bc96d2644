//! The command line. Each command is a file; what they share is how to reach the daemon, where
//! files are, how answers are printed and how errors are said.

mod api;
mod background;
mod capture;
mod check;
mod client;
mod connect;
mod console;
mod doctor;
mod down;
mod env;
mod exec;
mod flows;
mod instances;
mod internet;
mod lab;
mod linux;
mod logs;
mod output;
mod pcapng;
mod port;
mod port_holder;
mod preview;
mod purge;
mod reset;
mod run;
mod scratch;
mod session;
mod snapshot;
mod ssh;
mod ssh_config;
mod status;
mod stream;
mod terminal;
mod trace;
mod twin;
mod up;
mod why;
mod workstation;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::client::Daemon;
pub(crate) use self::env::REGION;
pub(crate) use self::session::plugin::{NAME as PLUGIN, install as install_plugin, run as plugin};
use crate::{
    failure::Failure,
    paths::{self, Person},
};

/// An AWS VPC on your own machine, with real packets.
#[derive(Debug, Parser)]
#[command(name = "gureum", version, max_term_width = 100)]
#[command(after_help = "Begin with:
  sudo gureum up --detach
  eval \"$(gureum env)\"
  aws ec2 describe-vpcs")]
struct Cli {
    /// The data directory, which says which daemon is meant [default: in your home]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "GUREUM_DATA_DIR",
        value_parser = paths::parser()
    )]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the cloud
    Up(up::UpArgs),
    /// Stop the cloud and take down everything it made on this machine; data stay
    Down(down::DownArgs),
    /// Show how the cloud is
    Status(output::OutputArgs),
    /// Check what this machine can do, and say what to do about the rest
    Doctor(output::OutputArgs),
    /// Show what the daemon logged
    Logs(logs::LogsArgs),
    /// Delete the resources of an account, or all
    Reset(reset::ResetArgs),
    /// Stop the cloud and delete its data directory
    Purge(purge::PurgeArgs),
    /// Print the shell lines that point AWS clients at the cloud
    Env(env::EnvArgs),
    /// Run a command against a cloud of its own, which goes with it
    Run(run::RunCommand),
    /// List the API operations that are served, and what becomes of their parameters
    Api(api::ApiArgs),
    /// Run the AWS CLI against the cloud
    #[command(disable_help_flag = true)]
    Aws(env::ProgramArgs),
    /// Run Terraform against the cloud
    #[command(disable_help_flag = true)]
    Terraform(env::ProgramArgs),
    /// Run a command in the simulated internet
    Internet(internet::InternetArgs),
    /// Connect this machine to the simulated internet until the command ends: ping, browse, anything
    Connect(connect::ConnectArgs),
    /// Open a shell at a workstation in the simulated internet: AWS CLI, ssh, git, a home that stays
    Workstation(workstation::WorkstationArgs),
    /// Log in to an instance with OpenSSH, from the simulated internet
    Ssh(ssh::SshArgs),
    /// Open a session of Session Manager: a shell, a command, a port
    Session(session::SessionArgs),
    /// Write the instances as hosts of OpenSSH's configuration
    SshConfig(ssh_config::SshConfigArgs),
    /// What the hosts of `ssh-config` have as their ProxyCommand
    #[command(hide = true)]
    SshConnect(ssh_config::SshConnectArgs),
    /// Run a command in an instance, without network and key
    Exec(exec::ExecArgs),
    /// Show what an instance wrote to its console
    Console(console::ConsoleArgs),
    /// List the instances
    Instances(output::OutputArgs),
    /// Say whether packets pass, and which rule or route decides
    Why(why::WhyCommand),
    /// Check whether the network lets through what a file expects
    Check(check::CheckCommand),
    /// Say what a command would change in what passes, without changing it
    Preview(preview::PreviewCommand),
    /// Show packets as they pass, and what decides about each
    Trace(trace::TraceCommand),
    /// Show who talks now and what was rejected lately, and why
    Flows(flows::FlowsCommand),
    /// Write what an interface sees to a file for tcpdump and Wireshark
    Capture(capture::CaptureCommand),
    /// Show the data path's side of an interface
    #[command(subcommand)]
    Port(port::PortCommand),
    /// Write a network as the answers of describe calls
    Export(twin::ExportArgs),
    /// Make a network from answers of describe calls: a twin of an account's
    Import(twin::ImportArgs),
    /// Keep all records under a name, and put them back
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Run hands-on labs
    #[command(subcommand)]
    Lab(lab::LabCommand),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" too, with status 0. A closed pipe is no matter.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    cli.run().unwrap_or_else(|error| {
        if !error.is_closed_pipe() {
            let _ = writeln!(std::io::stderr(), "{error}");
        }
        ExitCode::from(error.status)
    })
}

impl Cli {
    fn run(&self) -> Result<ExitCode, Failure> {
        if let Command::Up(args) = &self.command {
            return up::run(args, self.data_dir.as_deref());
        }
        let person = Person::current();
        let daemon = Daemon::at(&paths::data_dir(self.data_dir.as_deref(), &person)?);
        match &self.command {
            Command::Up(args) => up::run(args, self.data_dir.as_deref()),
            Command::Down(args) => down::run(args, &daemon),
            Command::Status(args) => status::run(args, &daemon),
            Command::Doctor(args) => doctor::run(args, &daemon),
            Command::Logs(args) => logs::run(args, &daemon),
            Command::Reset(args) => reset::run(args, &daemon),
            Command::Purge(args) => purge::run(args, &daemon),
            Command::Env(args) => env::run(args, &daemon),
            Command::Run(args) => run::run(args),
            Command::Api(args) => api::run(args),
            Command::Aws(args) => env::exec("aws", args, &daemon),
            Command::Terraform(args) => env::exec("terraform", args, &daemon),
            Command::Internet(args) => internet::run(args, &daemon),
            Command::Connect(args) => connect::run(args, &daemon),
            Command::Workstation(args) => workstation::run(args, &daemon),
            Command::Ssh(args) => ssh::run(args, &daemon),
            Command::Session(args) => session::run(args, &daemon),
            Command::SshConfig(args) => ssh_config::run(args, &daemon),
            Command::SshConnect(args) => ssh_config::connect(args, &daemon),
            Command::Exec(args) => exec::run(args, &daemon),
            Command::Console(args) => console::run(args, &daemon),
            Command::Instances(args) => instances::run(args, &daemon),
            Command::Why(args) => why::run(args, &daemon),
            Command::Check(args) => check::run(args, &daemon),
            Command::Preview(args) => preview::run(args, &daemon),
            Command::Trace(args) => trace::run(args, &daemon),
            Command::Flows(args) => flows::run(args, &daemon),
            Command::Capture(args) => capture::run(args, &daemon),
            Command::Port(command) => port::run(command, &daemon),
            Command::Export(args) => twin::export(args, &daemon),
            Command::Import(args) => twin::import(args, &daemon),
            Command::Snapshot(command) => snapshot::run(command, &daemon),
            Command::Lab(command) => lab::run(command, &daemon),
        }
    }
}

/// Asks a question whose answer decides about data. Without a terminal there is nobody to ask.
fn confirm(question: &str, flag: &str) -> Result<bool, Failure> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(format!("{question} Nobody to ask: no terminal"))
            .help(format!("repeat with {flag}")));
    }
    output::print(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_lines_of_the_guides_parse() {
        for line in [
            "gureum up --detach",
            "gureum up --detach --listen 127.0.0.1:0 --data-dir /tmp/x --no-instances",
            "gureum up --account-id 000000000001 --public-pool 198.18.64.0/20 --socks off",
            "gureum --data-dir /tmp/x down --keep-instances",
            "gureum status --output json",
            "gureum doctor -o json",
            "gureum logs -f",
            "gureum reset --account 123456789012 -y",
            "gureum purge -y",
            "gureum env --unset --shell fish",
            "gureum run -- pytest -q tests",
            "gureum run pytest -q",
            "gureum run --instances full --artifacts out -- make test",
            "gureum preview --output json -- aws ec2 delete-route --route-table-id rtb-1",
            "gureum aws ec2 describe-vpcs --output text --help",
            "gureum terraform plan -out x",
            "gureum internet -- ping -c 1 8.8.8.8",
            "gureum internet ping -c 1 8.8.8.8",
            "gureum connect",
            "gureum connect --no-dns",
            "gureum workstation",
            "gureum workstation -- aws ssm start-session --target i-0123456789abcdef0",
            "gureum ssh PUBLIC-01",
            "gureum ssh -i key.pem PUBLIC-01 -- uptime -p",
            "gureum session PRIVATE-01 -L 8080:80",
            "gureum session PRIVATE-01 -W 22",
            "gureum session PRIVATE-01 -- uptime -p",
            "gureum ssh-config --include --jump BASTION",
            "gureum ssh-config --write lab.conf",
            "gureum ssh-config --write lab.conf --remove",
            "gureum exec PUBLIC-01 --user ec2-user -- bash -c id",
            "gureum exec PUBLIC-01 ls -l",
            "gureum console -f PUBLIC-01",
            "gureum instances",
            "gureum why internet PUBLIC-01 --proto tcp --port 80 --json",
            "gureum why PRIVATE-01 ssmmessages",
            "gureum check",
            "gureum check network/expectations.yaml --verbose",
            "gureum check --junit report.xml --annotations github",
            "gureum check --output json",
            "gureum check --suggest -o expectations.yaml",
            "gureum trace PUBLIC-01 --host 8.8.8.8 --port 53 --proto udp --drops -c 3 -o json",
            "gureum trace --reason no-route --rate 10 --duration 5m",
            "gureum flows",
            "gureum flows PUBLIC-01 --once --limit 50 -o json",
            "gureum flows --reject --since 5m",
            "gureum capture PUBLIC-01 -w - --count 10 --duration 30s",
            "gureum port show PUBLIC-01 --output json",
            "gureum export --vpc IMD-VPC -o lab.json",
            "gureum export --account 123456789012 --region ap-northeast-2",
            "gureum import lab.json",
            "gureum import --strict ~/dumps/production/",
            "gureum import - subnets.json --replace --new-public-addresses --json",
            "gureum import --plan plan.json --without-unknown",
            "gureum snapshot save before-the-change",
            "gureum snapshot load before-the-change --yes",
            "gureum snapshot list -o json",
            "gureum snapshot delete before-the-change",
            "gureum lab list",
            "gureum lab run vpc --lang ko --only packets --keep-going",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for line in [
            "gureum",
            "gureum up --account-id 12345",
            "gureum up --public-pool 198.18.0.1/16",
            "gureum up --listen 4566",
            "gureum why a",
            "gureum why a b --proto tcp --port 70000",
            "gureum internet",
            "gureum export --account 123456789012",
            "gureum import",
            "gureum import --without-unknown x",
            "gureum snapshot save",
            "gureum import x --region nowhere",
            "gureum run",
            "gureum run --instances some -- true",
            "gureum check --suggest --quiet",
            "gureum check --annotations gitlab",
            "gureum trace --count 0",
            "gureum trace --proto nothing",
            "gureum capture PUBLIC-01",
            "gureum flows --limit 0",
            "gureum flows --since yesterday",
            "gureum port",
            "gureum ssh",
            "gureum session a -W 0x",
            "gureum session a -L 80 -- id",
            "gureum ssh-config --include --write lab.conf",
            "gureum ssh-config --include --remove",
            "gureum status --output yaml",
            "gureum lab run vpc --lang fr",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_of_the_real_programs_are_left_alone() {
        let cli = parse("gureum aws --version --data-dir x").expect("it parses");
        let Command::Aws(args) = cli.command else { panic!("not aws") };
        assert_eq!(args.args, ["--version", "--data-dir", "x"]);
        assert_eq!(cli.data_dir, std::env::var_os("GUREUM_DATA_DIR").map(PathBuf::from));
    }
}
