//! A systemd-resolved of a test's own, with a system bus that nobody else is on: both in a mount
//! namespace and in the network of the thread that starts them.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Done, wait};

const PATIENCE: Duration = Duration::from_secs(20);
/// Where it listens for the machine's programs.
pub const STUB: &str = "127.0.0.53";
/// Of the user that it becomes.
const ID: u32 = 65_533;

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// The resolver, its bus, and what holds their namespace.
#[derive(Debug)]
pub struct Resolved {
    /// The last one first.
    processes: Vec<Child>,
    holder: u32,
    programs: Programs,
}

/// Where its programs are.
#[derive(Clone, Debug)]
struct Programs {
    daemon: PathBuf,
    /// The folders of `resolvectl` and of libraries, where it is not installed.
    unpacked: Option<(PathBuf, OsString)>,
}

impl Programs {
    fn find() -> Self {
        let installed = PathBuf::from("/usr/lib/systemd/systemd-resolved");
        if installed.is_file() {
            return Self { daemon: installed, unpacked: None };
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/resolved");
        let daemons = ["usr/lib", "lib"].map(|it| root.join(it).join("systemd/systemd-resolved"));
        let daemon = daemons.into_iter().find(|it| it.is_file());
        let daemon = daemon.unwrap_or_else(|| {
            panic!("no systemd-resolved below {}: scripts/setup --tests", root.display())
        });
        let shared = fs::read_dir(root.join("usr/lib")).expect("libraries");
        let shared = shared.flatten().map(|it| it.path().join("systemd"));
        let libraries = env::join_paths(shared).expect("names of folders");
        Self { daemon, unpacked: Some((root.join("usr/bin"), libraries)) }
    }

    fn environment(&self, command: &mut Command) {
        if let Some((programs, libraries)) = &self.unpacked {
            let usual = env::var_os("PATH").unwrap_or_default();
            let all = [programs.clone()].into_iter().chain(env::split_paths(&usual));
            command.env("PATH", env::join_paths(all).expect("names of folders"));
            command.env("LD_LIBRARY_PATH", libraries);
        }
    }
}

impl Resolved {
    /// Starts one that asks `upstream` for what no link has.
    ///
    /// # Panics
    /// Where it does not start, as without root.
    pub fn start(upstream: &str) -> Self {
        let programs = Programs::find();
        // Nothing of it is seen outside: neither its user nor what it writes.
        let make = format!(
            "set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/dbus /run/systemd/resolve /run/of-test
             for file in passwd group; do grep -v ^systemd-resolve: /etc/$file > /run/of-test/$file; done
             echo systemd-resolve:x:{ID}:{ID}::/:/bin/false >> /run/of-test/passwd
             echo systemd-resolve:x:{ID}: >> /run/of-test/group
             for file in passwd group; do mount --bind /run/of-test/$file /etc/$file; done
             mount -t tmpfs tmpfs /etc/systemd; chown {ID}:{ID} /run/systemd/resolve
             printf '[Resolve]\\nDNS={upstream}\\nFallbackDNS=\\nLLMNR=no\\nMulticastDNS=no\\nCache=no\\n' \\
                 > /etc/systemd/resolved.conf
             cat > /run/of-test/bus.conf <<'END'\n{BUS}END
             echo ready; exec sleep infinity"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "bash", "-c", &make]);
        let mut holder = command.stdout(Stdio::piped()).spawn().expect("unshare starts");
        let mut said = String::new();
        let output = holder.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut said).expect("text");
        let pid = holder.id();
        let mut resolved = Self { processes: vec![holder], holder: pid, programs };
        assert_eq!(said, "ready\n", "its place is made");
        let bus = "dbus-daemon --nofork --nopidfile --config-file=/run/of-test/bus.conf";
        resolved.begin(bus.split(' '));
        let inside = |path: &str| format!("/proc/{pid}/root{path}");
        wait("there is a bus", PATIENCE, || {
            UnixStream::connect(inside("/run/dbus/system_bus_socket")).is_ok()
        });
        let daemon = resolved.programs.daemon.to_string_lossy().into_owned();
        resolved.begin([daemon.as_str()]);
        wait("it is on the bus", PATIENCE, || resolved.run(["resolvectl", "status"]).status == 0);
        resolved
    }

    fn begin<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        let mut command = self.command(words);
        command.stdin(Stdio::null());
        self.processes.insert(0, command.spawn().expect("it starts"));
    }

    /// A command that has it for its machine's resolver.
    pub fn command<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder)).arg("--").args(words);
        self.programs.environment(&mut command);
        command
    }

    /// Runs such a command.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Done {
        Done::run(&mut self.command(words))
    }
}

impl Drop for Resolved {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // One that has ended is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
