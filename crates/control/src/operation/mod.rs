//! The table of operations: which handler does which, and what becomes of each parameter.
//!
//! A file a service. Each is one [`operations!`] table, from which both the dispatch and
//! [`parameters`] come, so that what is said of a parameter is what is done with it. The match has
//! no wildcard: an operation that is added to the models has a handler or nothing compiles.

mod ec2;
mod ec2_instance_connect;
mod iam;
mod logs;
mod reference;
mod ssm;
mod sts;

use std::sync::Arc;

use bytes::Bytes;
use gureum_api::{ApiError, ApiRequest, Op, Operation, response, response_with, shape::Structure};
use gureum_engine::Policy;
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::Instance;
use http::Response;

pub use reference::{Treatment, markdown, reference};

use crate::{
    accept,
    call::{Answer, Call},
    insights::World,
    resource::live_tail::LiveTail,
};

/// An answer on the wire.
pub(crate) type Wire = Response<Bytes>;
/// Answers from a snapshot.
pub(crate) type Read = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<Wire> + Send>;
/// Changes records and answers; may run again.
pub(crate) type Write = Box<dyn Fn(&Call, &mut Transaction) -> Answer<Wire> + Send>;
/// Does what takes long, then says what to change.
pub(crate) type Prepare = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<Write> + Send>;
/// Looks at the records and the policy that was compiled from them, then says what to change.
pub(crate) type Analyze = Box<dyn FnOnce(&Call, &Snapshot, &Policy) -> Answer<Write> + Send>;
/// Finds the instance whose console is asked for.
pub(crate) type Find = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<Arc<Instance>> + Send>;
/// Answers with what a console shows.
pub(crate) type Show = Box<dyn FnOnce(&Call, &Instance, Vec<u8>) -> Wire + Send>;

/// Makes an object, and the answer for when it is in its bucket.
pub(crate) type Make = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<(Upload, Wire)> + Send>;

/// An object that a service puts into a bucket in the name of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// Begins to listen to log groups.
pub(crate) type Listen = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<LiveTail> + Send>;

/// What there is to do for a request.
pub(crate) enum Work {
    /// Look.
    Read(Read),
    /// Look, on a thread of its own: it reads or writes log data.
    Disk(Read),
    /// Change.
    Write(Write),
    /// Change, after something long that needs no transaction.
    Prepare(Prepare),
    /// Change, after a look at what the network lets through.
    Analyze(Analyze),
    /// Put an object into a bucket, then answer.
    Upload(Make),
    /// Ask Linux for a console.
    Console(Find, Show),
    /// Begin an answer that goes on.
    Tail(Listen),
}

/// What becomes of an operation's parameters: names of the service model, with dots for members of
/// structures. A name alone speaks for everything beneath it. What is in neither list is refused
/// by its name; `DryRun` is always obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// What is done as it says.
    pub obeyed: &'static [&'static str],
    /// What is stored and shown again, without the effect that it has on AWS. A description has none there
    /// either, and so is obeyed.
    pub recorded: &'static [&'static str],
}

/// A service's table, by the name of its module in `gureum_api`. An entry is
///
/// ```text
/// CreateVpc: write vpc::create, obeyed ["CidrBlock"], recorded ["InstanceTenancy"];
/// ```
///
/// with how its handler works: `read` from a snapshot, `disk` from a snapshot and log data, `write`
/// in a transaction, or `custom`, which makes the [`Work`] itself.
macro_rules! operations {
    ($api:ident $($name:ident: $how:ident $handler:path, obeyed [$($obeyed:literal),* $(,)?]
        $(, recorded [$($recorded:literal),* $(,)?])?;)*) => {
        /// What there is to do for a request.
        pub(super) fn work(
            operation: gureum_api::$api::Operation,
            request: &gureum_api::ApiRequest,
            id: &str,
        ) -> crate::call::Answer<super::Work> {
            let _ = (request, id);
            match operation {
                $(gureum_api::$api::Operation::$name => super::operations!(
                    @$how $api $name $handler, request, id, parameters(operation)
                ),)*
            }
        }

        /// What becomes of the operation's parameters.
        pub(super) const fn parameters(
            operation: gureum_api::$api::Operation,
        ) -> super::Parameters {
            match operation {
                $(gureum_api::$api::Operation::$name => super::Parameters {
                    obeyed: &[$($obeyed),*],
                    recorded: &[$($($recorded),*)?],
                },)*
            }
        }
    };
    (@read $api:ident $name:ident $handler:path, $r:ident, $id:ident, $parameters:expr) => {
        super::read::<gureum_api::$api::op::$name>($r, $id, $parameters, $handler)
    };
    (@disk $api:ident $name:ident $handler:path, $r:ident, $id:ident, $parameters:expr) => {
        super::disk::<gureum_api::$api::op::$name>($r, $id, $parameters, $handler)
    };
    (@write $api:ident $name:ident $handler:path, $r:ident, $id:ident, $parameters:expr) => {
        super::write::<gureum_api::$api::op::$name>($r, $id, $parameters, $handler)
    };
    (@custom $api:ident $name:ident $handler:path, $r:ident, $id:ident, $parameters:expr) => {
        $handler($r, $id, $parameters)
    };
}
use operations;

/// Reads the parameters of a request; refuses what has no effect and is not kept.
pub(crate) fn read_input<O: Op>(r: &ApiRequest, parameters: Parameters) -> Answer<O::Input> {
    let input = r.decode::<O>()?;
    accept::only(&input, parameters)?;
    Ok(input)
}

fn read<O: Op>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    handler: fn(&Call, &Snapshot, &O::Input) -> Answer<O::Output>,
) -> Answer<Work> {
    Ok(Work::Read(look::<O>(r, id, parameters, handler)?))
}

fn disk<O: Op>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    handler: fn(&Call, &Snapshot, &O::Input) -> Answer<O::Output>,
) -> Answer<Work> {
    Ok(Work::Disk(look::<O>(r, id, parameters, handler)?))
}

fn look<O: Op>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    handler: fn(&Call, &Snapshot, &O::Input) -> Answer<O::Output>,
) -> Answer<Read> {
    let input = read_input::<O>(r, parameters)?;
    let id = id.to_owned();
    Ok(Box::new(move |call, records| {
        let output = handler(call, records, &input)?;
        match accept::is_dry_run(&input) {
            true => Err(ApiError::dry_run()),
            false => Ok(response::<O>(&output, &id)),
        }
    }))
}

/// Says what is in a list, and the rest of the answer.
type InList<O, P> = fn(&Call, &Snapshot, &<O as Op>::Input) -> Answer<(<O as Op>::Output, Vec<P>)>;

/// Answers with a list, by its name in the model, that is as long as what is in an account. `find`
/// says what is in it, and `show` makes each element when it is written.
pub(crate) fn each<O: Op, P: 'static, E: Structure + 'static>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    list: &'static str,
    find: InList<O, P>,
    show: fn(&Call, &Snapshot, &P) -> E,
) -> Answer<Work> {
    let input = read_input::<O>(r, parameters)?;
    let id = id.to_owned();
    Ok(Work::Read(Box::new(move |call, records| {
        let (output, found) = find(call, records, &input)?;
        if accept::is_dry_run(&input) {
            return Err(ApiError::dry_run());
        }
        let mut elements = |take: &mut dyn FnMut(&dyn Structure)| {
            found.iter().for_each(|it| take(&show(call, records, it)));
        };
        Ok(response_with::<O>(&output, list, &mut elements, &id))
    })))
}

fn write<O: Op>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    handler: fn(&Call, &mut Transaction, &O::Input) -> Answer<O::Output>,
) -> Answer<Work> {
    let input = read_input::<O>(r, parameters)?;
    let id = id.to_owned();
    Ok(Work::Write(Box::new(move |call, tx| {
        let output = handler(call, tx, &input)?;
        // A rehearsal goes all the way; its error takes everything back (API-3).
        match accept::is_dry_run(&input) {
            true => Err(ApiError::dry_run()),
            false => Ok(response::<O>(&output, &id)),
        }
    })))
}

/// Puts what was prepared into the records, and answers.
type Keep<O, P> = fn(&Call, &mut Transaction, &<O as Op>::Input, &P) -> Answer<<O as Op>::Output>;

/// An analysis: `prepare` makes it, on a thread of its own, and `keep` puts it into the records.
pub(crate) fn analyze<O: Op, P: Send + 'static>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    prepare: fn(&World<'_>, &O::Input) -> Answer<P>,
    keep: Keep<O, P>,
) -> Answer<Work> {
    let input = read_input::<O>(r, parameters)?;
    let id = id.to_owned();
    Ok(Work::Analyze(Box::new(move |call, records, policy| {
        let prepared = prepare(&World { call, records, policy }, &input)?;
        Ok(Box::new(move |call, tx| {
            let output = keep(call, tx, &input, &prepared)?;
            match accept::is_dry_run(&input) {
                true => Err(ApiError::dry_run()),
                false => Ok(response::<O>(&output, &id)),
            }
        }))
    })))
}

/// Makes an object, and the answer.
type WithUpload<O> = fn(&Call, &Snapshot, &<O as Op>::Input) -> Answer<(Upload, <O as Op>::Output)>;

/// An object is made from a snapshot; nothing is put in a rehearsal.
pub(crate) fn upload<O: Op>(
    r: &ApiRequest,
    id: &str,
    parameters: Parameters,
    handler: WithUpload<O>,
) -> Answer<Work> {
    let input = read_input::<O>(r, parameters)?;
    let id = id.to_owned();
    Ok(Work::Upload(Box::new(move |call, records| {
        let (upload, output) = handler(call, records, &input)?;
        match accept::is_dry_run(&input) {
            true => Err(ApiError::dry_run()),
            false => Ok((upload, response::<O>(&output, &id))),
        }
    })))
}

/// What to do for a request.
pub(crate) fn work(r: &ApiRequest, id: &str) -> Answer<Work> {
    match r.operation {
        Operation::Ec2(operation) => ec2::work(operation, r, id),
        Operation::Ec2InstanceConnect(operation) => ec2_instance_connect::work(operation, r, id),
        Operation::Iam(operation) => iam::work(operation, r, id),
        Operation::Logs(operation) => logs::work(operation, r, id),
        Operation::Ssm(operation) => ssm::work(operation, r, id),
        Operation::Sts(operation) => sts::work(operation, r, id),
    }
}

/// What becomes of an operation's parameters.
pub fn parameters(operation: Operation) -> Parameters {
    match operation {
        Operation::Ec2(operation) => ec2::parameters(operation),
        Operation::Ec2InstanceConnect(operation) => ec2_instance_connect::parameters(operation),
        Operation::Iam(operation) => iam::parameters(operation),
        Operation::Logs(operation) => logs::parameters(operation),
        Operation::Ssm(operation) => ssm::parameters(operation),
        Operation::Sts(operation) => sts::parameters(operation),
    }
}

#[cfg(test)]
mod tests {
    use gureum_api::{Operation, Service};

    /// The tables are exhaustive over the generated operations; this ties those to the file that
    /// people edit.
    #[test]
    fn every_operation_of_the_models_is_served() {
        let models = include_str!("../../../../models/operations.toml");
        let mut named = 0;
        for service in Service::ALL {
            let header = format!("[{}.operations]", service.info().signing_name);
            let section = models.split(&header).nth(1).expect("a section").split("\n[").next();
            let names = section.unwrap_or_default().split('"').skip(1).step_by(2);
            for name in names {
                assert!(service.operation(name).is_some(), "{name} has no handler");
                named += 1;
            }
        }
        assert_eq!(named, Operation::all().count(), "the file was read to its end");
    }
}
