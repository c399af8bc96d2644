//! Every port of a light host is open without a socket for each: a small program of BPF looks at
//! what comes in by its links, and gives the first packet of a connection that no socket of the host
//! wants to the one socket of the responder.
//!
//! It asks the kernel twice: who has the packet's own addresses and ports, and who listens on
//! [`PORT`]. So a program that listens in the host has its port to itself, clients in the host get
//! their answers, and what is connected stays with whoever has it. Fragments are not looked at: a
//! datagram that came in pieces is for real sockets alone.

use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
};

use nix::errno::Errno;

use crate::{
    error::{Context, HostError, Result},
    netlink::Netlink,
};

/// The port of the responder's own sockets, of which no service is known to use it.
pub(crate) const PORT: u16 = 1;

/// What the program is called in `tc filter show` and `bpftool prog`.
const NAME: &str = "gureum_steer";

/// The program, loaded.
#[derive(Debug)]
pub(crate) struct Steer {
    program: OwnedFd,
}

impl Steer {
    /// Gives the program to the kernel.
    pub(crate) fn load() -> Result<Self> {
        let code = program();
        let license = CString::default();
        let mut log = vec![0_u8; 64 << 10];
        let mut name = [0; 16];
        name[..NAME.len()].copy_from_slice(NAME.as_bytes());
        let mut attributes = Load {
            kind: BPF_PROG_TYPE_SCHED_CLS,
            count: code.len() as u32,
            code: code.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
            name,
        };
        let program = load(&attributes).or_else(|errno| match errno {
            Errno::EACCES | Errno::EINVAL => {
                // Once more, with the verifier's reasons.
                attributes.log_level = 1;
                attributes.log_size = log.len() as u32;
                attributes.log = log.as_mut_ptr() as u64;
                load(&attributes)
            }
            errno => Err(errno),
        });
        let program = program.map_err(|errno| {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
            let said = String::from_utf8_lossy(&log[..end]);
            let said: Vec<_> = said.lines().rev().take(3).collect();
            let said: String = said.iter().rev().map(|line| format!(": {line}")).collect();
            HostError::Failed(format!(
                "the kernel does not take the program that opens all ports of a light host \
                 ({errno}{said}); it needs BPF (CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_BPF) and Linux \
                 5.10 or newer"
            ))
        })?;
        Ok(Self { program })
    }

    /// Puts it before a link of the namespace that `netlink` speaks for.
    pub(crate) fn attach(&self, netlink: &mut Netlink, link: u32) -> Result<()> {
        netlink.classify_ingress(link, self.program(), NAME).context(
            || "open the ports of a light host (CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_INGRESS)",
        )
    }

    fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// The part of `union bpf_attr` that loads a program.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

fn load(attributes: &Load) -> nix::Result<OwnedFd> {
    // SAFETY: the kernel reads `attributes` and what it points to, and writes at most `log_size`
    // bytes of a log that outlives the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const *attributes, size_of::<Load>())
    };
    let fd = Errno::result(fd)?;
    // SAFETY: a new descriptor that nobody else owns; descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// The source in the upper half, the destination in the lower.
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Registers that calls leave alone, and the frame pointer.
const PACKET: u8 = 6;
const HEADER: u8 = 7;
const PROTOCOL: u8 = 8;
const FRAME: u8 = 10;

// Functions of the kernel.
const SKB_LOAD_BYTES: i32 = 26;
const SK_LOOKUP_UDP: i32 = 85;
const SK_RELEASE: i32 = 86;
const SKC_LOOKUP_TCP: i32 = 99;
const SK_ASSIGN: i32 = 124;

// Sizes of loads and stores.
const BYTE: u8 = 0x10;
const HALF: u8 = 0x08;
const WORD: u8 = 0x00;
const DOUBLE: u8 = 0x18;

/// `protocol` in `struct __sk_buff`.
const SKB_PROTOCOL: i16 = 16;
/// Length of an Ethernet header.
const ETHERNET: i32 = 14;
/// Where the IP header is put on the stack, and `struct bpf_sock_tuple`.
const IP: i16 = -40;
const TUPLE: i16 = -80;

/// A program in the making. Jumps to the end are filled in at last.
#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    to_end: Vec<usize>,
}

impl Assembler {
    fn push(&mut self, code: u8, destination: u8, source: u8, offset: i16, immediate: i32) {
        let registers = source << 4 | destination;
        self.code.push(Instruction { code, registers, offset, immediate });
    }

    fn set(&mut self, register: u8, value: i32) {
        self.push(0xb7, register, 0, 0, value);
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.push(0xbf, to, from, 0, 0);
    }

    fn add(&mut self, register: u8, value: i32) {
        self.push(0x07, register, 0, 0, value);
    }

    fn load(&mut self, size: u8, to: u8, from: u8, offset: i16) {
        self.push(0x61 | size, to, from, offset, 0);
    }

    fn store(&mut self, size: u8, to: i16, from: u8) {
        self.push(0x63 | size, FRAME, from, to, 0);
    }

    fn call(&mut self, function: i32) {
        self.push(0x85, 0, 0, 0, function);
    }

    /// Ends where a register has, or has not, a value.
    fn end_if(&mut self, register: u8, equal: bool, value: i32) {
        self.to_end.push(self.code.len());
        self.push(if equal { 0x15 } else { 0x55 }, register, 0, 0, value);
    }

    fn end(&mut self) {
        self.to_end.push(self.code.len());
        self.push(0x05, 0, 0, 0, 0);
    }

    /// A jump that goes on at [`Self::here`] where a register has not a value.
    fn skip_unless(&mut self, register: u8, value: i32) -> usize {
        self.push(0x55, register, 0, 0, value);
        self.code.len() - 1
    }

    fn here(&mut self, from: usize) {
        // The program is far shorter than what an offset holds.
        self.code[from].offset = (self.code.len() - from - 1) as i16;
    }

    /// Loads bytes of the packet onto the stack. `at` is a constant or the header's register.
    fn packet(&mut self, at: Option<i32>, to: i16, length: i32) {
        self.copy(1, PACKET);
        match at {
            Some(at) => self.set(2, at),
            None => self.copy(2, HEADER),
        }
        self.copy(3, FRAME);
        self.add(3, to.into());
        self.set(4, length);
        self.call(SKB_LOAD_BYTES);
        self.end_if(0, false, 0);
    }

    /// Asks for a socket by the tuple on the stack.
    fn look_up(&mut self, function: i32, length: i32) {
        const CURRENT_NAMESPACE: i32 = -1;
        self.copy(1, PACKET);
        self.copy(2, FRAME);
        self.add(2, TUPLE.into());
        self.set(3, length);
        self.set(4, CURRENT_NAMESPACE);
        self.set(5, 0);
        self.call(function);
    }

    /// With the tuple on the stack: nothing where somebody has this flow, else to the responder.
    fn steer(&mut self, function: i32, length: i32) {
        self.look_up(function, length);
        let somebody = self.skip_unless(0, 0);
        // Nobody has it: ask for who listens on our port in its place.
        self.set(1, i32::from(PORT.to_be()));
        self.store(HALF, TUPLE + length as i16 - 2, 1);
        self.look_up(function, length);
        self.end_if(0, true, 0);
        self.copy(HEADER, 0);
        self.copy(1, PACKET);
        self.copy(2, HEADER);
        self.set(3, 0);
        self.call(SK_ASSIGN);
        self.copy(0, HEADER);
        self.here(somebody);
        self.copy(1, 0);
        self.call(SK_RELEASE);
        self.end();
    }

    fn finish(mut self) -> Vec<Instruction> {
        for from in std::mem::take(&mut self.to_end) {
            self.here(from);
        }
        // TC_ACT_UNSPEC: as if the program was not there.
        self.set(0, -1);
        self.push(0x95, 0, 0, 0, 0);
        self.code
    }
}

/// The program.
fn program() -> Vec<Instruction> {
    const TUPLE_IPV4: i32 = 12;
    const TUPLE_IPV6: i32 = 36;
    let mut it = Assembler::default();
    it.copy(PACKET, 1);
    it.load(WORD, PROTOCOL, PACKET, SKB_PROTOCOL);

    let other = it.skip_unless(PROTOCOL, i32::from((libc::ETH_P_IP as u16).to_be()));
    it.packet(Some(ETHERNET), IP, 20);
    // Fragments, but not the flag that forbids them.
    it.load(HALF, 1, FRAME, IP + 6);
    it.push(0x57, 1, 0, 0, i32::from(0x3fff_u16.to_be()));
    it.end_if(1, false, 0);
    it.load(BYTE, HEADER, FRAME, IP);
    it.push(0x57, HEADER, 0, 0, 0x0f);
    it.push(0x67, HEADER, 0, 0, 2);
    it.add(HEADER, ETHERNET);
    it.load(BYTE, PROTOCOL, FRAME, IP + 9);
    for (from, to) in [(12, 0), (16, 4)] {
        it.load(WORD, 1, FRAME, IP + from);
        it.store(WORD, TUPLE + to, 1);
    }
    it.packet(None, TUPLE + 8, 4);
    by_protocol(&mut it, TUPLE_IPV4);
    it.here(other);

    it.end_if(PROTOCOL, false, i32::from((libc::ETH_P_IPV6 as u16).to_be()));
    it.packet(Some(ETHERNET), IP, 40);
    it.load(BYTE, PROTOCOL, FRAME, IP + 6);
    for at in [0, 8, 16, 24] {
        it.load(DOUBLE, 1, FRAME, IP + 8 + at);
        it.store(DOUBLE, TUPLE + at, 1);
    }
    it.packet(Some(ETHERNET + 40), TUPLE + 32, 4);
    by_protocol(&mut it, TUPLE_IPV6);
    it.finish()
}

fn by_protocol(it: &mut Assembler, length: i32) {
    for (protocol, function) in
        [(libc::IPPROTO_TCP, SKC_LOOKUP_TCP), (libc::IPPROTO_UDP, SK_LOOKUP_UDP)]
    {
        let other = it.skip_unless(PROTOCOL, protocol);
        it.steer(function, length);
        it.here(other);
    }
    it.end();
}
