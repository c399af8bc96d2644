//! The person's machine as a host of the simulated internet, only where they asked for it
//! (`gureum connect`).
//!
//! A tun on the machine and one in the internet's namespace, and two threads that carry packets from
//! one to the other: nothing of the machine but that link and its routes, and both go with the
//! process that holds them, however it ends. What comes back is let through only where the machine
//! began it ([`flows`]), as a router at home does.

mod flows;
mod tun;

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use ipnet::Ipv4Net;

use self::{
    flows::Flows,
    tun::{HEADER, Tun},
};
use crate::{
    error::{Context, HostError, Result},
    fabric::INTERNET_LINK,
    namespace::Namespace,
    netlink::{Netlink, Route},
};

/// The link's name in the internet's namespace. The rules of an uplink know it.
pub(crate) const INSIDE: &str = "connect0";

/// What is joined to what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The link's name on the machine.
    pub link: String,
    /// The machine's address in the simulated internet.
    pub address: Ipv4Addr,
    /// What the machine reaches by it.
    pub destinations: Vec<Ipv4Net>,
}

/// A machine that is connected, as long as this lives.
#[derive(Debug)]
pub struct Connection {
    internet: Namespace,
    link: u32,
    broken: Arc<Mutex<Option<String>>>,
}

impl Connection {
    /// Joins the calling process's network to an internet.
    ///
    /// # Errors
    /// Where the kernel refuses, a route to a destination is there already, or somebody else is
    /// connected to this internet.
    pub fn open(internet: Namespace, settings: &Settings) -> Result<Self> {
        let address = settings.address;
        let inside = internet.run(|| Tun::open(INSIDE)).context(|| "enter the internet")?;
        let inside = inside.map_err(|error| busy(error, "somebody is connected to this cloud"))?;
        let (there, here) = (Arc::new(inside), Tun::open(&settings.link));
        let here = here.map_err(|error| busy(error, &format!("{} is there", settings.link)))?;
        let here = Arc::new(here);
        lead_back(&internet, address)?;
        let link = match lead_there(settings) {
            Ok(link) => link,
            Err(error) => {
                // The links go with what holds them; this does not.
                internet.run(stop_forwarding).and_then(|done| done).context(|| "go back")?;
                return Err(error);
            }
        };
        let connection = Self { internet, link, broken: Arc::default() };
        let flows = Arc::new(Mutex::new(Flows::new(address)));
        connection.carry(&here, &there, &flows, Flows::outward)?;
        connection.carry(&there, &here, &flows, Flows::inward)?;
        Ok(connection)
    }

    /// Why packets are no longer carried, if they are not.
    pub fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this is still the internet of a cloud.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn leads_to(&self, internet: &Namespace) -> Result<bool> {
        let id = |namespace: &Namespace| {
            nix::sys::stat::fstat(namespace.as_fd()).map(|found| (found.st_dev, found.st_ino))
        };
        let what = || "look at the internet";
        Ok(id(&self.internet).context(what)? == id(internet).context(what)?)
    }

    /// Has a thread carry what may pass.
    fn carry(
        &self,
        from: &Arc<Tun>,
        to: &Arc<Tun>,
        flows: &Arc<Mutex<Flows>>,
        admits: fn(&mut Flows, &[u8], Instant) -> bool,
    ) -> Result<()> {
        let (from, to, flows) = (Arc::clone(from), Arc::clone(to), Arc::clone(flows));
        let broken = Arc::clone(&self.broken);
        let work = move || {
            let mut buffer = vec![0; tun::LONGEST];
            loop {
                let length = match from.read(&mut buffer) {
                    Ok(length) => length,
                    Err(error) => {
                        let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
                        broken.get_or_insert_with(|| error.to_string());
                        return;
                    }
                };
                let frame = &buffer[..length];
                let packet = frame.get(HEADER..).unwrap_or_default();
                let admitted = {
                    let mut flows = flows.lock().unwrap_or_else(PoisonError::into_inner);
                    admits(&mut flows, packet, Instant::now())
                };
                // One that does not fit is lost, as on any link.
                if admitted && let Err(error) = to.write(frame) {
                    tracing::debug!(%error, "a packet is lost");
                }
            }
        };
        let thread = thread::Builder::new().name("gureum-connect".into());
        thread.spawn(work).map(drop).context(|| "start a thread")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let undone = Netlink::open().and_then(|mut here| here.delete_link(self.link));
        if let Err(error) = undone {
            tracing::warn!(%error, "the link goes with this process");
        }
        let undone = self.internet.run(|| -> io::Result<()> {
            let mut there = Netlink::open()?;
            if let Some(link) = there.link(INSIDE)? {
                there.delete_link(link.index)?;
            }
            stop_forwarding()
        });
        if let Err(error) = undone.and_then(|done| done) {
            tracing::warn!(%error, "the internet's side of the connection");
        }
    }
}

/// A link of that name that another process holds.
fn busy(error: io::Error, who: &str) -> HostError {
    match error.raw_os_error() {
        Some(libc::EBUSY) => HostError::Failed(format!("{who} already")),
        Some(libc::ENOENT | libc::ENODEV) => HostError::Failed(
            "this kernel has no tun devices: /dev/net/tun is missing (`modprobe tun`)".to_owned(),
        ),
        _ => HostError::Kernel { what: "make a tun device".to_owned(), source: error },
    }
}

/// Has the internet know the way to the machine.
fn lead_back(internet: &Namespace, address: Ipv4Addr) -> Result<()> {
    let work = || -> io::Result<()> {
        let mut there = Netlink::open()?;
        let link = there.link(INSIDE)?.ok_or(io::ErrorKind::NotFound)?;
        there.set_up(link.index)?;
        there.replace_route(&Route {
            destination: Ipv4Net::from(address).into(),
            link: link.index,
            gateway: None,
            source: None,
            local: false,
        })?;
        // Of these two alone: what comes over others is still not passed on.
        for name in [INSIDE, INTERNET_LINK] {
            fs::write(forwarding(name), "1")?;
        }
        Ok(())
    };
    let what = || "lead the internet to this machine";
    internet.run(work).context(what)?.context(what)
}

/// Has the internet's link pass on what it does without anybody who is connected.
fn stop_forwarding() -> io::Result<()> {
    let usual = fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?;
    fs::write(forwarding(INTERNET_LINK), usual.trim())
}

/// Puts right what somebody who was connected left behind when they were killed.
pub(crate) fn clean_up(internet: &Namespace) -> Result<()> {
    let work = || -> io::Result<()> {
        match Netlink::open()?.link(INSIDE)? {
            Some(_) => Ok(()),
            None => stop_forwarding(),
        }
    };
    let what = || "look for the rest of a connection";
    internet.run(work).context(what)?.context(what)
}

fn forwarding(link: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv4/conf").join(link).join("forwarding")
}

/// Has the machine know the way to the internet; the link's number.
fn lead_there(settings: &Settings) -> Result<u32> {
    let what = || format!("set up {}", settings.link);
    let mut here = Netlink::open().context(what)?;
    let link = here.link(&settings.link).context(what)?;
    let link = link.ok_or_else(|| HostError::Failed(format!("{} is gone", settings.link)))?;
    // IPv6 would only say that it is there.
    let quiet = Path::new("/proc/sys/net/ipv6/conf").join(&settings.link).join("disable_ipv6");
    match fs::write(&quiet, "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context(|| format!("write {}", quiet.display()));
        }
        _ => {}
    }
    here.add_address(link.index, Ipv4Net::from(settings.address).into()).context(what)?;
    here.set_up(link.index).context(what)?;
    for destination in &settings.destinations {
        let route = Route {
            destination: (*destination).into(),
            link: link.index,
            gateway: None,
            source: Some(IpAddr::V4(settings.address)),
            local: false,
        };
        here.add_route(&route).map_err(|error| match error.raw_os_error() {
            Some(libc::EEXIST) => HostError::Failed(format!(
                "this machine has a route to {destination} already: is it connected to another \
                 cloud, or does a VPN use these addresses?"
            )),
            _ => HostError::Kernel { what: format!("route {destination}"), source: error },
        })?;
    }
    Ok(link.index)
}
