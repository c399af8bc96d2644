//! What other programs say about the keys: OpenSSL, OpenSSH and PuTTY.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::*;

fn file(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).expect("a file");
    writeln!(file, "{}", content.trim_end()).expect("a key");
    path
}

/// Runs a program that these tests need.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}, which this test needs: {error}"));
    child.stdin.take().expect("an input").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// The digest of an input by OpenSSL, with colons.
fn digest(algorithm: &str, input: &[u8]) -> String {
    let text = String::from_utf8(run("openssl", &[algorithm, "-c"], input)).expect("text");
    text.trim().rsplit("= ").next().expect("a digest").to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_made_rsa_key_is_what_openssl_and_openssh_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = make(KeyType::Rsa, KeyFormat::Pem, "lab").expect("a key");
    assert!(made.private.starts_with("-----BEGIN RSA PRIVATE KEY-----"), "EC2-12");
    let pem = file(directory.path(), "key.pem", &made.private);
    let arguments =
        ["pkcs8", "-in", path(&pem), "-inform", "PEM", "-outform", "DER", "-topk8", "-nocrypt"];
    let der = run("openssl", &arguments, b"");
    assert_eq!(made.public.fingerprint, digest("sha1", &der), "EC2-13");
    let public = run("ssh-keygen", &["-y", "-f", path(&pem)], b"");
    assert_eq!(String::from_utf8_lossy(&public).trim(), made.public.line);
    let text = run("openssl", &["rsa", "-in", path(&pem), "-noout", "-text"], b"");
    assert!(String::from_utf8_lossy(&text).contains("2048 bit"), "EC2-12");
}

#[test]
fn an_imported_rsa_key_has_another_fingerprint() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = make(KeyType::Rsa, KeyFormat::Pem, "lab").expect("a key");
    let pem = file(directory.path(), "key.pem", &made.private);
    let der = run("openssl", &["rsa", "-in", path(&pem), "-pubout", "-outform", "DER"], b"");
    let line = format!("{} someone@somewhere", made.public.line);
    let imported = import(line.as_bytes()).expect("a key");
    assert_eq!(imported.fingerprint, digest("md5", &der), "EC2-13");
    assert_ne!(imported.fingerprint, made.public.fingerprint);
    assert_eq!(imported.line, made.public.line, "the comment is not kept");

    let key = file(directory.path(), "key.pub", &made.public.line);
    let block = run("ssh-keygen", &["-e", "-m", "RFC4716", "-f", path(&key)], b"");
    assert_eq!(import(&block).expect("RFC 4716"), imported);
    let block = run("openssl", &["base64", "-A"], &der);
    assert_eq!(import(&block).expect("DER"), imported);
}

#[test]
fn an_ed25519_key_is_what_openssh_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = make(KeyType::Ed25519, KeyFormat::Pem, "lab").expect("a key");
    assert!(made.private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    let pem = file(directory.path(), "key.pem", &made.private);
    let public = run("ssh-keygen", &["-y", "-f", path(&pem)], b"");
    assert_eq!(String::from_utf8_lossy(&public).trim(), made.public.line);
    let text = run("ssh-keygen", &["-l", "-E", "sha256", "-f", path(&pem)], b"");
    let shown = format!("SHA256:{}", made.public.fingerprint.trim_end_matches('='));
    assert!(String::from_utf8_lossy(&text).contains(&shown), "EC2-13");
    let imported = import(made.public.line.as_bytes()).expect("a key");
    assert_eq!(imported, made.public);
}

#[test]
fn putty_reads_its_files() {
    let directory = tempfile::tempdir().expect("a directory");
    for key_type in [KeyType::Rsa, KeyType::Ed25519] {
        let made = make(key_type, KeyFormat::Ppk, "lab key").expect("a key");
        let ppk = file(directory.path(), &format!("{}.ppk", key_type.name()), &made.private);
        let public = run("puttygen", &[path(&ppk), "-L"], b"");
        let public = String::from_utf8_lossy(&public);
        assert_eq!(public.trim(), format!("{} lab key", made.public.line));
        // PuTTY's own conversion checks the private half and the checksum.
        let private =
            run("puttygen", &[path(&ppk), "-O", "private-openssh", "-o", "/dev/stdout"], b"");
        let pem = file(
            directory.path(),
            &format!("{}.pem", key_type.name()),
            &String::from_utf8_lossy(&private),
        );
        let public = run("ssh-keygen", &["-y", "-f", path(&pem)], b"");
        let public = String::from_utf8_lossy(&public);
        assert!(public.trim().starts_with(&made.public.line), "{public}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for text in
        ["", "ssh-rsa", "ssh-rsa AAAA", "hello world", "\u{0}", "---- BEGIN SSH2 PUBLIC KEY ----"]
    {
        assert!(import(text.as_bytes()).is_err(), "{text}");
    }
    let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
    assert!(matches!(import(ecdsa.as_bytes()), Err(KeyError::Unsupported | KeyError::NotAKey)));
}
