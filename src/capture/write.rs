//! Writes frames as pcapng (draft-ietf-opsawg-pcapng): one section, every interface by name, times in nanoseconds.

use std::io::{self, Write};

use super::InterfaceInfo;
use crate::frame::{Frame, LinkType, Timestamp};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
/// Of the section header; tells the byte order, here little-endian.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Options: of any block, of an interface description, and of interface statistics.
const END_OF_OPTIONS: u16 = 0;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// A pcapng file being written. Interfaces are described when their first frame comes.
pub struct PcapngWriter<W> {
    out: W,
    /// The file's number of each of the input's interfaces.
    described: Vec<Option<u32>>,
    interfaces: u32,
    /// A block's body, used again.
    body: Vec<u8>,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins a file: writes the section header.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, described: Vec::new(), interfaces: 0, body: Vec::with_capacity(2048) };
        writer.body.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        writer.body.extend_from_slice(&1u16.to_le_bytes());
        writer.body.extend_from_slice(&0u16.to_le_bytes());
        // The section's length is not known in advance.
        writer.body.extend_from_slice(&(-1i64).to_le_bytes());
        writer.option(SHB_USERAPPL, concat!("mptcp-inspect ", env!("CARGO_PKG_VERSION")).as_bytes());
        writer.option(END_OF_OPTIONS, &[]);
        writer.block(SECTION_HEADER)?;
        Ok(writer)
    }

    /// Writes one frame, and before the first of its interface the description of that.
    pub fn frame(&mut self, frame: &Frame<'_>, interfaces: &[InterfaceInfo]) -> io::Result<()> {
        let index = usize::from(frame.interface);
        let interface = match self.described.get(index).copied().flatten() {
            Some(number) => number,
            None => self.describe(index, frame.link, interfaces.get(index))?,
        };
        let time = frame.time.0.max(0) as u64;
        for word in [
            interface,
            (time >> 32) as u32,
            time as u32,
            frame.data.len() as u32,
            frame.wire_len.max(frame.data.len() as u32),
        ] {
            self.body.extend_from_slice(&word.to_le_bytes());
        }
        self.body.extend_from_slice(frame.data);
        self.pad();
        self.block(ENHANCED_PACKET)
    }

    /// Writes what an interface received and lost, of those that had a frame.
    pub fn statistics(
        &mut self,
        index: usize,
        at: Timestamp,
        received: u64,
        by_interface: u64,
        by_system: u64,
    ) -> io::Result<()> {
        let Some(interface) = self.described.get(index).copied().flatten() else { return Ok(()) };
        let time = at.0.max(0) as u64;
        for word in [interface, (time >> 32) as u32, time as u32] {
            self.body.extend_from_slice(&word.to_le_bytes());
        }
        self.option(ISB_IFRECV, &received.to_le_bytes());
        self.option(ISB_IFDROP, &by_interface.to_le_bytes());
        self.option(ISB_OSDROP, &by_system.to_le_bytes());
        self.option(END_OF_OPTIONS, &[]);
        self.block(INTERFACE_STATISTICS)
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The writer underneath.
    pub fn into_inner(self) -> W {
        self.out
    }

    #[cold]
    fn describe(&mut self, index: usize, link: LinkType, info: Option<&InterfaceInfo>) -> io::Result<u32> {
        // Files have another number for raw IP than libpcap's interfaces.
        let link = if link == LinkType::RAW_BSD { LinkType::RAW } else { link };
        self.body.extend_from_slice(&(link.0 as u16).to_le_bytes());
        self.body.extend_from_slice(&0u16.to_le_bytes());
        self.body.extend_from_slice(&info.map_or(0, |info| info.snaplen).to_le_bytes());
        if let Some(name) = info.and_then(|info| info.name.as_deref()) {
            self.option(IF_NAME, name.as_bytes());
        }
        self.option(IF_TSRESOL, &[9]);
        self.option(END_OF_OPTIONS, &[]);
        self.block(INTERFACE_DESCRIPTION)?;
        let number = self.interfaces;
        self.interfaces += 1;
        if self.described.len() <= index {
            self.described.resize(index + 1, None);
        }
        if let Some(slot) = self.described.get_mut(index) {
            *slot = Some(number);
        }
        Ok(number)
    }

    /// Appends an option to the body, padded to 32 bits.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        self.body.extend_from_slice(&code.to_le_bytes());
        self.body.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.body.extend_from_slice(value);
        self.pad();
    }

    fn pad(&mut self) {
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }

    /// Writes the body as a block: type, length, body, length.
    fn block(&mut self, kind: u32) -> io::Result<()> {
        let length = (self.body.len() as u32).saturating_add(12).to_le_bytes();
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length)?;
        self.out.write_all(&self.body)?;
        self.out.write_all(&length)?;
        self.body.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameId;

    #[test]
    fn blocks_are_those_of_the_draft() {
        let info = InterfaceInfo { name: Some("wwan0".to_owned()), link: LinkType::RAW_BSD, snaplen: 96 };
        let mut writer = PcapngWriter::new(Vec::new()).unwrap();
        let header = writer.out.len();
        let frame = Frame {
            id: FrameId { number: 1, input: 0 },
            time: Timestamp(0x1122_3344_5566_7788),
            link: LinkType::RAW_BSD,
            interface: 0,
            data: &[0x45, 1, 2, 3, 4],
            wire_len: 60,
        };
        writer.frame(&frame, &[info]).unwrap();
        let bytes = writer.into_inner();
        // Written down from the draft's figures: block type, length, fields, options, padding, length again.
        let interface = [
            1, 0, 0, 0, 44, 0, 0, 0, 101, 0, 0, 0, 96, 0, 0, 0, // LINKTYPE_RAW, reserved, snaplen
            2, 0, 5, 0, b'w', b'w', b'a', b'n', b'0', 0, 0, 0, // if_name
            9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, // if_tsresol 10^-9, end
            44, 0, 0, 0,
        ];
        let packet = [
            6, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66,
            0x55, // time, high word first
            5, 0, 0, 0, 60, 0, 0, 0, 0x45, 1, 2, 3, 4, 0, 0, 0, 40, 0, 0, 0,
        ];
        assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
        assert_eq!(bytes[8..12], [0x4d, 0x3c, 0x2b, 0x1a]);
        assert_eq!(bytes[header..header + 44], interface);
        assert_eq!(bytes[header + 44..], packet);
    }
}
