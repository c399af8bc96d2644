//! `/_gureum/preview`, an endpoint like any other whose calls change nothing: the answer to one that
//! would succeed is that of a dry run (API-3), with what the call would do to packets.

use std::{fmt::Write as _, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use gureum_api::ApiError;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::front::{Asked, Front};
use crate::admin::{Becomes, ChangeView};

/// How many lines of each kind are told in a message.
const LINES: usize = 10;
/// How many receivers are named in a line.
const NAMED: usize = 8;

impl Front {
    /// Answers what a call would do.
    pub(super) async fn preview(&self, request: Request<Body>) -> Response<Body> {
        let request_id = self.control.request_id();
        let as_json = wants_json(request.headers());
        let Asked { request, source, call } = match self.read(request, &request_id).await {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let rehearsal = match self.control.rehearse(&request, &source, &request_id).await {
            Ok(rehearsal) => rehearsal,
            Err(answer) => return self.whole(call, answer),
        };
        let clerk = Arc::clone(&self.clerk);
        let view = tokio::task::spawn_blocking(move || {
            let account = Some(&rehearsal.account);
            clerk.change_view(&rehearsal.before, &rehearsal.after, account)
        });
        let dry_run = ApiError::dry_run();
        let error = match view.await {
            Ok(Ok(view)) if as_json => match serde_json::to_vec(&view) {
                Ok(body) => return self.whole(call, json(body, dry_run.status)),
                Err(error) => ApiError::internal_error(error),
            },
            Ok(Ok(view)) => {
                let message = format!("{}\n{}", dry_run.message, sentences(&view));
                ApiError { message, ..dry_run }
            }
            Ok(Err(sentence)) => {
                let message =
                    format!("The call would succeed, but its effect is not known: {sentence}");
                ApiError::new("UnsupportedOperation", message)
            }
            Err(panic) => ApiError::internal_error(panic),
        };
        self.whole(call, error.response(request.protocol(), &request_id))
    }
}

/// Whether a program asks, which wants the view and no sentences.
fn wants_json(headers: &HeaderMap) -> bool {
    let says = |name: &str, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
        let mut words = values.flat_map(|it| it.split(',')).map(|it| it.split(';').next());
        words.any(|it| it.is_some_and(|word| word.trim().eq_ignore_ascii_case(wanted)))
    };
    says("accept", "application/json") || says("x-gureum-output", "json")
}

fn json(body: Vec<u8>, status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The view in a few lines.
fn sentences(view: &ChangeView) -> String {
    if view.is_empty() {
        return "Nothing would change in what passes between interfaces, or between them and a \
                host of the internet."
            .to_owned();
    }
    let mut text = String::from("Nothing was changed. The call would have this effect:");
    for becomes in [Becomes::Impossible, Becomes::Possible] {
        let ways = view.ways.iter().filter(|it| it.becomes == becomes);
        let lines = ways.map(|it| {
            let to = named(&it.to);
            format!("{} from {} to {to}: {}", it.traffic(), it.from, it.by)
        });
        list(&mut text, becomes.text(), lines);
    }
    for (goes_on, title) in [(false, "open connections that end"), (true, "go on only as tracked")]
    {
        let flows = view.flows.iter().filter(|it| it.goes_on == goes_on);
        let lines =
            flows.map(|it| format!("{} from {} to {}: {}", it.protocol, it.from, it.to, it.by));
        list(&mut text, title, lines);
    }
    text
}

fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Lines with a title that counts them.
fn list(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return;
    }
    let _ = write!(text, "\n{title} ({}):", lines.len());
    for line in lines.iter().take(LINES) {
        let _ = write!(text, "\n  {line}");
    }
    if lines.len() > LINES {
        let _ = write!(text, "\n  and {} more", lines.len() - LINES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{Difference, FlowFate};

    #[test]
    fn a_view_is_a_few_lines_with_counts() {
        assert!(
            sentences(&ChangeView::default())
                .starts_with("Nothing would change in what passes between")
        );
        let difference = |number: usize| Difference {
            becomes: Becomes::Impossible,
            from: format!("from-{number}"),
            to: (0..10).map(|it| format!("to-{it}")).collect(),
            protocol: "tcp".into(),
            ports: vec!["80-90".into()],
            source_ports: None,
            ipv6: true,
            by: "no-route".into(),
        };
        let flow = |goes_on| FlowFate {
            goes_on,
            from: "a".into(),
            to: "b".into(),
            protocol: "udp 53".into(),
            by: "x".into(),
        };
        let ways = (0..12).map(difference).collect();
        let view = ChangeView { ways, flows: vec![flow(false), flow(true)] };
        let text = sentences(&view);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "passes no more (12):");
        let to = "to-0, to-1, to-2, to-3, to-4, to-5, to-6, to-7 and 2 more";
        assert_eq!(lines[2], format!("  tcp 80-90 over IPv6 from from-0 to {to}: no-route"));
        let rest = [
            "  and 2 more",
            "open connections that end (1):",
            "  udp 53 from a to b: x",
            "go on only as tracked (1):",
            "  udp 53 from a to b: x",
        ];
        assert_eq!(lines[12..], rest);
    }

    #[test]
    fn programs_say_that_they_want_json() {
        let says = |name: &'static str, value: &'static str| {
            wants_json(&HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
        };
        assert!(says("accept", "text/xml, application/json;q=0.9"));
        assert!(says("x-gureum-output", "JSON"));
        assert!(!says("accept", "*/*"));
        assert!(!wants_json(&HeaderMap::new()));
    }
}
