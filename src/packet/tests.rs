//! Frames built by hand around etherparse's `PacketBuilder`, one test per way in.

use std::net::Ipv6Addr;

use etherparse::PacketBuilder;
use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::frame::{FrameId, LinkType, Timestamp};
use crate::limits;

mod wifi;

const PAYLOAD: &[u8] = b"sixteen bytes ok";
const OPTIONS: [u8; 12] = hex!("0101 080a 00000001 00000002");
const ETHERNET: [u8; 12] = hex!("020000000001 020000000002");

fn v4() -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 63).tcp(4660, 80, 0x0102_0304, 500);
    builder.ack(0x0506_0708).psh().options_raw(&OPTIONS).unwrap().write(&mut packet, PAYLOAD).unwrap();
    packet
}

fn v6() -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv6([1; 16], [2; 16], 63).tcp(4660, 80, 0x0102_0304, 500);
    builder.ack(0x0506_0708).psh().options_raw(&OPTIONS).unwrap().write(&mut packet, PAYLOAD).unwrap();
    packet
}

fn tcp() -> Vec<u8> {
    v4().split_off(20)
}

/// An IPv4 header before `payload`.
fn in_v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_part(protocol, 0, payload)
}

/// The same with the fragment field: offset in 8-byte units, and 0x2000 where others follow.
fn v4_part(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [len_high, len_low] = (20 + payload.len() as u16).to_be_bytes();
    let [high, low] = fragment.to_be_bytes();
    let header = [0x45, 0, len_high, len_low, 0xab, 0xcd, high, low, 63, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&header, payload].concat()
}

/// An IPv6 header before `payload`.
fn in_v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0, high, low, protocol, 63][..], &[1; 16], &[2; 16], payload].concat()
}

fn in_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let [len_high, len_low] = (8 + payload.len() as u16).to_be_bytes();
    in_v4(17, &[&[0x12, 0x34, high, low, len_high, len_low, 0, 0], payload].concat())
}

fn in_ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&ETHERNET[..], &ether_type.to_be_bytes(), payload].concat()
}

fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
    let id = FrameId { number: 1, input: 0 };
    Frame { id, time: Timestamp(0), link, interface: 0, data, wire_len: data.len() as u32 }
}

/// Every way in: what it is, link type, frame, encapsulations.
fn ways_in() -> Vec<(&'static str, LinkType, Vec<u8>, u8)> {
    let with = |prefix: &[u8], packet: &[u8]| [prefix, packet].concat();
    let ip = LinkType::RAW;
    let ethernet = LinkType::ETHERNET;
    let inner = in_ethernet(0x0800, &v4());
    let gtp = |flags: u8, optional: &[u8], packet: &[u8]| {
        let [high, low] = ((optional.len() + packet.len()) as u16).to_be_bytes();
        in_udp(2152, &[&[flags, 255, high, low, 0, 0, 0, 9], optional, packet].concat())
    };
    let snap_len = v4().len() as u16 + 8;
    let pppoe = |protocol: &[u8], packet: &[u8]| {
        let [high, low] = ((protocol.len() + packet.len()) as u16).to_be_bytes();
        [&[0x11, 0, 0, 7, high, low], protocol, packet, b"padding"].concat()
    };
    let mut ways = vec![
        ("Ethernet", ethernet, inner.clone(), 0),
        ("Ethernet, IPv6", ethernet, in_ethernet(0x86dd, &v6()), 0),
        ("VLAN", ethernet, in_ethernet(0x8100, &with(&hex!("0064 0800"), &v4())), 1),
        ("QinQ", ethernet, in_ethernet(0x88a8, &with(&hex!("0064 8100 0065 86dd"), &v6())), 2),
        ("old QinQ", ethernet, in_ethernet(0x9100, &with(&hex!("0064 9200 0065 0800"), &v4())), 2),
        ("SNAP", ethernet, in_ethernet(snap_len, &with(&hex!("aaaa03 000000 0800"), &v4())), 0),
        (
            "SNAP in VLAN",
            ethernet,
            {
                let tag = [[0, 100], snap_len.to_be_bytes()].concat();
                in_ethernet(0x8100, &[&tag[..], &hex!("aaaa03 000000 0800"), &v4()].concat())
            },
            1,
        ),
        ("MPLS", ethernet, in_ethernet(0x8847, &with(&hex!("00010040 00020140"), &v4())), 2),
        ("MPLS, IPv6", ethernet, in_ethernet(0x8848, &with(&hex!("00020140"), &v6())), 1),
        ("pseudowire", ethernet, in_ethernet(0x8847, &with(&hex!("00020140 00000000"), &inner)), 1),
        ("PPPoE", ethernet, in_ethernet(0x8864, &pppoe(&hex!("0021"), &v4())), 1),
        ("PPPoE, IPv6", LinkType::PPP_ETHER, pppoe(&hex!("0057"), &v6()), 1),
        ("SLL", LinkType::LINUX_SLL, with(&hex!("0004 0001 0006 0200000000010000 0800"), &v4()), 0),
        ("SLL2", LinkType::LINUX_SLL2, with(&hex!("86dd 0000 00000007 0001 04 06 0200000000010000"), &v6()), 0),
        ("PPP", LinkType::PPP, with(&hex!("ff03 0021"), &v4()), 0),
        ("PPP without HDLC", LinkType::PPP, with(&hex!("0057"), &v6()), 0),
        ("PPP compressed", LinkType::PPP, with(&hex!("21"), &v4()), 0),
        ("PPP HDLC compressed", LinkType::PPP_HDLC, with(&hex!("ff03 57"), &v6()), 0),
        ("RAW", LinkType::RAW, v4(), 0),
        ("RAW 12", LinkType::RAW_BSD, v6(), 0),
        ("RAW 14", LinkType::RAW_OPENBSD, v4(), 0),
        ("IPV4", LinkType::IPV4, v4(), 0),
        ("IPV6", LinkType::IPV6, v6(), 0),
        ("NULL, little-endian", LinkType::NULL, with(&hex!("02000000"), &v4()), 0),
        ("NULL, big-endian", LinkType::NULL, with(&hex!("0000001e"), &v6()), 0),
        ("NULL, FreeBSD", LinkType::NULL, with(&hex!("1c000000"), &v6()), 0),
        ("LOOP", LinkType::LOOP, with(&hex!("00000018"), &v6()), 0),
        ("IPIP", ip, in_v4(4, &v4()), 1),
        ("6in4", ip, in_v4(41, &v6()), 1),
        ("4in6", ip, in_v6(4, &v4()), 1),
        ("ip6tnl with its limit option", ip, in_v6(60, &with(&hex!("2900 0401 04010000"), &v6())), 1),
        ("GRE", ip, in_v4(47, &with(&hex!("0000 0800"), &v4())), 1),
        ("GRE with all", ip, in_v4(47, &with(&hex!("b000 86dd 00000000 00000001 00000002"), &v6())), 1),
        ("GRE Ethernet", ip, in_v4(47, &with(&hex!("2000 6558 00000001"), &inner)), 1),
        ("VXLAN", ip, in_udp(4789, &with(&hex!("0800000000002a00"), &inner)), 1),
        ("VXLAN, Linux", ip, in_udp(8472, &with(&hex!("0800000000002a00"), &inner)), 1),
        ("GTP-U", ip, gtp(0x30, &[], &v4()), 1),
        ("GTP-U with sequence", ip, gtp(0x32, &hex!("0001 00 00"), &v6()), 1),
        ("GTP-U with extensions", ip, gtp(0x34, &hex!("0000 00 85 01 0009 85 02 00000000 0000 00"), &v4()), 1),
        ("GTP-U Ethernet", ip, gtp(0x30, &[], &inner), 1),
        ("Geneve", ip, in_udp(6081, &with(&hex!("0000 6558 00002a00"), &inner)), 1),
        ("Geneve with options", ip, in_udp(6081, &with(&hex!("0240 86dd 00002a00 0102030100000000"), &v6())), 1),
        ("ERSPAN I", ip, in_v4(47, &with(&hex!("0000 88be"), &inner)), 1),
        ("ERSPAN II", ip, in_v4(47, &with(&hex!("1000 88be 00000001 1064 0001 00000002"), &inner)), 1),
        ("AH", ip, in_v4(51, &with(&hex!("0604 0000 00000001 00000001 000000000000000000000000"), &tcp())), 0),
        (
            "v6 extensions",
            ip,
            {
                let headers = hex!("3c00 010400000000 0601 010c 000000000000000000000000");
                in_v6(0, &with(&headers, &tcp()))
            },
            0,
        ),
        ("atomic fragment", ip, in_v6(44, &with(&hex!("0600 0000 00000001"), &tcp())), 0),
    ];
    ways.extend(wifi::ways_in());
    ways
}

#[test]
fn every_way_in() {
    for (name, link, data, encapsulations) in ways_in() {
        let mut decoder = Decoder::new();
        let Decoded::Tcp(segment) = decoder.decode(&frame(link, &data)) else {
            panic!("{name}: {:?}", Decoder::new().decode(&frame(link, &data)));
        };
        let is_v4 = matches!(segment.ip, IpPair::V4 { source: 0x0a00_0001, destination: 0x0a00_0002 });
        let (one, two) = (Ipv6Addr::from([1; 16]), Ipv6Addr::from([2; 16]));
        assert!(is_v4 || segment.ip == IpPair::V6 { source: one, destination: two }, "{name}: {:?}", segment.ip);
        assert_eq!((segment.source_port, segment.destination_port), (4660, 80), "{name}");
        assert_eq!((segment.seq, segment.ack, segment.window), (0x0102_0304, 0x0506_0708, 500), "{name}");
        assert_eq!(segment.flags, TcpFlags(TcpFlags::ACK | TcpFlags::PSH), "{name}");
        assert_eq!((segment.options, segment.options_cut), (&OPTIONS[..], false), "{name}");
        assert_eq!((segment.payload, segment.payload_len), (PAYLOAD, 16), "{name}");
        assert_eq!((segment.ttl, segment.source_routed), (63, false), "{name}");
        assert_eq!(segment.encapsulations, encapsulations, "{name}");
        let tap = match name {
            "SLL" => TapHint { interface_index: 0, packet_type: 5 },
            "SLL2" => TapHint { interface_index: 7, packet_type: 5 },
            _ => TapHint::default(),
        };
        assert_eq!(segment.tap, tap, "{name}");
        assert_eq!(decoder.incomplete_fragments(), 0, "{name}");
    }
}

#[test]
fn every_way_in_cut_anywhere() {
    for (name, link, data, _) in ways_in() {
        for len in 0..data.len() {
            // Cut by a snaplen, and short on the wire.
            let short = frame(link, &data[..len]);
            let cut = Frame { wire_len: data.len() as u32, ..short };
            for frame in [short, cut] {
                if let Decoded::Tcp(segment) = Decoder::new().decode(&frame) {
                    assert_eq!(segment.payload_len, 16, "{name} at {len}");
                    assert_eq!(segment.options_cut, segment.options.len() < OPTIONS.len(), "{name} at {len}");
                    assert!(PAYLOAD.starts_with(segment.payload), "{name} at {len}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_tcp() {
    let decode = |link, data: &[u8]| match Decoder::new().decode(&frame(link, data)) {
        Decoded::Tcp(_) => "tcp".to_owned(),
        Decoded::NotIp => "not ip".to_owned(),
        Decoded::NotTcp => "not tcp".to_owned(),
        Decoded::FragmentHeld => "held".to_owned(),
        Decoded::Malformed(malformed) => malformed.to_string(),
    };
    assert_eq!(decode(LinkType::ETHERNET, &in_ethernet(0x0806, &[0; 28])), "not ip");
    assert_eq!(decode(LinkType(195), &v4()), "not ip");
    // Encrypted, a beacon, a fragment.
    assert_eq!(decode(LinkType::IEEE802_11, &[&hex!("0841")[..], &[0; 60]].concat()), "not ip");
    assert_eq!(decode(LinkType::IEEE802_11, &[&hex!("8000")[..], &[0; 60]].concat()), "not ip");
    assert_eq!(decode(LinkType::IEEE802_11, &[&hex!("0805")[..], &[0; 60]].concat()), "not ip");
    assert_eq!(decode(LinkType::RAW, &in_udp(53, &[0; 12])), "not tcp");
    assert_eq!(decode(LinkType::RAW, &in_v4(1, &[8; 12])), "not tcp");
    assert_eq!(decode(LinkType::RAW, &in_v6(59, &[])), "not tcp");
    // ARP in VXLAN went over IP.
    let arp = [&hex!("0800000000002a00")[..], &in_ethernet(0x0806, &[0; 28])].concat();
    assert_eq!(decode(LinkType::RAW, &in_udp(4789, &arp)), "not tcp");
    assert_eq!(decode(LinkType::ETHERNET, &ETHERNET), "Ethernet: too short");
    assert_eq!(decode(LinkType::RAW, &[0x55; 40]), "IP: wrong version");
    assert_eq!(decode(LinkType::IPV4, &v6()), "IPv4: wrong version");
    assert_eq!(decode(LinkType::IPV6, &v4()), "IPv6: wrong version");
    assert_eq!(decode(LinkType::RAW, &[0x44; 40]), "IPv4: header length below 20");
    let mut packet = v4();
    packet[3] = 19;
    assert_eq!(decode(LinkType::RAW, &packet), "IPv4: length below its header's");
    packet[3] = 39;
    assert_eq!(decode(LinkType::RAW, &packet), "TCP: too short");
    packet[3] = 51;
    assert_eq!(decode(LinkType::RAW, &packet), "TCP: data offset beyond the segment");
    assert_eq!(decode(LinkType::RAW, &v4()[..39]), "TCP: cut by the capture");
    let mut packet = v4();
    packet[32] = 0x40;
    assert_eq!(decode(LinkType::RAW, &packet), "TCP: data offset below 5");
}

#[test]
fn nesting_ends() {
    let tags = |count: usize| {
        in_ethernet(0x8100, &[hex!("0001 8100").repeat(count - 1), hex!("0001 0800").to_vec(), v4()].concat())
    };
    let deepest = tags(limits::ENCAPSULATION_DEPTH);
    assert!(matches!(Decoder::new().decode(&frame(LinkType::ETHERNET, &deepest)), Decoded::Tcp(_)));
    let deeper = tags(limits::ENCAPSULATION_DEPTH + 1);
    let Decoded::Malformed(malformed) = Decoder::new().decode(&frame(LinkType::ETHERNET, &deeper)) else { panic!() };
    assert_eq!(malformed, Malformed { layer: Layer::Vlan, reason: Reason::TooDeep });
}

fn segment<'a>(decoder: &'a mut Decoder, frame: &Frame<'a>) -> Segment<'a> {
    match decoder.decode(frame) {
        Decoded::Tcp(segment) => segment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lengths() {
    let mut decoder = Decoder::new();
    // Ethernet padding is no payload.
    let padded = [in_ethernet(0x0800, &v4()), vec![0; 20]].concat();
    assert_eq!(segment(&mut decoder, &frame(LinkType::ETHERNET, &padded)).payload, PAYLOAD);
    // Offload leaves a total length of 0; IPv6 a payload length of 0.
    let (mut v4, mut v6) = (v4(), v6());
    v4[2..4].fill(0);
    v6[4..6].fill(0);
    for packet in [&v4, &v6] {
        let whole = frame(LinkType::RAW, packet);
        let cut = Frame { wire_len: 100_000, ..whole };
        assert_eq!(segment(&mut decoder, &whole).payload, PAYLOAD);
        let len = segment(&mut decoder, &cut).payload_len as usize;
        assert_eq!(len, 100_000 - (packet.len() - PAYLOAD.len()));
    }
    // A jumbo payload option beats the frame's length: hop-by-hop header 8, TCP 32, payload 16, then a trailer.
    let jumbo = [in_v6(0, &[&hex!("0600 c204 00000038")[..], &tcp(), b"trailer"].concat())].concat();
    let jumbo = [&jumbo[..4], &[0, 0], &jumbo[6..]].concat();
    assert_eq!(segment(&mut decoder, &frame(LinkType::RAW, &jumbo)).payload, PAYLOAD);
    // The IP length counts for what a snaplen cut.
    let packet = self::v4();
    let cut = Frame { wire_len: packet.len() as u32, ..frame(LinkType::RAW, &packet[..45]) };
    let cut = segment(&mut decoder, &cut);
    assert_eq!((cut.options, cut.options_cut, cut.payload_len), (&OPTIONS[..5], true, 16));
}

#[test]
fn source_routes() {
    let v4_route = |option: &[u8]| {
        let mut packet = v4();
        packet[0] = 0x45 + (option.len() / 4) as u8;
        packet[3] += option.len() as u8;
        packet.splice(20..20, option.iter().copied());
        let mut decoder = Decoder::new();
        let segment = segment(&mut decoder, &frame(LinkType::RAW, &packet));
        (segment.ip.destination().to_string(), segment.source_routed)
    };
    let route = |destination: &str| (destination.to_owned(), true);
    assert_eq!(v4_route(&hex!("01 830b04 0a000009 0a00000a")), route("10.0.0.10"));
    assert_eq!(v4_route(&hex!("01 890b08 0a000009 0a00000a")), route("10.0.0.10"));
    assert_eq!(v4_route(&hex!("01 830b0c 0a000009 0a00000a")), route("10.0.0.2"));
    assert_eq!(v4_route(&hex!("94040000")), ("10.0.0.2".to_owned(), false));
    assert_eq!(v4_route(&hex!("00830704")), ("10.0.0.2".to_owned(), false));

    let v6_route = |kind: u8, segments_left: u8| {
        let header = [&[6, 4, kind, segments_left, 0, 0, 0, 0][..], &[3; 16], &[4; 16]].concat();
        let packet = in_v6(43, &[header, tcp()].concat());
        let mut decoder = Decoder::new();
        let segment = segment(&mut decoder, &frame(LinkType::RAW, &packet));
        let IpPair::V6 { destination, .. } = segment.ip else { panic!() };
        (destination.octets()[0], segment.source_routed)
    };
    assert_eq!(v6_route(0, 1), (4, true), "type 0 lists addresses in order");
    assert_eq!(v6_route(4, 1), (3, true), "segment routing lists them in reverse");
    assert_eq!(v6_route(0, 0), (2, true));
    assert_eq!(v6_route(4, 0), (2, true));
}

/// A TCP segment of 52 bytes of header and `payload` bytes of payload in parts of these sizes.
fn parts(payload: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let whole = [&tcp()[..32], payload].concat();
    let mut at = 0;
    sizes
        .iter()
        .map(|&size| {
            let end = (at + size).min(whole.len());
            let more = if end < whole.len() { 0x2000 } else { 0 };
            let part = v4_part(6, (at / 8) as u16 | more, &whole[at..end]);
            at = end;
            part
        })
        .collect()
}

#[test]
fn fragments_in_any_order() {
    let payload: Vec<u8> = (0..200).collect();
    let parts = parts(&payload, &[64, 80, 200]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut decoder = Decoder::new();
        for index in &order[..2] {
            let held = decoder.decode(&frame(LinkType::RAW, &parts[*index]));
            assert!(matches!(held, Decoded::FragmentHeld), "{order:?}: {held:?}");
        }
        assert_eq!(decoder.incomplete_fragments(), 2);
        let whole = frame(LinkType::RAW, &parts[order[2]]);
        let segment = segment(&mut decoder, &whole);
        assert_eq!((segment.payload, segment.payload_len, segment.ip_id), (&payload[..], 200, 0xabcd), "{order:?}");
        assert_eq!(decoder.incomplete_fragments(), 0);
    }
}

#[test]
fn what_came_first_stays() {
    let payload: Vec<u8> = (0..200).collect();
    let whole = [&tcp()[..32], &payload[..]].concat();
    let first = v4_part(6, 0x2000, &whole[..64]);
    let liar = v4_part(6, 4 | 0x2000, &[0xff; 48]); // bytes 32 to 80
    let middle = v4_part(6, 2 | 0x2000, &[0xee; 96]); // bytes 16 to 112
    let last = v4_part(6, 14, &whole[112..]);
    let mut decoder = Decoder::new();
    for part in [&first, &liar, &middle] {
        assert!(matches!(decoder.decode(&frame(LinkType::RAW, part)), Decoded::FragmentHeld));
    }
    let last = frame(LinkType::RAW, &last);
    let segment = segment(&mut decoder, &last);
    let expected = [&payload[..32], &[0xff; 16], &[0xee; 32], &payload[80..]].concat();
    assert_eq!(segment.payload, expected);
}

#[test]
fn fragments_that_a_snaplen_cut() {
    let payload: Vec<u8> = (0..200).collect();
    let parts = parts(&payload, &[120, 200]);
    let mut decoder = Decoder::new();
    let cut = |part: &'static [u8]| Frame { wire_len: part.len() as u32, ..frame(LinkType::RAW, &part[..72]) };
    let [first, last] = [parts[0].clone().leak(), parts[1].clone().leak()];
    assert!(matches!(decoder.decode(&cut(last)), Decoded::FragmentHeld));
    let first = cut(first);
    let segment = segment(&mut decoder, &first);
    // 72 captured bytes of the first part less 20 of IP and 32 of TCP.
    assert_eq!((segment.payload, segment.payload_len), (&payload[..20], 200));
}

#[test]
fn fragments_of_ipv6_and_within_tunnels() {
    let whole = tcp();
    let part = |offset_and_more: u16, bytes: &[u8]| {
        let [high, low] = offset_and_more.to_be_bytes();
        in_v6(44, &[&[6, 0, high, low, 0, 0, 0, 7], bytes].concat())
    };
    let inner = [part(0x0001, &whole[..24]), part(24, &whole[24..])];
    // Each part travels in a tunnel whose packets are fragmented in turn.
    let mut outer = Vec::new();
    for (id, packet) in inner.iter().enumerate() {
        for (fragment, bytes) in [(0x2000, &packet[..32]), (4, &packet[32..])] {
            let mut part = v4_part(41, fragment, bytes);
            part[5] = id as u8;
            outer.push(part);
        }
    }
    for packets in [&inner[..], &outer[..]] {
        let mut decoder = Decoder::new();
        let (last, others) = packets.split_last().unwrap();
        for packet in others {
            let held = decoder.decode(&frame(LinkType::RAW, packet));
            assert!(matches!(held, Decoded::FragmentHeld), "{held:?}");
        }
        let last = frame(LinkType::RAW, last);
        assert_eq!(segment(&mut decoder, &last).payload, PAYLOAD);
        assert_eq!(decoder.incomplete_fragments(), 0);
    }
}

#[test]
fn reassembly_is_bounded() {
    let part = |id: u16| {
        let mut part = v4_part(6, 0x2000, &[0; 32]);
        part[4..6].copy_from_slice(&id.to_be_bytes());
        part
    };
    let mut decoder = Decoder::new();
    for id in 0..limits::FRAGMENTED_DATAGRAMS as u16 + 10 {
        assert!(matches!(decoder.decode(&frame(LinkType::RAW, &part(id))), Decoded::FragmentHeld));
    }
    assert_eq!(decoder.defrag.len(), limits::FRAGMENTED_DATAGRAMS);
    assert_eq!(decoder.incomplete_fragments(), limits::FRAGMENTED_DATAGRAMS as u64 + 10);
    // All but this one are too old by now.
    let late = part(0);
    let late = Frame { time: Timestamp((limits::FRAGMENT_SECONDS + 1) * 1_000_000_000), ..frame(LinkType::RAW, &late) };
    assert!(matches!(decoder.decode(&late), Decoded::FragmentHeld));
    assert_eq!(decoder.defrag.len(), 1);
    assert_eq!(decoder.incomplete_fragments(), limits::FRAGMENTED_DATAGRAMS as u64 + 11);
}

#[test]
fn impossible_fragments() {
    let mut decoder = Decoder::new();
    let mut says = |packet: &[u8]| matches!(decoder.decode(&frame(LinkType::RAW, packet)), Decoded::Malformed(_));
    assert!(says(&v4_part(6, 0x2000, &[0; 31])), "not of 8-byte units");
    assert!(says(&v4_part(6, 0x2001, &[])), "empty");
    assert!(says(&v4_part(6, 8191, &[0; 16])), "beyond 65535");
    assert!(!says(&v4_part(6, 4, &[0; 16])), "the last part");
    assert!(says(&v4_part(6, 8 | 0x2000, &[0; 16])), "beyond the last part");
    assert!(says(&v4_part(6, 2, &[0; 16])), "another last part");
    // Nothing can come of fragments of ICMP.
    assert!(matches!(Decoder::new().decode(&frame(LinkType::RAW, &v4_part(1, 0x2000, &[0; 32]))), Decoded::NotTcp));
}

proptest! {
    #[test]
    fn no_input_panics(
        way in 0_usize..43,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        wire_len in 0_u32..2000,
    ) {
        let ways = ways_in();
        let (_, link, data, _) = &ways[way % ways.len()];
        let mut data = data.clone();
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        data.truncate(cut.index(data.len()) + 1);
        let mut decoder = Decoder::new();
        for _ in 0..2 {
            if let Decoded::Tcp(segment) = decoder.decode(&Frame { wire_len, ..frame(*link, &data) }) {
                prop_assert!(segment.payload.len() <= segment.payload_len as usize);
                prop_assert!(usize::from(segment.encapsulations) <= limits::ENCAPSULATION_DEPTH);
            }
        }
    }

    #[test]
    fn any_parts_in_any_order_make_the_whole(
        payload in prop::collection::vec(any::<u8>(), 1..400),
        sizes in prop::collection::vec((1_usize..12).prop_map(|units| units * 8), 60),
        order in any::<u64>(),
    ) {
        let mut parts: Vec<_> = parts(&payload, &sizes).into_iter().filter(|part| part.len() > 20).collect();
        prop_assume!(parts.len() > 1);
        let mut state = order | 1;
        for index in (1..parts.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            parts.swap(index, (state >> 33) as usize % (index + 1));
        }
        let mut decoder = Decoder::new();
        let (last, others) = parts.split_last().unwrap();
        for part in others {
            prop_assert!(matches!(decoder.decode(&frame(LinkType::RAW, part)), Decoded::FragmentHeld));
        }
        let last = frame(LinkType::RAW, last);
        prop_assert_eq!(segment(&mut decoder, &last).payload, &payload[..]);
    }
}
