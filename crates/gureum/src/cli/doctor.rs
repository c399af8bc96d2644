//! `gureum doctor`: what this machine can do, and what to do about the rest.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use gureum_host::probe::{Fact, probe};

use super::{
    client::Daemon,
    output::{self, Format, OutputArgs},
    up::DEFAULT_IMAGE,
};
use crate::{
    failure::Failure,
    paths::{self, Person},
};

/// Runs `gureum doctor`.
pub(crate) fn run(args: &OutputArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let mut facts = probe(daemon.data_dir());
    let images = env::var_os("GUREUM_IMAGES_DIR").map(PathBuf::from);
    facts.push(image(&paths::images_dir(images.as_deref(), &Person::current())?));
    let path = env::var_os("PATH").unwrap_or_default();
    facts.push(program("aws", "`make setup` installs it", &path));
    facts.push(program("ssh", "install OpenSSH's client", &path));
    match args.output {
        Format::Json => output::print_json(&facts)?,
        Format::Table => output::print(&text(&facts))?,
    }
    let healthy = facts.iter().all(|fact| fact.ok);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the image that instances boot from is built.
fn image(images: &Path) -> Fact {
    let folder = images.join(DEFAULT_IMAGE);
    let ok = folder.join("image.json").is_file();
    let detail = if ok { folder.display().to_string() } else { "not built".to_owned() };
    let remedy = (!ok).then(|| "`make image` builds it, once".to_owned());
    Fact { name: "machine image".into(), ok, detail, remedy }
}

/// Whether a client is on the PATH.
fn program(name: &str, remedy: &str, path: &OsStr) -> Fact {
    let found = env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let ok = found.is_some();
    Fact {
        name: format!("client {name}"),
        ok,
        detail: found.map_or_else(|| "missing".into(), |file| file.display().to_string()),
        remedy: (!ok).then(|| remedy.to_owned()),
    }
}

fn text(facts: &[Fact]) -> String {
    let rows = facts.iter().map(|fact| {
        let state = if fact.ok { "ok" } else { "BAD" };
        vec![state.to_owned(), fact.name.clone(), fact.detail.clone()]
    });
    let mut text = output::table(&["", "WHAT", "HOW IT IS"], rows);
    for fact in facts.iter().filter(|fact| !fact.ok) {
        if let Some(remedy) = &fact.remedy {
            text += &format!("help: {}: {remedy}\n", fact.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_comes_with_a_remedy() {
        let fact = |name: &str, ok| Fact {
            name: name.into(),
            ok,
            detail: "128".into(),
            remedy: Some("sysctl -w x=8192".into()),
        };
        let expected = "     WHAT     HOW IT IS\nok   root     128\nBAD  inotify  128\n\
                        help: inotify: sysctl -w x=8192\n";
        assert_eq!(text(&[fact("root", true), fact("inotify", false)]), expected);
    }

    #[test]
    fn clients_are_looked_for_on_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().as_os_str();
        assert!(!program("aws", "install it", path).ok);
        std::fs::write(folder.path().join("aws"), "").expect("a file");
        assert!(program("aws", "install it", path).ok);
    }

    #[test]
    fn an_image_counts_when_it_is_finished() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(DEFAULT_IMAGE)).expect("a folder");
        assert!(!image(folder.path()).ok, "a build that was broken off leaves no description");
        std::fs::write(folder.path().join(DEFAULT_IMAGE).join("image.json"), "{}").expect("a file");
        assert!(image(folder.path()).ok);
    }
}
