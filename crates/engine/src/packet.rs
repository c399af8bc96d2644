//! A frame with what is still owed to it: the meaning of `virtio_net_hdr` (traps 2, 3).

/// What the kernel left undone on a frame, in the terms of `virtio_net_hdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Offload {
    /// The checksum at `csum_start + csum_offset` holds only the sum of the pseudo-header.
    pub needs_csum: bool,
    /// Where the bytes that the checksum covers begin, from the start of the frame.
    pub csum_start: u16,
    /// Where the checksum is, from `csum_start`.
    pub csum_offset: u16,
    /// `VIRTIO_NET_HDR_GSO_*` as the kernel writes it, the ECN bit included.
    pub gso_type: u8,
    /// Bytes of payload in each segment on the wire.
    pub gso_size: u16,
    /// Bytes of headers, from the start of the frame.
    pub hdr_len: u16,
}

impl Offload {
    /// Nothing is left undone.
    pub const NONE: Self = Self {
        needs_csum: false,
        csum_start: 0,
        csum_offset: 0,
        gso_type: 0,
        gso_size: 0,
        hdr_len: 0,
    };
    /// `VIRTIO_NET_HDR_GSO_NONE`.
    pub const GSO_NONE: u8 = 0;
    /// `VIRTIO_NET_HDR_GSO_TCPV4`.
    pub const GSO_TCPV4: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV6`.
    pub const GSO_TCPV6: u8 = 4;
    /// `VIRTIO_NET_HDR_GSO_UDP_L4`.
    pub const GSO_UDP_L4: u8 = 5;
    /// `VIRTIO_NET_HDR_GSO_ECN`, a bit beside the type.
    pub const GSO_ECN: u8 = 0x80;
}

/// A whole Ethernet frame. The engine edits it in place and never changes its length: what another
/// family makes longer or shorter leaves as another frame ([`crate::Verdict::Translated`]).
#[derive(Debug)]
pub struct Packet<'a> {
    /// The frame from its destination address on.
    pub frame: &'a mut [u8],
    /// What is still owed to it.
    pub offload: Offload,
}
