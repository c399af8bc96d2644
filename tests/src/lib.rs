//! What end-to-end tests share: a cloud of one's own, the real clients pointed at it, waiting on
//! conditions.
//!
//! Every cloud has a scratch data directory and a free port, so tests run side by side. A cloud
//! is taken down when it is dropped; what a failed test leaves behind is printed, not hidden.

#![forbid(unsafe_code)]

pub mod desk;
mod ec2;
pub mod managed;
pub mod outer;
pub mod plugin;
pub mod resolved;
mod ssm;
mod stage;
pub mod terminal;
mod traces;

use std::{
    env,
    ffi::OsStr,
    fmt,
    fs::{self, File, Permissions},
    net::TcpListener,
    ops::Range,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

pub use ec2::{Answer, Ec2};
use serde_json::Value;
pub use ssm::ssm;
pub use stage::{Host, Stage};
use tempfile::TempDir;
pub use traces::{Traces, host_links, processes_of};

/// The variable that says to skip tests that need root.
pub const SKIP_ROOT: &str = "GUREUM_SKIP_ROOT_TESTS";

/// Whether a test that needs root shall run. Without root it fails loudly, unless
/// [`SKIP_ROOT`] says to skip.
///
/// # Panics
/// Where the test is not run by root and nobody said to skip.
pub fn root_or_skip() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(
        env::var_os(SKIP_ROOT).is_some(),
        "this test makes namespaces and boots instances: run it as root, or set {SKIP_ROOT}=1 to skip it"
    );
    eprintln!("skipped: not root and {SKIP_ROOT} is set");
    false
}

/// The variable that says to skip tests that need Terraform and AWS's provider for it.
pub const SKIP_TERRAFORM: &str = "GUREUM_SKIP_TERRAFORM_TESTS";

/// The folder with AWS's provider for Terraform; `None` where [`SKIP_TERRAFORM`] says to skip.
///
/// # Panics
/// Where there is no Terraform, or no provider, and nobody said to skip.
pub fn terraform_plugins_or_skip() -> Option<String> {
    if env::var_os(SKIP_TERRAFORM).is_some() {
        eprintln!("skipped: {SKIP_TERRAFORM} is set");
        return None;
    }
    let version = Command::new("terraform").arg("-version").output();
    assert!(
        version.is_ok_and(|it| it.status.success()),
        "this test needs terraform on the PATH; {SKIP_TERRAFORM}=1 skips it"
    );
    let plugins = env::var("GUREUM_TF_PLUGIN_DIR").ok().filter(|folder| !folder.is_empty());
    assert!(
        plugins.is_some(),
        "this test needs AWS's provider for Terraform: GUREUM_TF_PLUGIN_DIR names the folder that \
         has it, as `terraform providers mirror` makes one; {SKIP_TERRAFORM}=1 skips it"
    );
    plugins
}

/// The program under test: `GUREUM_BIN`, or the binary of the profile that the tests are built by.
///
/// # Panics
/// Where there is no such file.
pub fn gureum() -> PathBuf {
    let path = env::var_os("GUREUM_BIN").map_or_else(
        || {
            let exe = env::current_exe().expect("a test has a path");
            // target/<profile>/<program> or target/<profile>/deps/<test>
            let folders = exe.ancestors().skip(1).take(2);
            let mut candidates = folders.map(|folder| folder.join("gureum"));
            candidates.find(|path| path.is_file()).unwrap_or_else(|| exe.with_file_name("gureum"))
        },
        PathBuf::from,
    );
    assert!(path.is_file(), "{} is missing: cargo build -p gureum", path.display());
    // Steps of labs say `gureum` and find it beside the one that runs them.
    assert!(path.ends_with("gureum"), "{} must be called gureum", path.display());
    path
}

/// Where machine images are: `GUREUM_IMAGES_DIR`, or where `make image` puts them.
///
/// # Panics
/// Where there is no image.
pub fn images() -> PathBuf {
    let path = env::var_os("GUREUM_IMAGES_DIR").map_or_else(
        || {
            let home = env::var_os("HOME").expect("HOME is set");
            env::var_os("XDG_CACHE_HOME")
                .map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from)
                .join("gureum/images")
        },
        PathBuf::from,
    );
    assert!(
        path.join("debian-12/image.json").is_file(),
        "no machine image below {}: make image",
        path.display()
    );
    path
}

/// What a command did.
pub struct Done {
    /// The command as a person would type it.
    pub command: String,
    /// Its exit status; 128 + signal for a signal.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Done {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
        Self::from_output(line, &output)
    }

    fn from_output(command: String, output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status;
        Self {
            command,
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command's output, if it succeeded.
    ///
    /// # Panics
    /// Where it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status == 0, "{self}");
        self.stdout
    }

    /// The command's output as JSON, if it succeeded.
    ///
    /// # Panics
    /// Where it failed or said something else.
    #[track_caller]
    pub fn json(self) -> Value {
        assert!(self.status == 0, "{self}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// Asserts that the AWS CLI was refused with this code and a message that contains this text.
    ///
    /// # Panics
    /// Where it was not.
    #[track_caller]
    pub fn refused(self, code: &str, text: &str) {
        assert!(self.status != 0, "was not refused: {self}");
        assert!(self.stderr.contains(&format!("({code})")), "expected {code}: {self}");
        assert!(self.stderr.contains(text), "expected \"{text}\": {self}");
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "{command}\nexit {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// A running cloud with a data directory and a port of its own.
#[derive(Debug)]
pub struct Cloud {
    _directory: TempDir,
    data: PathBuf,
    port: u16,
    options: Vec<String>,
}

impl Cloud {
    /// Starts a cloud that keeps records only: no hosts, no root.
    pub fn records() -> Self {
        Self::up(&["--no-instances"])
    }

    /// Starts a cloud that boots instances.
    pub fn hosts() -> Self {
        let images = images();
        Self::up(&["--images-dir", &images.to_string_lossy()])
    }

    /// Starts a cloud of light hosts.
    pub fn light() -> Self {
        Self::up(&["--instances", "light"])
    }

    /// Starts a cloud with these options of `gureum up`.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn up(options: &[&str]) -> Self {
        let cloud = Self::prepared(options);
        cloud.start().ok();
        cloud
    }

    /// A cloud that is not started yet.
    ///
    /// # Panics
    /// Where there is no scratch directory.
    pub fn prepared(options: &[&str]) -> Self {
        let directory = TempDir::with_prefix("gureum-e2e-").expect("a scratch directory");
        let data = directory.path().join("data");
        Self::prepared_at(directory, data, options)
    }

    /// A cloud that is not started yet, with its data in a place below `directory`.
    pub fn prepared_at(directory: TempDir, data: PathBuf, options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { _directory: directory, data, port: free_port(), options }
    }

    /// The command that starts the daemon (again) on the same data directory.
    pub fn start_command(&self) -> Command {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command("up");
        command.args(["--detach", "--listen", &listen]).args(&self.options);
        if !self.options.iter().any(|option| option == "--socks") {
            command.args(["--socks", "off"]);
        }
        command
    }

    /// Starts the daemon (again) on the same data directory.
    pub fn start(&self) -> Done {
        Done::run(&mut self.start_command())
    }

    /// Takes the cloud down.
    ///
    /// # Panics
    /// Where that fails.
    pub fn down(&self) {
        self.gureum("down", [] as [&str; 0]).ok();
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The port of the API.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The endpoint's URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A subcommand of `gureum` on this cloud, to be run.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(gureum());
        command.arg("--data-dir").arg(&self.data).arg(subcommand);
        command.env_remove("AWS_ENDPOINT_URL").env_remove("GUREUM_DATA_DIR");
        // Whoever runs the tests through sudo is not whom they are about.
        command.env_remove("SUDO_UID").env_remove("SUDO_GID");
        command
    }

    /// Runs a subcommand of `gureum` on this cloud.
    pub fn gureum<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        subcommand: &str,
        args: I,
    ) -> Done {
        Done::run(self.command(subcommand).args(args))
    }

    /// Runs the unmodified `aws` CLI against this cloud; the words are split at spaces.
    pub fn aws(&self, words: &str) -> Done {
        self.aws_args(words.split_whitespace())
    }

    /// Runs the unmodified `aws` CLI against this cloud.
    pub fn aws_args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Done {
        Done::run(self.aws_environment(&mut Command::new("aws")).args(args))
    }

    /// Points an AWS client at this cloud.
    pub fn aws_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .env("AWS_REGION", "ap-northeast-2")
            .env("AWS_DEFAULT_REGION", "ap-northeast-2")
            .env("AWS_DEFAULT_OUTPUT", "json")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
    }

    /// What a query of `aws ec2 describe-instances` says of an instance, as text.
    pub fn instance(&self, id: &str, member: &str) -> String {
        let query = format!("Reservations[0].Instances[0].{member}");
        let words = ["ec2", "describe-instances", "--instance-ids", id, "--query", &query];
        self.aws_args(words.into_iter().chain(["--output", "text"])).ok().trim().to_owned()
    }

    /// Runs a command in the simulated internet.
    pub fn internet(&self, shell: &str) -> Done {
        self.gureum("internet", ["--", "bash", "-c", shell])
    }

    /// The address that clients in the simulated internet come from.
    ///
    /// # Panics
    /// Where there is none.
    pub fn internet_address(&self) -> String {
        let route = self.internet("ip -o route get 198.18.0.1").ok();
        let source = route.split_whitespace().skip_while(|word| *word != "src").nth(1);
        source.unwrap_or_else(|| panic!("no source address: {route}")).to_owned()
    }

    /// Runs a shell command in an instance as root, out of band.
    pub fn exec(&self, instance: &str, shell: &str) -> Done {
        self.gureum("exec", [instance, "--", "bash", "-c", shell])
    }

    /// What `gureum status` says.
    pub fn status(&self) -> Value {
        self.gureum("status", ["--output", "json"]).json()
    }

    /// The daemon's process id, from `gureum status`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn daemon_pid(&self) -> i32 {
        let status = self.status();
        let pid = status["pid"].as_i64().expect("status has a pid");
        i32::try_from(pid).expect("a pid")
    }

    /// Kills the daemon with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// Where it does not run, or does not go.
    pub fn kill(&self) {
        let pid = self.daemon_pid();
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
        wait("the daemon is gone", Duration::from_secs(10), || {
            rustix::process::test_kill_process(pid).is_err()
        });
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let done = self.gureum("down", [] as [&str; 0]);
        if done.status != 0 && self.data.exists() {
            eprintln!("taking the cloud down failed: {done}");
        }
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.data.join("gureum.log"))
        {
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("--- the daemon's last words");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A program in the simulated internet or an instance that ends with its test.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    /// In the simulated internet.
    ///
    /// # Panics
    /// Where the command does not start.
    pub fn internet(cloud: &Cloud, words: &[&str]) -> Self {
        let mut command = cloud.command("internet");
        Self::start(command.arg("--").args(words))
    }

    /// In an instance, as root.
    ///
    /// # Panics
    /// Where the command does not start.
    pub fn guest(cloud: &Cloud, id: &str, words: &[&str]) -> Self {
        let mut command = cloud.command("exec");
        Self::start(command.args([id, "--"]).args(words))
    }

    /// Starts a command of the machine, which nobody types into.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("a program of a test: {error}");
        }
    }
}

/// A port of the loopback that nobody uses now, and that no other test takes while this process
/// lives. It is not one of those that the kernel gives to connections, which would take it between
/// here and the daemon's start.
///
/// # Panics
/// Where there is none.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let locks = env::temp_dir().join("gureum-e2e-ports");
    fs::create_dir_all(&locks).expect("a folder for locks");
    // Whoever ran tests before may have been another person.
    let _ = fs::set_permissions(&locks, Permissions::from_mode(0o1777));
    let mut taken = TAKEN.lock().expect("no test panics in here");
    // Processes begin at different places.
    let begin = std::process::id().wrapping_mul(101);
    for step in 0..PORTS.len() as u32 {
        let port = PORTS.start + (begin.wrapping_add(step) % PORTS.len() as u32) as u16;
        let lock = File::create(locks.join(port.to_string()));
        let Some(lock) = lock.ok().filter(|lock| lock.try_lock().is_ok()) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.push(lock);
            return port;
        }
    }
    panic!("no free port in {PORTS:?}")
}

/// Below what `net.ipv4.ip_local_port_range` usually begins with.
const PORTS: Range<u16> = 20_000..32_000;

/// Waits until a condition holds, asking ten times a second.
///
/// # Panics
/// Where it does not hold in time.
#[track_caller]
pub fn wait(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
