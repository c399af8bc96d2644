//! What AWS CLI v2 really sends, sent again: requests of `tests/recorded`, and answers of the same
//! status and shape.
//!
//! The CLI itself is not here; `tests/recorded/record.py` says how its requests were written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use gureum_e2e::Cloud;
use serde_json::Value;

/// How long a question is asked again until its answer has the recorded shape: what was asked for
/// before may take a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// States that the CLI waits for the end of.
const PASSING: [&str; 5] = ["pending", "initializing", "stopping", "shutting-down", "deleting"];

struct Answer {
    status: u64,
    kind: String,
    body: String,
}

/// Sends a request and reads all of its answer.
fn send(cloud: &Cloud, request: &Value, fill: &dyn Fn(&str) -> String) -> Answer {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let body = fill(text("body"));
    let mut head = format!("{} {} HTTP/1.1\r\n", text("method"), fill(text("path")));
    head.push_str(&format!("host: 127.0.0.1:{}\r\nconnection: close\r\n", cloud.port()));
    head.push_str(&format!("content-length: {}\r\n", body.len()));
    for (name, value) in request["headers"].as_object().expect("headers") {
        // Nobody waits for the word to go on.
        if name != "expect" {
            head.push_str(&format!("{name}: {}\r\n", value.as_str().expect("text")));
        }
    }
    let mut stream = TcpStream::connect(("127.0.0.1", cloud.port())).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { dechunked(body) } else { body.to_owned() };
    Answer { status, kind: kind.unwrap_or_default(), body }
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}

/// The paths of all elements of an answer, without what is in them: as `record.py` has them.
fn shape(answer: &Answer) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if answer.kind.contains("json") && !answer.body.is_empty() {
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        shape_of_json(&body, "", &mut found);
    } else if answer.kind.contains("xml") && !answer.body.is_empty() {
        shape_of_xml(&answer.body, &mut found);
    }
    found
}

fn shape_of_json(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, below) in members {
                let path = format!("{path}/{name}");
                shape_of_json(below, &path, found);
                found.insert(path);
            }
        }
        Value::Array(values) => values.iter().for_each(|it| shape_of_json(it, path, found)),
        _ => {}
    }
}

fn shape_of_xml(text: &str, found: &mut BTreeSet<String>) {
    let mut open: Vec<String> = Vec::new();
    for tag in text.split('<').skip(1).filter_map(|it| it.split('>').next()) {
        match tag.chars().next() {
            Some('?' | '!') | None => {}
            Some('/') => {
                open.pop();
            }
            Some(_) => {
                let name = tag.split([' ', '/']).next().unwrap_or_default();
                open.push(name.to_owned());
                found.insert(format!("/{}", open.join("/")));
                if tag.ends_with('/') {
                    open.pop();
                }
            }
        }
    }
}

/// The first id with a prefix.
fn id(text: &str, prefix: &str) -> Option<String> {
    let joins = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    text.match_indices(prefix).find_map(|(at, _)| {
        let tail = &text[at + prefix.len()..];
        let end = tail.find(|it: char| !matches!(it, '0'..='9' | 'a'..='f')).unwrap_or(tail.len());
        let begins = !text[..at].ends_with(joins);
        (begins && end >= 8).then(|| format!("{prefix}{}", &tail[..end]))
    })
}

/// Whether a request may be made twice: those that only look.
fn only_looks(command: &str) -> bool {
    let word = command.split(' ').nth(1).unwrap_or_default();
    ["describe-", "get-", "list-", "wait", "search-", "filter-"]
        .iter()
        .any(|it| word.starts_with(it))
}

#[test]
fn recorded_requests_of_the_cli_get_answers_of_the_recorded_shape() {
    let cloud = Cloud::records();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let recorded = fs::read_to_string(folder.join("aws-cli-2.36.7.jsonl")).expect("requests");
    let (mut names, mut commands) = (BTreeMap::<String, String>::new(), BTreeSet::new());
    for (number, line) in recorded.lines().enumerate() {
        let request: Value = serde_json::from_str(line).expect("JSON");
        let command = request["command"].as_str().expect("a command");
        commands.insert(command.to_owned());
        let fill = |text: &str| {
            names
                .iter()
                .fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
        };
        let shape_then: BTreeSet<String> =
            serde_json::from_value(request["shape"].clone()).expect("a shape");
        let status_then = request["status"].as_u64().expect("a status");
        let begin = Instant::now();
        let answer = loop {
            let answer = send(&cloud, &request, &fill);
            let (gone, new): (Vec<_>, Vec<_>) = {
                let now = shape(&answer);
                (
                    shape_then.difference(&now).cloned().collect(),
                    now.difference(&shape_then).cloned().collect(),
                )
            };
            let is_on_its_way = command.contains(" wait ")
                && PASSING.iter().any(|state| answer.body.contains(&format!(">{state}<")));
            if answer.status == status_then && gone.is_empty() && new.is_empty() && !is_on_its_way {
                break answer;
            }
            assert!(
                only_looks(command) && begin.elapsed() < PATIENCE,
                "request {number}, {command}: status {} for {status_then}\nmissing: {gone:?}\nnew: \
                 {new:?}\n{}",
                answer.status,
                answer.body
            );
            std::thread::sleep(Duration::from_millis(100));
        };
        if let (Some(name), Some(prefix)) = (request["name"].as_str(), request["prefix"].as_str()) {
            let id = id(&answer.body, prefix);
            let id = id.unwrap_or_else(|| panic!("{command}: no {prefix} in {}", answer.body));
            names.insert(name.to_owned(), id);
        }
    }
    let list = fs::read_to_string(folder.join("commands.txt")).expect("commands");
    let wanted = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lost: Vec<_> =
        wanted.filter(|line| !commands.iter().any(|it| line.ends_with(it))).collect();
    assert!(lost.is_empty(), "not recorded: {lost:?}");
    assert!(commands.len() > 50, "{} commands", commands.len());
}
