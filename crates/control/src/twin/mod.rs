//! Networks as documents: the answers of describe calls as the AWS CLI prints them, and records
//! made from such answers, so that an account's network has a twin here.
//!
//! A document becomes records in one transaction, with the ids, addresses and rules that it says.
//! What it has and nothing here can be like is told first; what refers to nothing is refused.

mod check;
mod differences;
mod document;
mod endpoint;
mod export;
mod import;
mod instance;
mod interface;
mod network;
pub mod plan;
mod room;
mod routes;
mod rules;

use std::fmt;

use gureum_api::{ApiError, ec2};
use gureum_store::StoreError;
use gureum_types::{
    AccountId, Region,
    record::{RegionState, Scope, Vpc},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{call::Call, control::Control, iam::caller::Caller};
use document::Document;
use import::Import;

/// How an import shall be done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ImportOptions {
    /// Whose the twin is; the owner that the data name where absent.
    pub account: Option<AccountId>,
    /// Where it is; the region of the data where absent.
    pub region: Option<Region>,
    /// Whether what the account has in the region gives way.
    pub replace: bool,
    /// Whether data with something that nothing here can be like are refused.
    pub strict: bool,
    /// Whether public addresses are given anew from the machine's pool.
    pub new_public_addresses: bool,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: String,
    /// What was made: a key of the document and how many.
    pub counts: Vec<(String, u64)>,
    /// What is there and nothing here can be like, so that packets may fare otherwise: a sentence
    /// each.
    pub unsupported: Vec<String>,
    /// What has another value than in the data: a sentence each.
    pub replaced: Vec<String>,
    /// What was guessed, or is of no matter for packets.
    pub notes: Vec<String>,
    /// Members that a describe call shows otherwise than the data, or not at all: the path and how
    /// often.
    pub differences: Vec<(String, u64)>,
}

/// Why nothing was imported: a sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused(pub Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(vec![error.to_string()])
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(vec![error.message])
    }
}

fn refused<T>(problem: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(vec![problem.into()]))
}

impl Control {
    /// The network of an account in a region, or one VPC of it with what belongs to it, as describe
    /// calls answer. Without a scope the one that the VPC is in, or the only one that there is.
    pub fn export(&self, scope: Option<&Scope>, vpc: Option<&str>) -> Result<Value, Refused> {
        let records = self.snapshot();
        let opened = records.everywhere::<RegionState>().filter_map(|(key, _)| key.scope.as_ref());
        let is_asked = |it: &&Scope| scope.is_none_or(|asked| asked == *it);
        let scopes: Vec<_> = opened.filter(is_asked).collect();
        let found: Vec<_> = match vpc {
            None => scopes.into_iter().map(|scope| (scope, None)).collect(),
            Some(name) => scopes
                .into_iter()
                .flat_map(|scope| records.all::<Vpc>(scope).map(move |vpc| (scope, vpc)))
                .filter(|(_, it)| {
                    it.id.as_str() == name || it.tags.get("Name").is_some_and(|tag| tag == name)
                })
                .map(|(scope, vpc)| (scope, Some(vpc)))
                .collect(),
        };
        let (scope, vpc) = match found.as_slice() {
            [one] => *one,
            [] => {
                return refused(match vpc {
                    Some(name) => format!("there is no VPC with the id or Name tag \"{name}\""),
                    None => "there are no resources: no account was used yet".to_owned(),
                });
            }
            several => {
                let places = several.iter().map(|(scope, vpc)| {
                    let vpc = vpc.map(|it| format!("{} in ", it.id)).unwrap_or_default();
                    format!("{vpc}account {} region {}", scope.account, scope.region)
                });
                let places: Vec<_> = places.collect();
                return refused(format!("which one is meant? There are {}", places.join(", ")));
            }
        };
        let document = export::document(&self.own_call(scope), &records)?;
        Ok(match vpc {
            Some(vpc) => export::only(document, vpc.id.as_str()).print(),
            None => document.print(),
        })
    }

    /// Makes a network from answers of describe calls, each with the name of its file: all of it,
    /// or nothing.
    pub async fn import(
        &self,
        answers: &[(String, Value)],
        options: &ImportOptions,
    ) -> Result<Imported, Refused> {
        let document = Document::read(answers).map_err(Refused)?;
        let place = room::Place::of(&document, options)?;
        let call = self.own_call(&place.scope);
        let (store, options) = (self.store().clone(), options.clone());
        let done = tokio::task::spawn_blocking(move || {
            store.transact(|tx| Import::new(&call, tx, &document, &place, &options).run())
        });
        let imported = match done.await {
            Ok(done) => done?,
            Err(error) => return refused(error.to_string()),
        };
        self.publish().await;
        Ok(imported)
    }

    /// A call that nobody made.
    fn own_call(&self, scope: &Scope) -> Call {
        Call {
            scope: scope.clone(),
            caller: Caller::root(scope.account.clone(), ""),
            now: (self.config().clock)(),
            endpoint: String::new(),
            config: self.config().clone(),
        }
    }
}

/// The Name tag in answers, in brackets, for sentences.
fn named(tags: &[ec2::Tag]) -> String {
    let name = tags.iter().find(|tag| tag.key.as_deref() == Some("Name"));
    name.and_then(|tag| tag.value.as_ref()).map_or_else(String::new, |name| format!(" ({name})"))
}
