//! What layers hand to each other: the bytes of a payload, and where they have come to.

use super::{IpPair, TapHint};
use crate::limits;

/// One layer's bytes: what was captured of them, and how many there were on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    /// The captured part.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire: at least `bytes.len()`.
    pub(super) len: usize,
}

impl<'a> View<'a> {
    /// `bytes`, of `len` on the wire.
    pub(super) fn new(bytes: &'a [u8], len: usize) -> Self {
        Self { bytes, len: len.max(bytes.len()) }
    }

    /// The first `N` bytes, and what follows them.
    #[inline]
    pub(super) fn header<const N: usize>(self, layer: Layer) -> Result<(&'a [u8; N], Self), Reject> {
        match self.bytes.split_first_chunk::<N>() {
            Some((header, rest)) => Ok((header, Self { bytes: rest, len: self.len - N })),
            None => Err(self.too_short(N, layer)),
        }
    }

    /// What follows the first `count` bytes.
    #[inline]
    pub(super) fn skip(self, count: usize, layer: Layer) -> Result<Self, Reject> {
        match self.bytes.get(count..) {
            Some(rest) => Ok(Self { bytes: rest, len: self.len - count }),
            None => Err(self.too_short(count, layer)),
        }
    }

    /// As long as a length field says: what is captured beyond it is padding or a trailer, what is short of it was cut.
    #[inline]
    pub(super) fn with_len(self, len: usize) -> Self {
        Self { bytes: self.bytes.get(..len).unwrap_or(self.bytes), len }
    }

    /// The first nibble: an IP header's version.
    #[inline]
    pub(super) fn nibble(self) -> Option<u8> {
        self.bytes.first().map(|byte| byte >> 4)
    }

    /// Why a header of `need` bytes is not there.
    #[cold]
    pub(super) fn too_short(self, need: usize, layer: Layer) -> Reject {
        Reject::malformed(layer, if self.len >= need { Reason::Cut } else { Reason::Short })
    }
}

/// The layer that a [`View`] starts with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Ethernet,
    Llc,
    Vlan,
    Mpls,
    Pppoe,
    Ppp,
    /// IP whose version only the first nibble tells.
    Ip,
    Ipv4,
    Ipv6,
    /// What an IP header carries: a protocol number.
    IpPayload(u8),
    Tcp,
    Udp,
    Gre,
    /// A part of an IP datagram. The walk ends here until the whole is there.
    Fragment(Fragment),
}

/// The fields of a header that says "this is a part".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub(super) id: u32,
    /// Bytes of the datagram's payload before this part: a multiple of 8, at most 65 528.
    pub(super) offset: u16,
    /// Others follow.
    pub(super) more: bool,
    /// Protocol of the whole datagram. In IPv6 only the first part's counts (RFC 8200 §4.5).
    pub(super) protocol: u8,
}

/// What the layers around a TCP segment have told so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    pub(super) tap: TapHint,
    pub(super) encapsulations: u8,
    /// The innermost IP header up to here.
    pub(super) ip: Option<IpHeader>,
}

impl Around {
    /// Notes an IP header, the innermost so far.
    #[inline]
    pub(super) fn inside<'a>(&mut self, (ip, next, rest): (IpHeader, Next, View<'a>)) -> (Next, View<'a>) {
        self.ip = Some(ip);
        (next, rest)
    }

    /// One tag or tunnel deeper.
    #[inline]
    pub(super) fn deeper(&mut self, layer: Layer) -> Result<(), Reject> {
        if usize::from(self.encapsulations) >= limits::ENCAPSULATION_DEPTH {
            return Err(Reject::malformed(layer, Reason::TooDeep));
        }
        self.encapsulations += 1;
        Ok(())
    }
}

/// What a segment keeps of its IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpHeader {
    pub(super) pair: IpPair,
    pub(super) id: u16,
    pub(super) ttl: u8,
    pub(super) source_routed: bool,
}

/// Why a frame yields no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reject {
    NotIp,
    NotTcp,
    Malformed(Malformed),
}

impl Reject {
    #[cold]
    pub(super) fn malformed(layer: Layer, reason: Reason) -> Self {
        Self::Malformed(Malformed { layer, reason })
    }
}

/// A header that contradicts itself or was cut away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Malformed {
    /// Where.
    pub layer: Layer,
    /// What.
    pub reason: Reason,
}

/// `TCP: data offset below 5`
impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.layer, self.reason)
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $name,)* })
            }
        }
    };
}

named! {
    /// The layers that a frame is decoded through.
    Layer {
        /// Ethernet II or IEEE 802.3.
        Ethernet = "Ethernet",
        /// IEEE 802.2 LLC, and SNAP.
        Llc = "LLC",
        /// A VLAN tag.
        Vlan = "VLAN",
        /// An MPLS label stack.
        Mpls = "MPLS",
        /// A `PPPoE` session header.
        Pppoe = "PPPoE",
        /// PPP.
        Ppp = "PPP",
        /// A cooked capture's header (SLL, SLL2).
        Cooked = "cooked capture header",
        /// A loopback capture's header (NULL, LOOP).
        Loopback = "loopback header",
        /// IEEE 802.11.
        Wifi = "802.11",
        /// A radiotap header.
        Radiotap = "radiotap header",
        /// A PPI header.
        Ppi = "PPI header",
        /// IP of a version yet to be read.
        Ip = "IP",
        /// IPv4.
        Ipv4 = "IPv4",
        /// IPv6.
        Ipv6 = "IPv6",
        /// An IPv6 extension header.
        Extension = "IPv6 extension header",
        /// An authentication header (RFC 4302).
        Authentication = "authentication header",
        /// An IP fragment.
        Fragment = "IP fragment",
        /// GRE.
        Gre = "GRE",
        /// UDP.
        Udp = "UDP",
        /// VXLAN.
        Vxlan = "VXLAN",
        /// GTP-U.
        Gtp = "GTP-U",
        /// Geneve.
        Geneve = "Geneve",
        /// ERSPAN.
        Erspan = "ERSPAN",
        /// TCP.
        Tcp = "TCP",
    }
}

named! {
    /// What is wrong with a header.
    Reason {
        /// The capture ends inside it.
        Cut = "cut by the capture",
        /// What carries it ends inside it.
        Short = "too short",
        /// Its version is not the one announced.
        Version = "wrong version",
        /// IPv4: header length below 20 bytes.
        HeaderLength = "header length below 20",
        /// A length that is less than the header that holds it.
        TotalLength = "length below its header's",
        /// TCP: data offset below 5.
        DataOffset = "data offset below 5",
        /// TCP: the data offset lies beyond the end of the segment.
        DataOffsetBeyond = "data offset beyond the segment",
        /// A fragment that cannot be a part: empty, not of 8-byte units, or beyond the datagram's end.
        Fragment = "impossible offset or length",
        /// Nested deeper than [`limits::ENCAPSULATION_DEPTH`].
        TooDeep = "nested too deep",
    }
}
