//! The present state, to ask the engine about: of the data path where there are hosts, else of the
//! records alone.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use gureum_engine::{Limits, Policy, State, WhyQuery, WhyReport};
use gureum_host::{cloud::Cloud, datapath};
use gureum_services::{dns::InternetResolver, internet::Hosts};
use gureum_types::view::ServiceView;

use super::clerk::{Answer, Clerk};

/// How many questions the data path answers in a row: packets pass in between.
const PORTION: usize = 16;

/// What is asked.
pub(super) struct Present {
    of: Of,
    resolver: OnceLock<Arc<InternetResolver>>,
}

enum Of {
    Hosts(Arc<Cloud>),
    /// Without hosts there are no flows: an empty state is the present one.
    Records {
        policy: Arc<Policy>,
        view: Arc<ServiceView>,
        state: Box<State>,
    },
}

impl Clerk {
    /// The state as it is now.
    pub(super) fn present(&self) -> Present {
        let of = match &self.cloud {
            Some(cloud) => Of::Hosts(Arc::clone(cloud)),
            None => {
                let (policy, view) = self.control.compiled();
                let state = Box::new(State::new(Limits::default()));
                Of::Records { policy: Arc::new(policy), view: Arc::new(view), state }
            }
        };
        let resolver = self.resolver.clone().map_or_else(OnceLock::new, OnceLock::from);
        Present { of, resolver }
    }

    /// The state that a policy would begin with. Names mean nothing there: it is asked about addresses.
    pub(super) fn supposed(&self, policy: Arc<Policy>) -> Present {
        let state = Box::new(State::new(Limits::default()));
        let of = Of::Records { policy, view: Arc::default(), state };
        Present { of, resolver: OnceLock::new() }
    }
}

impl Present {
    /// What becomes of a packet and its answer.
    pub(super) fn ask(&mut self, query: &WhyQuery) -> Answer<WhyReport> {
        let mut answered = None;
        self.ask_each(std::iter::once(((), query.clone())), |(), report| answered = Some(report))?;
        answered.ok_or_else(gone)
    }

    /// What becomes of many packets, each for itself, told in their order.
    pub(super) fn ask_each<T>(
        &mut self,
        queries: impl Iterator<Item = (T, WhyQuery)>,
        mut each: impl FnMut(T, WhyReport),
    ) -> Answer<()> {
        match &mut self.of {
            Of::Records { policy, state, .. } => {
                for (of, query) in queries {
                    let now = datapath::monotonic_now();
                    each(of, gureum_engine::why(policy, state, &query, now));
                }
                Ok(())
            }
            Of::Hosts(cloud) => {
                let mut queries = queries.peekable();
                while queries.peek().is_some() {
                    let (of, portion): (Vec<_>, Vec<_>) = queries.by_ref().take(PORTION).unzip();
                    let now = datapath::monotonic_now();
                    let asked = cloud.datapath().run(move |policy, state| {
                        let answer = |query| gureum_engine::why(policy, state, query, now);
                        portion.iter().map(answer).collect::<Vec<_>>()
                    });
                    let reports = asked.blocking_recv().map_err(|_| gone())?;
                    of.into_iter().zip(reports).for_each(|(of, report)| each(of, report));
                }
                Ok(())
            }
        }
    }

    /// Who knows what names mean.
    pub(super) fn resolver(&self) -> Answer<Arc<InternetResolver>> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(Arc::clone(resolver));
        }
        let hosts = Hosts::embedded().map_err(|error| error.to_string())?;
        let view = match &self.of {
            Of::Records { view, .. } => Arc::clone(view),
            // With hosts there is a resolver from the beginning.
            Of::Hosts(_) => return Err(gone()),
        };
        let view = Arc::new(ArcSwap::new(view));
        let resolver = InternetResolver::new(Arc::new(hosts), view);
        Ok(Arc::clone(self.resolver.get_or_init(|| Arc::new(resolver))))
    }
}

fn gone() -> String {
    "the data path is gone".to_owned()
}
