//! The person's machine as a host of the simulated internet, by `gureum connect`. The machine is a
//! namespace of the test: its links, addresses and routes are as before when the command has ended.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use gureum_e2e::{
    Cloud, Done, Stage,
    outer::{Outer, SERVER},
    resolved::{Resolved, STUB},
    root_or_skip, wait,
};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(30);
/// The machine's address there.
const MACHINE: &str = "203.0.113.11";
const RESOLVER: &str = "203.0.113.53";

/// A machine that is being connected.
struct Connect(Child);

impl Connect {
    fn begin(cloud: &Cloud) -> Self {
        Self::run(cloud.command("connect"))
    }

    fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let connect = Self(command.spawn().expect("it starts"));
        wait("the machine has a way to the internet", PATIENCE, || {
            routes().contains(RESOLVER) && routes().contains("198.18.0.0/16")
        });
        connect
    }

    /// Sends it a signal and waits for its end; its status and what it said.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).expect("it runs");
        let status = self.0.wait().expect("it ends");
        let mut said = String::new();
        let mut read = |from: Option<&mut dyn std::io::Read>| {
            if let Some(from) = from {
                from.read_to_string(&mut said).expect("text");
            }
        };
        read(self.0.stdout.as_mut().map(|it| it as _));
        read(self.0.stderr.as_mut().map(|it| it as _));
        (status.code(), said)
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        // One that has ended is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(text: &str) -> Done {
    Done::run(Command::new("bash").args(["-c", text]))
}

fn routes() -> String {
    shell("ip route show table all").ok()
}

/// Everything of the machine that a connection could change.
fn machine() -> String {
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let shown = shell("ip -o link show; ip -o address show; ip route show table all; ip rule").ok();
    // Counters and the time that is left to addresses change by themselves.
    shown + &resolver
}

#[test]
fn hosts_a_machine_is_connected_and_left_as_it_was() {
    if !root_or_skip() {
        return;
    }
    let outer = Outer::new();
    outer.enter();
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("one");
    let dns = cloud.instance(&host.id, "PublicDnsName");
    let forwarding = || cloud.internet("cat /proc/sys/net/ipv4/conf/{inet0,lo}/forwarding").ok();
    let (before, quiet) = (machine(), forwarding());
    assert_ne!(shell(&format!("ping -n -c 1 -W 1 {}", host.public)).status, 0, "not connected");

    let connect = Connect::begin(&cloud);
    let pinged = || shell(&format!("ping -n -c 1 -W 1 {}", host.public)).status == 0;
    wait("the instance answers", PATIENCE, pinged);
    // Its names are known to the resolver that goes with it.
    let asked = shell(&format!("dig +short +time=3 @{RESOLVER} {dns}"));
    assert_eq!(asked.ok().trim(), host.public);
    // Groups see the machine's address, as of any host of the internet.
    let ssh = format!("exec 3<>/dev/tcp/{}/22; head -c 7 <&3", host.public);
    let ssh = || shell(&format!("timeout 3 bash -c '{ssh}'"));
    assert_ne!(ssh().status, 0, "the group admits the internet's client alone");
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 22, &format!("{MACHINE}/32"));
    wait("the group admits the machine", PATIENCE, || ssh().stdout == "SSH-2.0");
    // Whole segments, both ways.
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 80, &format!("{MACHINE}/32"));
    let serve = "cd /tmp && head -c 20000000 /dev/urandom > big && \
                 systemd-run --quiet --collect --unit=web python3 -m http.server -d /tmp 80";
    cloud.exec(&host.id, &format!("systemctl stop nginx apache2 httpd 2>/dev/null; {serve}")).ok();
    let fetch = format!("curl -sS --max-time 20 http://{}/big | sha256sum", host.public);
    let sum = cloud.exec(&host.id, "sha256sum < /tmp/big").ok();
    wait("the page is served", PATIENCE, || shell(&fetch).stdout == sum);
    // What the machine did not begin does not come in.
    let listener = TcpListener::bind("0.0.0.0:0").expect("a listener");
    let port = listener.local_addr().expect("bound").port();
    let knock = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{MACHINE}/{port}'");
    assert_ne!(cloud.exec(&host.id, &knock).status, 0, "the machine itself stays closed");
    assert_ne!(cloud.exec(&host.id, &format!("ping -n -c 1 -W 1 {MACHINE}")).status, 0);
    // One machine at a time.
    let second = cloud.gureum("connect", [] as [&str; 0]);
    assert_eq!(second.status, 1, "{second}");
    assert!(second.stderr.contains("connected to this cloud already"), "{second}");
    assert!(pinged(), "which the first does not notice");

    let (status, said) = connect.end(Signal::INT);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(MACHINE) && said.contains("leaves nothing"), "{said}");
    assert_eq!(machine(), before, "nothing is left");
    assert_eq!(forwarding(), quiet, "nor on the other side");

    // One that is killed leaves nothing on the machine either, and the next puts the rest right.
    let (_, _) = Connect::begin(&cloud).end(Signal::KILL);
    wait("the kernel has taken the link away", PATIENCE, || machine() == before);
    let connect = Connect::begin(&cloud);
    wait("the instance answers again", PATIENCE, pinged);
    let (status, said) = connect.end(Signal::TERM);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!((machine(), forwarding()), (before.clone(), quiet));

    // A cloud that goes takes its connection along.
    let mut connect = Connect::begin(&cloud);
    cloud.down();
    wait("the command ends with its cloud", PATIENCE, || {
        connect.0.try_wait().expect("a status").is_some()
    });
    assert_eq!(machine(), before);
}

/// What the machine's resolver says of a name.
fn address_of(name: &str) -> String {
    let asked = shell(&format!("dig +short +time=2 +tries=2 @{STUB} {name} A"));
    asked.stdout.trim().to_owned()
}

#[test]
fn hosts_names_of_instances_are_asked_of_the_cloud_and_no_others() {
    if !root_or_skip() {
        return;
    }
    let outer = Outer::new();
    outer.enter();
    // Out there every name is one server.
    let _callers = outer.serve();
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("one");
    let name = cloud.instance(&host.id, "PublicDnsName");
    let resolved = Resolved::start(outer.resolver());
    let begin = || {
        let command = cloud.command("connect");
        let words = [command.get_program()].into_iter().chain(command.get_args());
        Connect::run(resolved.command(words))
    };
    // Whom it asked last for everything else is there before the links, and changes by itself.
    let status = || {
        let all = resolved.run(["resolvectl", "status"]).ok();
        all.split_once("\nLink ").expect("links").1.to_owned()
    };
    let (before, quiet) = (status(), machine());
    assert_eq!(address_of(&name), SERVER, "not connected");

    let connect = begin();
    wait("its name is the instance's", PATIENCE, || address_of(&name) == host.public);
    // The cloud knows another example.com; AWS's other names stay what they are, those below this one
    // too, as far as the machine can tell.
    let others = ["example.com", "ec2-198-18-255-1.ap-northeast-2.compute.amazonaws.com"];
    for other in others.into_iter().chain(["ssm.ap-northeast-2.amazonaws.com"]) {
        assert_eq!(address_of(other), SERVER, "{other}");
    }
    let page = format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{}/22; head -c 7 <&3'", host.public);
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 22, &format!("{MACHINE}/32"));
    wait("which is reached", PATIENCE, || shell(&page).stdout == "SSH-2.0");
    // The list follows the instances, down to none.
    cloud.aws(&format!("ec2 stop-instances --instance-ids {}", host.id)).ok();
    wait("its name is nobody's", PATIENCE, || address_of(&name) == SERVER);
    cloud.aws(&format!("ec2 start-instances --instance-ids {}", host.id)).ok();
    wait("it has a name again", PATIENCE, || {
        let name = cloud.instance(&host.id, "PublicDnsName");
        !name.is_empty() && address_of(&name) == cloud.instance(&host.id, "PublicIpAddress")
    });
    let name = cloud.instance(&host.id, "PublicDnsName");
    let (ended, said) = connect.end(Signal::INT);
    assert_eq!(ended, Some(0), "{said}");
    assert!(!said.contains("names:") && !said.contains("note:"), "{said}");
    wait("the resolver has forgotten the link", PATIENCE, || status() == before);
    assert_eq!((address_of(&name).as_str(), machine()), (SERVER, quiet.clone()));

    // The kernel takes the link of a killed one away, and the resolver what was asked by it.
    let connect = begin();
    wait("it is asked again", PATIENCE, || address_of(&name) != SERVER);
    let (_, _) = connect.end(Signal::KILL);
    wait("nothing is left", PATIENCE, || status() == before && machine() == quiet);
    assert_eq!(address_of(&name), SERVER);

    // One that lives in another network would take our link for one of its own.
    let elsewhere = Outer::new();
    elsewhere.enter();
    let (_, said) = begin().end(Signal::INT);
    assert!(said.contains("systemd-resolved does not know this network"), "{said}");
    outer.enter();
    assert_eq!(status(), before);
}
