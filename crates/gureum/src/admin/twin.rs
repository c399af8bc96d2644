//! Requests about networks as documents, and about snapshots of all records.

use gureum_control::{ImportOptions, Imported};
use gureum_types::record::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TwinRequest {
    /// A network as describe calls answer.
    Export {
        /// Whose, and where; the only one that there is where absent.
        scope: Option<Scope>,
        /// The one VPC that is meant, by its id or Name tag.
        vpc: Option<String>,
    },
    /// Make a network from answers of describe calls.
    Import {
        /// Each with the name of its file.
        answers: Vec<(String, Value)>,
        /// How.
        options: ImportOptions,
    },
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TwinReply {
    /// To `Export`.
    Document(Value),
    /// To `Import`.
    Imported(Imported),
    /// Nothing was done: a sentence for each reason.
    Refused(Vec<String>),
}
