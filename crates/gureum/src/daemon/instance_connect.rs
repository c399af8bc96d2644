//! What EC2 Instance Connect needs in an instance: its SSH server asks the metadata service for keys.
//!
//! The files come with those that all instances of a cloud share, not with the image, so that
//! images of one's own have them too. The program's name is that of AWS's package.

use gureum_host::instance::CloudFile;

const PROGRAM: (&str, &str) = (
    "/usr/share/ec2-instance-connect/eic_run_authorized_keys",
    r#"#!/bin/sh
# The keys that the metadata service has for a user now: called by sshd before it looks into
# authorized_keys. Without any, or without the service, it says nothing.
url=http://169.254.169.254/latest
case $1 in '' | *[!A-Za-z0-9@._-]*) exit 0 ;; esac
get() { curl -sf -m 2 "$@" 2>/dev/null; }
token=$(get -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 5' "$url/api/token") || exit 0
get -H "X-aws-ec2-metadata-token: $token" "$url/meta-data/managed-ssh-keys/active-keys/$1"
exit 0
"#,
);

const SETTINGS: (&str, &str) = (
    "/etc/ssh/sshd_config.d/60-ec2-instance-connect.conf",
    "AuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %u\n\
     AuthorizedKeysCommandUser nobody\n",
);

/// The files.
pub(crate) fn files() -> Vec<CloudFile> {
    let file = |(path, contents): (&str, &str), mode| CloudFile {
        path: path.to_owned(),
        mode,
        contents: contents.into(),
    };
    vec![file(PROGRAM, 0o755), file(SETTINGS, 0o644)]
}
