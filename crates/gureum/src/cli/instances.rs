//! `gureum instances`: a table of them, of all accounts and regions.

use std::process::ExitCode;

use super::{
    client::{Daemon, unexpected},
    output::{self, Format, OutputArgs},
};
use crate::{
    admin::{InstanceRow, Reply, Request},
    failure::Failure,
};

/// Runs `gureum instances`.
pub(crate) fn run(args: &OutputArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let rows = match daemon.ask(&Request::Instances)? {
        Reply::Instances(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    match args.output {
        Format::Json => output::print_json(&rows)?,
        Format::Table if rows.is_empty() => output::print("there are no instances\n")?,
        Format::Table => output::print(&text(&rows))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(rows: &[InstanceRow]) -> String {
    // Most people use one account: the column is only there when it tells something.
    let accounts = rows.iter().any(|row| row.account != rows[0].account);
    let mut header =
        vec!["NAME", "ID", "STATE", "TYPE", "ZONE", "PRIVATE", "PUBLIC", "USER", "PUBLIC NAME"];
    if accounts {
        header.push("ACCOUNT");
    }
    let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let lines = rows.iter().map(|row| {
        let state = match (row.state.as_str(), row.ready) {
            ("running", true) => "running, ok".to_owned(),
            (state, _) => state.to_owned(),
        };
        let mut line = vec![
            cell(&row.name),
            row.id.clone(),
            state,
            row.instance_type.clone(),
            row.availability_zone.clone(),
            row.private_ip.clone(),
            cell(&row.public_ip),
            row.login_user.clone(),
            cell(&row.public_dns_name),
        ];
        if accounts {
            line.push(row.account.clone());
        }
        line
    });
    output::table(&header, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, public: Option<&str>) -> InstanceRow {
        InstanceRow {
            id: "i-0123456789abcdef0".into(),
            name: Some(name.into()),
            state: "running".into(),
            instance_type: "t2.micro".into(),
            availability_zone: "ap-northeast-2a".into(),
            account: "123456789012".into(),
            region: "ap-northeast-2".into(),
            private_ip: "10.1.1.5".into(),
            private_dns_name: None,
            public_ip: public.map(Into::into),
            public_dns_name: None,
            login_user: "ec2-user".into(),
            key_name: None,
            ready: public.is_some(),
            light: false,
        }
    }

    #[test]
    fn instances_are_a_table() {
        let expected = "\
NAME        ID                   STATE        TYPE      ZONE             PRIVATE   PUBLIC       \
USER      PUBLIC NAME
PUBLIC-01   i-0123456789abcdef0  running, ok  t2.micro  ap-northeast-2a  10.1.1.5  198.18.0.10  \
ec2-user  -
PRIVATE-01  i-0123456789abcdef0  running      t2.micro  ap-northeast-2a  10.1.1.5  -            \
ec2-user  -
";
        assert_eq!(
            text(&[row("PUBLIC-01", Some("198.18.0.10")), row("PRIVATE-01", None)]),
            expected
        );
    }

    #[test]
    fn accounts_show_when_there_are_several() {
        let mut other = row("X", None);
        other.account = "000000000001".into();
        assert!(text(&[row("A", None), other]).contains("ACCOUNT"));
        assert!(!text(&[row("A", None)]).contains("ACCOUNT"));
    }
}
