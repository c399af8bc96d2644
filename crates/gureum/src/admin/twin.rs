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

/// What is to be done about snapshots of all records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SnapshotRequest {
    /// Keep one.
    Save {
        /// Under this name.
        name: String,
    },
    /// Put its records in the place of the present ones.
    Load {
        /// Which.
        name: String,
    },
    /// Say which there are.
    List,
    /// Delete one.
    Delete {
        /// Which.
        name: String,
    },
}

/// A snapshot that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptSnapshot {
    /// Its name.
    pub name: String,
    /// When it was saved, in seconds since the beginning of 1970.
    pub saved: u64,
    /// How large it is on disk.
    pub bytes: u64,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TwinReply {
    /// To `Export`.
    Document(Value),
    /// To `Import`.
    Imported(Imported),
    /// To each request about snapshots: those that there are now.
    Snapshots(Vec<KeptSnapshot>),
    /// Nothing was done: a sentence for each reason.
    Refused(Vec<String>),
}
