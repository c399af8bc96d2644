//! Reachability Analyzer and Network Access Analyzer (RA-*, NAA-1): what the network lets through,
//! without a packet.
//!
//! Nothing here decides about packets. Each packet in question goes through the engine's own stages
//! ([`gureum_engine::Model`]) under the compiled policy with nothing tracked yet (RA-1), and its
//! answer too; what the stages say becomes components ([`course`]) or explanations ([`explain`]) by
//! AWS's names. Which packets to ask for follows from the rules on the way: they cut the lines of
//! addresses and ports ([`rules`], [`lines`]), and one packet speaks for all between two cuts
//! ([`search`]).
//!
//! A path is there when the packet arrives and its answer comes back. A finding of an access scope
//! is a way that a packet can take, whether or not anything comes back. What the engine cannot follow
//! (transit gateways, virtual private gateways, an appliance's own forwarding) is unknown, with the
//! reason, and the analysis counts as failed: never a guess.

mod access;
mod course;
mod end;
mod explain;
mod filtered;
mod goal;
mod lines;
mod path;
mod rules;
mod search;
mod statement;
mod world;

use gureum_types::record::{AnalysisOutcome, Explanation, PathComponent};

pub(crate) use self::{
    access::analyze as analyze_access,
    end::{checked as checked_end, parse as parse_end},
    path::analyze as analyze_path,
    statement::check as check_statement,
    world::World,
};

/// Why there is no path.
#[derive(Clone, Debug)]
enum Trouble {
    /// Something is in the way.
    NoPath(Vec<Explanation>),
    /// Nobody knows.
    Unknown(String),
}

/// What an analysis of a path comes to.
#[derive(Clone, Debug)]
pub(crate) struct Analysis {
    pub(crate) outcome: AnalysisOutcome,
    pub(crate) forward: Vec<PathComponent>,
    pub(crate) back: Vec<PathComponent>,
    pub(crate) explanations: Vec<Explanation>,
}

impl From<Trouble> for Analysis {
    fn from(trouble: Trouble) -> Self {
        let (outcome, explanations) = match trouble {
            Trouble::NoPath(explanations) => (AnalysisOutcome::NotFound, explanations),
            Trouble::Unknown(why) => (AnalysisOutcome::Unknown(why), Vec::new()),
        };
        Self { outcome, forward: Vec::new(), back: Vec::new(), explanations }
    }
}
