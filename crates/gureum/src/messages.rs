//! Lines with file descriptors beside them (`SCM_RIGHTS`), as [`crate::admin`] sends them over the
//! daemon's socket in both directions.

use std::{
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// A line longer than this is none.
const LINE_LIMIT: usize = 64 << 20;

/// How many descriptors travel at most in one message.
const MAX_DESCRIPTORS: usize = 3;

/// Sends a line with descriptors beside it.
pub(crate) fn send(
    stream: &UnixStream,
    line: &str,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = [line.as_bytes(), b"\n"].concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    let mut rest = stream;
    rest.write_all(&bytes[sent..])
}

/// Receives a line and the descriptors beside it.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut line = Vec::new();
    let mut descriptors = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while line.last() != Some(&b'\n') {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut buffer)];
        let got = rustix::io::retry_on_intr(|| {
            recvmsg(stream, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        if got.bytes == 0 {
            return Err(io::Error::other("it closed the connection"));
        }
        line.extend_from_slice(&buffer[..got.bytes]);
        if line.len() > LINE_LIMIT {
            return Err(io::Error::other("the line does not end"));
        }
    }
    let line = String::from_utf8(line).map_err(io::Error::other)?;
    Ok((line, descriptors))
}
