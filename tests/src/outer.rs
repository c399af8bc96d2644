//! A machine of its own for a cloud: a network namespace with a veth pair to a second one that
//! plays the network behind it. What a cloud sends out goes there and nowhere else.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    os::fd::AsFd as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Done, wait};

/// The machine's address, and the network's on the other end of the cable.
const MACHINE: &str = "11.22.33.2";
const WORLD: &str = "11.22.33.1";

/// A server in the world, at an address that nobody simulates.
pub const SERVER: &str = "44.44.44.44";

/// The machine's address as the world sees it.
pub const MACHINE_ADDRESS: &str = MACHINE;

/// The two namespaces. They end with the value.
#[derive(Debug)]
pub struct Outer {
    machine: Held,
    world: Held,
}

impl Outer {
    /// Makes them. The machine has a default route to the world.
    ///
    /// # Panics
    /// Where that fails, as without root.
    pub fn new() -> Self {
        let (machine, world) = (Held::new(), Held::new());
        let pid = world.holder.id();
        machine.run(&format!("ip link add name cable type veth peer name cable netns {pid}"));
        for (held, address) in [(&machine, MACHINE), (&world, WORLD)] {
            // Neighbour discovery would be noise.
            held.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
            held.run(&format!("ip address add {address}/24 dev cable"));
            held.run("ip link set lo up");
            held.run("ip link set cable up");
        }
        machine.run(&format!("ip route add default via {WORLD}"));
        world.run(&format!("ip address add {SERVER}/32 dev lo"));
        Self { machine, world }
    }

    /// Moves the calling thread, and whatever it starts from now on, onto the machine.
    ///
    /// # Panics
    /// Where that fails.
    pub fn enter(&self) {
        self.machine.enter();
    }

    /// How many packets have left the machine.
    ///
    /// # Panics
    /// Where that cannot be told.
    pub fn sent(&self) -> u64 {
        let text = self.machine.run("ip -s -j link show dev cable");
        let links: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        links[0]["stats64"]["tx"]["packets"].as_u64().expect("a count")
    }

    /// Serves HTTP at [`SERVER`] and DNS, in which every name is that server, in the world; tells
    /// the addresses that callers of the web site come from. The servers live as long as the test.
    ///
    /// # Panics
    /// Where they cannot listen.
    pub fn serve(&self) -> mpsc::Receiver<String> {
        let (tell, callers) = mpsc::channel();
        let (ready, open) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                self.world.enter();
                let web = TcpListener::bind((SERVER, 80)).expect("HTTP");
                let dns = UdpSocket::bind((WORLD, 53)).expect("DNS");
                ready.send((web, dns)).expect("somebody waits");
            });
        });
        let (web, dns) = open.recv().expect("the servers");
        thread::spawn(move || {
            for stream in web.incoming().flatten() {
                let mut stream = stream;
                let caller = stream.peer_addr().map(|it| it.ip().to_string()).unwrap_or_default();
                // Whoever connects sends a short request in one piece.
                let _ = stream.read(&mut [0; 4096]);
                let page = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nworld\n";
                let _ = stream.write_all(page.as_bytes());
                let _ = tell.send(caller);
            }
        });
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, peer)) = dns.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length]) {
                    let _ = dns.send_to(&answer, peer);
                }
            }
        });
        callers
    }

    /// The address of the resolver in the world.
    pub fn resolver(&self) -> &'static str {
        WORLD
    }

    /// What `/etc/resolv.conf` of the machine says.
    pub fn resolv_conf(&self) -> String {
        format!("nameserver {WORLD}\n")
    }
}

impl Default for Outer {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer to a question for an address: the server's. Other questions have no records.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name = query.get(12..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(12..12 + name + 5)?;
    let is_address = question.ends_with(&[0, 1, 0, 1]);
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(question);
    if is_address {
        // The name of the question, A, IN, 60 seconds, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        let address: std::net::Ipv4Addr = SERVER.parse().ok()?;
        answer.extend(address.octets());
    }
    Some(answer)
}

/// A namespace that lives as long as a process in it.
#[derive(Debug)]
struct Held {
    holder: Child,
}

impl Held {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", "infinity"]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let held = Self { holder: command.spawn().expect("unshare starts") };
        // The thread's, from which the child has it: the process's own may be another one.
        let ours = fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
        wait("a namespace is made", Duration::from_secs(10), || {
            fs::read_link(held.path()).is_ok_and(|theirs| theirs != ours)
        });
        held
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    fn run(&self, words: &str) -> String {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).args(words.split_whitespace());
        Done::run(&mut command).ok()
    }

    fn enter(&self) {
        let file = fs::File::open(self.path()).expect("a namespace");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // One that ended by itself is as good.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
