//! `gureum check --packets`: the same questions, answered by hosts. What was decided is held against
//! what packets met, and where the two differ the expectation does not hold.

use std::time::Duration;

use crate::{
    admin::{AttemptReport, AttemptsArgs, Decision, Outcome, Reply, Request, Verdict, WhyArgs},
    cli::client::{Daemon, unexpected},
    failure::Failure,
};

/// How long an answer is waited for: packets that are dropped take all of it, side by side.
const PATIENCE: Duration = Duration::from_millis(1200);
/// As that, for what should have arrived: a packet that got lost on a busy machine is no answer.
const LONG_PATIENCE: Duration = Duration::from_secs(4);
/// How often it is asked again.
const AGAIN: usize = 3;
/// Packets that are under way at once.
const AT_ONCE: usize = 1000;

/// Sends a packet for each decision, of a stretch of ports one by its first, and changes the verdicts
/// where it fared otherwise. Gives how many were sent.
pub(super) fn hold(daemon: &Daemon, verdicts: &mut [Verdict]) -> Result<usize, Failure> {
    let mut asked = Vec::new();
    for (number, verdict) in verdicts.iter().enumerate() {
        let known = verdict.decisions.iter().filter(|_| verdict.outcome != Outcome::Unknown);
        asked.extend(known.filter_map(|it| Some((number, it.clone(), question(it)?))));
    }
    let mut reports = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_ONCE) {
        reports.extend(send(daemon, some.iter().map(|(_, _, it)| it), PATIENCE)?);
    }
    for _ in 0..AGAIN {
        let is_lost = |at: &usize| {
            let (_, decision, _) = &asked[*at];
            decision.reachable && reports[*at].got_through == Some(false)
        };
        let lost: Vec<_> = (0..asked.len()).filter(is_lost).take(AT_ONCE).collect();
        if lost.is_empty() {
            break;
        }
        let again = send(daemon, lost.iter().map(|at| &asked[*at].2), LONG_PATIENCE)?;
        lost.into_iter().zip(again).for_each(|(at, report)| reports[at] = report);
    }
    for ((number, decision, question), report) in asked.iter().zip(&reports) {
        let Some(verdict) = verdicts.get_mut(*number) else { continue };
        match report.got_through {
            Some(through) if through == decision.reachable => {}
            Some(_) => {
                if verdict.outcome == Outcome::Holds {
                    verdict.outcome = Outcome::Fails;
                    verdict.because = Some(otherwise(decision, question, report));
                }
                verdict.against += 1;
            }
            None => {
                verdict.outcome = Outcome::Unknown;
                verdict.because = Some(format!(
                    "no packet could be sent from {} to {}: {}",
                    decision.from_name, decision.to_name, report.how
                ));
            }
        }
    }
    Ok(asked.len())
}

/// What to send; nothing where a name means no address.
fn question(decision: &Decision) -> Option<WhyArgs> {
    let destination = decision.destination?;
    // No packet goes to port 0.
    let port = decision.ports.map(|ports| ports.first.max(1).min(ports.last));
    Some(WhyArgs {
        source: decision.source.map_or_else(|| decision.from.clone(), |it| it.to_string()),
        destination: destination.to_string(),
        protocol: decision.protocol.to_string(),
        port,
        source_port: None,
        ipv6: destination.is_ipv6(),
    })
    .filter(|_| port != Some(0))
}

fn otherwise(decision: &Decision, question: &WhyArgs, report: &AttemptReport) -> String {
    let port = question.port.map(|port| format!(" {port}")).unwrap_or_default();
    let decided = if decision.reachable { "reachable" } else { "not reachable" };
    format!(
        "packets say otherwise: {}{port} from {} to {} is {decided}, and was {}",
        decision.protocol, decision.from_name, decision.to_name, report.how
    )
}

fn send<'a>(
    daemon: &Daemon,
    questions: impl Iterator<Item = &'a WhyArgs>,
    patience: Duration,
) -> Result<Vec<AttemptReport>, Failure> {
    let questions: Vec<_> = questions.cloned().collect();
    let count = questions.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    match daemon.ask(&Request::Attempts(AttemptsArgs { questions, patience }))? {
        Reply::Attempts(reports) if reports.len() == count => Ok(reports),
        other => Err(unexpected(&other)),
    }
}
