//! Reading the inputs: the list of operations, and botocore's `service-2.json` files.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// `models/operations.toml`.
#[derive(Deserialize)]
pub(crate) struct Config {
    /// The botocore release the models are taken from.
    pub(crate) botocore: String,
    /// Service (its folder name in botocore) → what we want of it.
    #[serde(flatten)]
    pub(crate) services: BTreeMap<String, Wanted>,
}

/// What we serve of one service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) open_enums: BTreeSet<String>,
    #[serde(default)]
    pub(crate) omit_empty: Vec<String>,
    pub(crate) operations: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// Reads the list; an operation named twice is an error.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let config: Self = toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        for (service, wanted) in &config.services {
            let mut seen = BTreeSet::new();
            for name in wanted.operations.values().flatten() {
                if !seen.insert(name) {
                    return Err(format!("{}: {service} {name} is listed twice", path.display()));
                }
            }
        }
        Ok(config)
    }
}

impl Wanted {
    /// All operations, sorted by name.
    pub(crate) fn operation_names(&self) -> BTreeSet<&str> {
        self.operations.values().flatten().map(String::as_str).collect()
    }
}

/// An installed botocore.
pub(crate) struct Library {
    data: PathBuf,
}

impl Library {
    /// Finds botocore: `GUREUM_BOTOCORE` (the package's folder), else the one python3 imports.
    /// Another release than the configured one is refused: its models differ.
    pub(crate) fn find(config: &Config) -> Result<Self, String> {
        let package = match env::var_os("GUREUM_BOTOCORE") {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(python_package()?),
        };
        let init = package.join("__init__.py");
        let text = fs::read_to_string(&init).map_err(|e| format!("{}: {e}", init.display()))?;
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("__version__"))
            .map(|rest| rest.trim_matches([' ', '=', '\'', '"']).to_owned())
            .ok_or_else(|| format!("{}: no __version__", init.display()))?;
        if version != config.botocore {
            return Err(format!(
                "botocore {version} is installed, models/operations.toml wants {} \
                 (pip install botocore=={}, or change it and run codegen)",
                config.botocore, config.botocore
            ));
        }
        Ok(Self { data: package.join("data") })
    }

    /// The model of one service, plain or compressed.
    pub(crate) fn service(&self, service: &str, version: &str) -> Result<Model, String> {
        let folder = self.data.join(service).join(version);
        let plain = folder.join("service-2.json");
        let packed = folder.join("service-2.json.gz");
        let mut text = Vec::new();
        let path = if plain.is_file() { plain } else { packed };
        let file = fs::File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let read = if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::GzDecoder::new(file).read_to_end(&mut text)
        } else {
            std::io::BufReader::new(file).read_to_end(&mut text)
        };
        read.map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

impl Model {
    /// Adds the operations and shapes of `models/<service>.json`, if there is such a file: what a
    /// service has and botocore's model leaves out. Nothing that botocore has may be in it.
    pub(crate) fn extend(&mut self, path: &Path) -> Result<(), String> {
        if !path.is_file() {
            return Ok(());
        }
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let more: Addition =
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let twice = |name: &str| format!("{}: botocore has {name}, too", path.display());
        for (name, operation) in more.operations {
            if self.operations.insert(name.clone(), operation).is_some() {
                return Err(twice(&name));
            }
        }
        for (name, shape) in more.shapes {
            if self.shapes.insert(name.clone(), shape).is_some() {
                return Err(twice(&name));
            }
        }
        Ok(())
    }
}

/// `models/<service>.json`.
#[derive(Deserialize)]
struct Addition {
    operations: BTreeMap<String, OperationModel>,
    shapes: BTreeMap<String, Shape>,
}

fn python_package() -> Result<String, String> {
    let program = "import botocore, os; print(os.path.dirname(botocore.__file__))";
    let output = Command::new("python3")
        .args(["-c", program])
        .output()
        .map_err(|e| format!("python3: {e} (or set GUREUM_BOTOCORE to botocore's folder)"))?;
    if !output.status.success() {
        return Err("python3 has no botocore (pip install botocore, or set GUREUM_BOTOCORE)".into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The parts of a `service-2.json` that we read.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub(crate) metadata: Metadata,
    pub(crate) operations: BTreeMap<String, OperationModel>,
    pub(crate) shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) protocol: String,
    pub(crate) endpoint_prefix: String,
    #[serde(default)]
    pub(crate) signing_name: Option<String>,
    pub(crate) service_id: String,
    #[serde(default)]
    pub(crate) xml_namespace: String,
    #[serde(default)]
    pub(crate) target_prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationModel {
    pub(crate) input: Option<ShapeRef>,
    pub(crate) output: Option<ShapeRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShapeRef {
    pub(crate) shape: String,
    pub(crate) location_name: Option<String>,
    pub(crate) query_name: Option<String>,
    pub(crate) result_wrapper: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Members in the order of the model, which is the order of the elements in a response.
    #[serde(default, deserialize_with = "in_order")]
    pub(crate) members: Vec<(String, ShapeRef)>,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) member: Option<ShapeRef>,
    pub(crate) key: Option<ShapeRef>,
    pub(crate) value: Option<ShapeRef>,
    #[serde(default)]
    pub(crate) flattened: bool,
    pub(crate) timestamp_format: Option<String>,
}

fn in_order<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<(String, ShapeRef)>, D::Error> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, ShapeRef)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map of members")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(entry) = map.next_entry()? {
                members.push(entry);
            }
            Ok(members)
        }
    }
    d.deserialize_map(Members)
}
