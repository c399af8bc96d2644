//! Classifiers: a program of BPF that sees every packet which comes in by a link.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use super::{CREATE, Netlink, Request};

/// `TC_H_CLSACT`, as handle and as parent.
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT: u32 = 0xffff_fff1;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)`
const CLSACT_INGRESS: u32 = 0xffff_fff2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
/// The program's result is the verdict.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// The first and only one.
const PRIORITY: u32 = 1;

impl Netlink {
    /// Has a program of BPF see every packet that comes in by a link, in place of one that does. The
    /// link holds the program from then on.
    pub(crate) fn classify_ingress(
        &mut self,
        link: u32,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWQDISC, (CREATE | libc::NLM_F_EXCL) as u16);
        request.traffic_header(link, CLSACT_HANDLE, CLSACT, 0);
        request.attribute(libc::TCA_KIND, b"clsact\0");
        match self.execute(request) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            other => other?,
        }
        let flags = (CREATE | libc::NLM_F_REPLACE) as u16;
        let mut request = Request::new(libc::RTM_NEWTFILTER, flags);
        let every_protocol = u32::from((libc::ETH_P_ALL as u16).to_be());
        request.traffic_header(link, 1, CLSACT_INGRESS, PRIORITY << 16 | every_protocol);
        request.attribute(libc::TCA_KIND, b"bpf\0");
        let options = request.open_nest(libc::TCA_OPTIONS);
        request.attribute(TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
        request.attribute(TCA_BPF_NAME, &[name.as_bytes(), &[0]].concat());
        request.attribute(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
        request.close_nest(options);
        self.execute(request)
    }
}

impl Request {
    /// `struct tcmsg`.
    fn traffic_header(&mut self, link: u32, handle: u32, parent: u32, info: u32) {
        self.bytes(&[libc::AF_UNSPEC as u8, 0, 0, 0]);
        for part in [link, handle, parent, info] {
            self.bytes(&part.to_ne_bytes());
        }
    }
}
