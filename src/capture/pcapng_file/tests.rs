//! Blocks of every kind, in both byte orders.

use super::*;

/// Writes blocks in one byte order.
#[derive(Clone, Copy)]
struct Writer {
    big: bool,
}

impl Writer {
    fn u16(self, value: u16) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }
    fn u32(self, value: u32) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }
    fn block(self, kind: u32, mut body: Vec<u8>) -> Vec<u8> {
        body.resize(body.len().next_multiple_of(4), 0);
        let length = self.u32(body.len() as u32 + 12);
        [self.u32(kind), length.clone(), body, length].concat()
    }
    fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, [self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), vec![0xff; 8]].concat())
    }
    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(4), 0);
        [self.u16(code), self.u16(value.len() as u16), padded].concat()
    }
    fn interface(self, link: u16, snaplen: u32, options: &[Vec<u8>]) -> Vec<u8> {
        self.block(1, [self.u16(link), self.u16(0), self.u32(snaplen), options.concat()].concat())
    }
    fn packet(self, interface: u32, ticks: u64, wire: u32, data: &[u8]) -> Vec<u8> {
        let words = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, wire];
        self.block(6, [words.map(|word| self.u32(word)).concat(), data.to_vec()].concat())
    }
    fn obsolete(self, interface: u16, ticks: u64, wire: u32, data: &[u8]) -> Vec<u8> {
        let words = [(ticks >> 32) as u32, ticks as u32, data.len() as u32, wire].map(|word| self.u32(word)).concat();
        self.block(2, [self.u16(interface), self.u16(7), words, data.to_vec()].concat())
    }
    fn simple(self, wire: u32, data: &[u8]) -> Vec<u8> {
        self.block(3, [self.u32(wire), data.to_vec()].concat())
    }
}

/// Interface, link type, time, length on the wire, and bytes of a frame.
type Seen = (u16, u32, i64, u32, Vec<u8>);

/// All frames of a file, its interfaces, and what came after the last frame.
fn frames(mut file: &[u8]) -> (Vec<Seen>, Vec<InterfaceInfo>, Step) {
    let (mut pcapng, mut interfaces, mut frames) = (PcapngFile::default(), Vec::new(), Vec::new());
    loop {
        match pcapng.step(file, &mut interfaces) {
            Step::Frame(r) => {
                let data = file[r.skip..][..r.len].to_vec();
                frames.push((r.interface, r.link.0, r.time, r.wire_len, data));
                file = &file[r.consumed..];
            }
            Step::Skip(count) => file = &file[count..],
            end => return (frames, interfaces, end),
        }
    }
}

const LITTLE: Writer = Writer { big: false };
const BIG: Writer = Writer { big: true };

#[test]
fn sections_in_both_orders_with_interfaces_of_their_own() {
    let file = |w: Writer| {
        [
            w.section(),
            w.interface(1, 96, &[w.option(2, b"wlan0"), w.option(9, &[9]), w.option(0, b"")]),
            w.interface(113, 0, &[w.option(2, b"wwan0")]),
            w.block(0x0bad_beef, vec![1; 7]),
            w.packet(1, 1_700_000_000_000_001, 1500, b"second"),
            w.packet(0, 1_700_000_000_000_000_001, 5, b"first"),
            w.block(5, vec![0; 12]),
            w.obsolete(1, 7, 8, b"obsolete"),
        ]
        .concat()
    };
    let (seen, interfaces, end) = frames(&[file(LITTLE), file(BIG)].concat());
    assert_eq!(end, Step::Need(8));
    let expected = |first: u16| {
        [
            (first + 1, 113, 1_700_000_000_000_001_000, 1500, b"second".to_vec()),
            (first, 1, 1_700_000_000_000_000_001, 5, b"first".to_vec()),
            (first + 1, 113, 7000, 8, b"obsolete".to_vec()),
        ]
    };
    assert_eq!(seen, [expected(0), expected(2)].concat());
    let names: Vec<_> = interfaces.iter().map(|i| (i.name.as_deref(), i.link.0, i.snaplen)).collect();
    let one = [(Some("wlan0"), 1, 96), (Some("wwan0"), 113, 0)];
    assert_eq!(names, [one, one].concat());
}

#[test]
fn simple_packets_are_of_the_first_interface_and_its_snaplen() {
    let w = LITTLE;
    let file = [
        w.section(),
        w.interface(101, 5, &[]),
        w.interface(1, 0, &[]),
        w.simple(3, b"abc"),
        w.packet(1, 4, 1, b"x"),
        w.simple(9, b"abcde"),
    ];
    let (seen, _, _) = frames(&file.concat());
    let expected: [Seen; 3] = [
        // No time of its own, and no predecessor.
        (0, 101, Timestamp::UNKNOWN.0, 3, b"abc".to_vec()),
        (1, 1, 4000, 1, b"x".to_vec()),
        // No time of its own: its predecessor's.
        (0, 101, 4000, 9, b"abcde".to_vec()),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn resolutions_and_offsets() {
    // Expected values from Python: floor(ticks * 10**9 / unit) + offset * 10**9.
    for (resolution, offset, ticks, expected) in [
        (6, 0, 1_700_000_000_000_001, 1_700_000_000_000_001_000),
        (0, 0, 1_700_000_000, 1_700_000_000_000_000_000),
        (3, -3600, 1_700_000_000_001, 1_699_996_400_001_000_000),
        (12, 0, 1_700_000_000_000_999_u64 * 1000, 1_700_000_000_000_999),
        (0x80 | 0x14, 0, 1_782_579_200_524_289, 1_700_000_000_500_000_953),
        (0x80 | 0x20, 1_700_000_000, 1 << 31, 1_700_000_000_500_000_000),
        (0xff, 0, u64::MAX, 0),
        (127, 0, u64::MAX, 0),
        (6, 0, u64::MAX, i64::MAX),
        (6, i64::MAX, 1, i64::MAX),
    ] {
        assert_eq!(Clock::new(resolution, offset).nanoseconds(ticks), expected, "{resolution:#x} {offset} {ticks}");
    }
    let w = BIG;
    let options = [w.option(9, &[0x80 | 0x14]), w.option(14, &3600_i64.to_be_bytes())];
    let (seen, _, _) = frames(&[w.section(), w.interface(1, 0, &options), w.packet(0, 3 << 19, 1, b"x")].concat());
    assert_eq!(seen, [(0, 1, 3_601_500_000_000, 1, b"x".to_vec())]);
}

#[test]
fn nonsense_is_damage() {
    let w = LITTLE;
    let start = [w.section(), w.interface(1, 0, &[])].concat();
    let end = |block: Vec<u8>| frames(&[start.clone(), block].concat()).2;
    assert_eq!(end(w.packet(1, 0, 1, b"x")), Step::Damaged(Damage::UnknownInterface(1)));
    assert_eq!(end(vec![0; 12]), Step::Damaged(Damage::TooShort(0)));
    assert_eq!(end(w.block(6, vec![0; 4])), Step::Damaged(Damage::TooShort(16)));
    let huge = [w.u32(6), w.u32(0x0100_0001)].concat();
    assert_eq!(end(huge), Step::Damaged(Damage::TooLong(0x0100_0001)));
    let mut differ = w.block(5, vec![]);
    differ[8] = 13;
    assert_eq!(end(differ), Step::Damaged(Damage::LengthsDiffer { first: 12, last: 13 }));
    let mut overlong = w.packet(0, 0, 1, b"x");
    overlong[20] = 5;
    assert_eq!(end(overlong), Step::Damaged(Damage::TooLong(5)));
}

#[test]
fn packets_of_too_many_interfaces_are_frames_still() {
    let w = LITTLE;
    let many = w.interface(1, 0, &[]).repeat(SECTION_INTERFACES + 2);
    let last = SECTION_INTERFACES as u32 + 1;
    let packets = [w.packet(last, 7, 1, b"x"), w.packet(3, 8, 1, b"y"), w.packet(last + 1, 9, 1, b"z")].concat();
    let (seen, interfaces, end) = frames(&[w.section(), many, packets].concat());
    assert_eq!(interfaces.len(), SECTION_INTERFACES);
    let seen: Vec<_> = seen.iter().map(|frame| (frame.1, frame.2, frame.4.as_slice())).collect();
    assert_eq!(seen, [(u32::MAX, 7000, &b"x"[..]), (1, 8000, b"y")]);
    assert_eq!(end, Step::Damaged(Damage::UnknownInterface(last + 1)));
}

#[test]
fn options_longer_than_their_block_end_the_list() {
    let w = LITTLE;
    let mut long = w.option(2, b"eth0");
    long[2] = 200;
    let file = [w.section(), w.interface(1, 0, &[w.option(9, &[9]), long]), w.packet(0, 5, 1, b"x")].concat();
    let (seen, interfaces, _) = frames(&file);
    assert_eq!((seen[0].2, interfaces[0].name.as_deref()), (5, None));
}
