//! The daemon's own socket, spoken to without the command line: for tests that ask thousands of
//! questions.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::Path,
};

use serde_json::Value;

/// Asks the daemon of a data directory one thing, as the command line does.
///
/// # Panics
/// Where it does not answer, or refuses.
#[track_caller]
pub fn ask(data_dir: &Path, request: &Value) -> Value {
    // By a short name: the folder's may be longer than what a socket's holds.
    let folder = File::open(data_dir).expect("a data directory");
    let path = format!("/proc/self/fd/{}/gureum.sock", folder.as_raw_fd());
    let mut stream = UnixStream::connect(path).expect("a daemon");
    stream.write_all(format!("{request}\n").as_bytes()).expect("the daemon listens");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("the daemon answers");
    let answer: Value = serde_json::from_str(&line).expect("JSON");
    assert!(answer.get("error").is_none(), "{request}: {answer}");
    answer
}
