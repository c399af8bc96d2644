//! The projects in `examples/`, as their READMEs say to run them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use gureum_e2e::{Done, gureum, terraform_plugins_or_skip};
use tempfile::TempDir;

/// Where the Go sources of Debian's packages are: installed, or unpacked by `scripts/setup --tests`.
fn go_sources() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/gocode");
    let roots = [PathBuf::from("/"), unpacked].map(|root| root.join("usr/share/gocode"));
    roots.into_iter().find(|it| it.join("src/github.com/aws/aws-sdk-go-v2/service/ec2").is_dir())
}

/// Points Go at sources of the SDK on this machine, those of Debian or the module cache: nothing
/// is fetched. `None`, and why on standard error, where there is no Go, or no SDK for it.
fn go_or_skip(folder: &Path) -> Option<Vec<(&'static str, String)>> {
    if !Command::new("go").arg("version").output().is_ok_and(|it| it.status.success()) {
        eprintln!("skipped: there is no go on the PATH, so the example in Go did not run");
        return None;
    }
    if let Some(sources) = go_sources() {
        let sources = sources.to_string_lossy().into_owned();
        return Some(vec![("GO111MODULE", "off".into()), ("GOPATH", sources)]);
    }
    let cached = [("GO111MODULE", "on"), ("GOFLAGS", "-mod=mod"), ("GOPROXY", "off")];
    let mut list = Command::new("go");
    list.args(["list", "-deps", "-test", "."]).current_dir(folder).envs(cached);
    let done = Done::run(&mut list);
    if done.status != 0 {
        eprintln!("skipped: the example in Go did not run, since its SDK is not here: {done}");
        return None;
    }
    Some(cached.map(|(name, value)| (name, value.to_owned())).into())
}

/// A working copy of an example.
fn copy_of(name: &str) -> (TempDir, PathBuf) {
    let scratch = TempDir::with_prefix("gureum-example-").expect("a scratch directory");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let to = scratch.path().join(name);
    copy(&from, &to);
    (scratch, to)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a scratch directory");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{from:?}: {error}")).flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        if [".terraform", "__pycache__", ".pytest_cache"].contains(&name.as_str()) {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).expect("copied")),
        }
    }
}

fn run(folder: &Path, words: &[&str]) -> Command {
    let mut run = Command::new(gureum());
    run.args(["run", "--"]).args(words).current_dir(folder);
    for name in ["AWS_ENDPOINT_URL", "GUREUM_DATA_DIR", "SUDO_UID", "SUDO_GID"] {
        run.env_remove(name);
    }
    run.env("PYTHONDONTWRITEBYTECODE", "1");
    run
}

#[test]
fn the_example_with_pytest_passes_and_notices_a_change() {
    let (_scratch, folder) = copy_of("pytest");
    let pytest = ["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"];
    let done = Done::run(&mut run(&folder, &pytest));
    assert_eq!(done.status, 0, "{done}");
    assert!(done.stdout.contains("4 passed"), "{done}");

    let program = folder.join("shop.py");
    let text = fs::read_to_string(&program).expect("read");
    let changed = text.replace("port=5432", "port=5433");
    assert_ne!(changed, text);
    fs::write(&program, changed).expect("written");
    let done = Done::run(&mut run(&folder, &pytest));
    assert_eq!(done.status, 1, "pytest's own status: {done}");
    assert!(done.stdout.contains("tcp 5432 from shop-web-1 to shop-db-1 does not pass"), "{done}");
    assert!(done.stderr.contains("gureum-run-"), "{done}");
}

#[test]
fn the_example_with_go_test_passes_and_notices_a_change() {
    let (_scratch, folder) = copy_of("go");
    let Some(settings) = go_or_skip(&folder) else { return };
    let test = || Done::run(run(&folder, &["go", "test", "-v"]).envs(settings.iter().cloned()));
    let done = test();
    assert_eq!(done.status, 0, "{done}");
    assert_eq!(done.stdout.matches("\n--- PASS").count(), 4, "{done}");
    assert!(!done.stdout.contains("--- SKIP"), "{done}");

    let program = folder.join("shop.go");
    let text = fs::read_to_string(&program).expect("read");
    let changed = text.replace("aws.Int32(5432)", "aws.Int32(5433)");
    assert_ne!(changed, text);
    fs::write(&program, changed).expect("written");
    let done = test();
    assert_eq!(done.status, 1, "the status of go test: {done}");
    assert!(done.stdout.contains("tcp 5432 from shop-web-1 to shop-db-1 does not pass"), "{done}");
    let analyzer = "--- FAIL: TestPathsOfReachabilityAnalyzer/the_shop_reaches_its_database";
    assert!(done.stdout.contains(analyzer), "{done}");
    assert!(done.stderr.contains("gureum-run-"), "{done}");
}

#[test]
fn the_example_with_terraform_test_passes() {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    let (scratch, folder) = copy_of("terraform-test");
    let settings = scratch.path().join("terraformrc");
    fs::write(&settings, "").expect("a scratch file");
    let init = format!("terraform init -input=false -no-color -plugin-dir={plugins}");
    let all = format!("{init} && terraform test -no-color");
    let mut command = run(&folder, &["sh", "-c", &all]);
    command.env("TF_CLI_CONFIG_FILE", settings).env("CHECKPOINT_DISABLE", "1");
    let done = Done::run(&mut command);
    assert_eq!(done.status, 0, "{done}");
    assert!(done.stdout.contains("4 passed, 0 failed"), "{done}");
}
