//! Git repositories of the simulated internet, over git's "dumb" HTTP protocol: plain files that
//! are made from the files below `internet/git` when the daemon starts.
//!
//! Each repository has one branch with one commit, whose id depends on nothing but the files.

use std::{collections::BTreeMap, io::Write};

use bytes::Bytes;
use flate2::{Compression, write::ZlibEncoder};
use sha1::{Digest, Sha1};

/// A repository as it lies in `internet/git`: its path at the host, and its files.
struct Repository {
    path: &'static str,
    message: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! repository {
    ($path:literal, $message:literal, [$($file:literal),* $(,)?]) => {
        Repository {
            path: $path,
            message: $message,
            files: &[$((
                $file,
                include_bytes!(concat!("../../../../internet/git/", $path, "/", $file)),
            )),*],
        }
    };
}

const REPOSITORIES: &[Repository] = &[
    repository!(
        "whchoi98/ec2meta-webpage",
        "Show what an instance reads of itself\n",
        ["README.md", "index.php", "metadata.php", "style.css"]
    ),
    repository!(
        "whchoi98/useful-shell",
        "List the instances of a region\n",
        ["README.md", "aws_ec2_ext.sh"]
    ),
];

const BRANCH: &str = "refs/heads/main";
/// Who made the commit, and when: the same in every run.
const SIGNATURE: &str = "Gureum <gureum@localhost> 1630627200 +0000";

/// All files of all repositories, by path at the host.
pub(super) struct GitHost {
    files: BTreeMap<String, Bytes>,
}

impl GitHost {
    /// The repositories that come with us.
    pub(super) fn embedded() -> Self {
        let mut files = BTreeMap::new();
        for repository in REPOSITORIES {
            let base = format!("/{}.git", repository.path);
            let mut store = Objects { base: &base, files: &mut files };
            let listed = repository.files.iter().map(|(path, bytes)| (*path, *bytes)).collect();
            let tree = store.tree(&listed);
            let commit = format!(
                "tree {}\nauthor {SIGNATURE}\ncommitter {SIGNATURE}\n\n{}",
                hex(&tree),
                repository.message
            );
            let commit = hex(&store.put("commit", commit.as_bytes()));
            files.insert(format!("{base}/HEAD"), format!("ref: {BRANCH}\n").into());
            files.insert(format!("{base}/info/refs"), format!("{commit}\t{BRANCH}\n").into());
            files.insert(format!("{base}/objects/info/packs"), Bytes::new());
        }
        Self { files }
    }

    /// The file at a path; repositories are there with and without `.git`.
    pub(super) fn file(&self, path: &str) -> Option<Bytes> {
        if let Some(file) = self.files.get(path) {
            return Some(file.clone());
        }
        // /owner/name/rest
        let rest = path.match_indices('/').nth(2)?.0;
        let (repository, rest) = path.split_at(rest);
        self.files.get(&format!("{repository}.git{rest}")).cloned()
    }

    /// Whether a path is that of a repository, as people open it in a browser.
    pub(super) fn is_repository(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/').trim_end_matches(".git");
        self.files.contains_key(&format!("{path}.git/HEAD"))
    }
}

/// Writes loose objects.
struct Objects<'a> {
    base: &'a str,
    files: &'a mut BTreeMap<String, Bytes>,
}

impl Objects<'_> {
    fn put(&mut self, kind: &str, content: &[u8]) -> [u8; 20] {
        let mut object = format!("{kind} {}\0", content.len()).into_bytes();
        object.extend_from_slice(content);
        let id: [u8; 20] = Sha1::digest(&object).into();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let compressed = encoder.write_all(&object).and_then(|()| encoder.finish());
        let name = hex(&id);
        let (directory, file) = name.split_at(2);
        self.files.insert(
            format!("{}/objects/{directory}/{file}", self.base),
            compressed.expect("writing to memory does not fail").into(),
        );
        id
    }

    /// Puts files, given by their paths, and the trees above them.
    fn tree(&mut self, files: &BTreeMap<&str, &[u8]>) -> [u8; 20] {
        let mut below: BTreeMap<&str, BTreeMap<&str, &[u8]>> = BTreeMap::new();
        // Git sorts directories as if their names ended with a slash.
        let mut entries: BTreeMap<String, (&str, &str, [u8; 20])> = BTreeMap::new();
        for (path, bytes) in files {
            match path.split_once('/') {
                Some((directory, rest)) => {
                    below.entry(directory).or_default().insert(rest, bytes);
                }
                None => {
                    let id = self.put("blob", bytes);
                    entries.insert((*path).to_owned(), ("100644", path, id));
                }
            }
        }
        for (directory, files) in &below {
            let id = self.tree(files);
            entries.insert(format!("{directory}/"), ("40000", directory, id));
        }
        let mut tree = Vec::new();
        for (mode, name, id) in entries.values() {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend_from_slice(id);
        }
        self.put("tree", &tree)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_the_ids_that_git_gives_them() {
        let mut files = BTreeMap::new();
        let mut store = Objects { base: "", files: &mut files };
        // As `git hash-object` and `git write-tree` say.
        let blob = store.put("blob", b"hello\n");
        assert_eq!(hex(&blob), "ce013625030ba8dba906f756967f9e9ca394464a");
        let tree = store.tree(&BTreeMap::from([("a.txt", b"hello\n" as &[u8])]));
        assert_eq!(hex(&tree), "2e81171448eb9f2ee3821e3d447aa6b2fe3ddba1");
        assert_eq!(hex(&store.tree(&BTreeMap::new())), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn a_repository_is_found_with_and_without_its_suffix() {
        let host = GitHost::embedded();
        let with = host.file("/whchoi98/ec2meta-webpage.git/info/refs").expect("there");
        assert_eq!(host.file("/whchoi98/ec2meta-webpage/info/refs"), Some(with));
        assert!(host.file("/whchoi98/other.git/info/refs").is_none());
        assert!(host.is_repository("/whchoi98/ec2meta-webpage"));
        assert!(!host.is_repository("/whchoi98"));
    }
}
