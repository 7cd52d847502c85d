//! Properties of the wire layer: whatever is written is read as itself, whatever is read is written as it was, and nothing
//! that a sender can put in an option area stops the walk in silence.

use std::net::IpAddr;

use mptcp_inspect::crypto::{Key, Nonce, Token};
use mptcp_inspect::wire::{
    self, AddAddr, Dss, ExId, Mapping, MpCapable, MpFail, MpFastclose, MpJoin, MpPrio, MpTcprst, MptcpOption,
    RawSequence, RemoveAddr, SackBlocks, TcpOption, kind,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Reads what `option` writes: it must be the one option, `option` itself, behind any other.
fn survives(option: TcpOption<'_>) -> Result<(), TestCaseError> {
    let mut bytes = vec![kind::NO_OPERATION];
    option.emit(&mut bytes);
    let items: Vec<_> = wire::options(&bytes).collect();
    prop_assert_eq!(items.len(), 2);
    prop_assert_eq!(items[1].option, option);
    prop_assert_eq!((items[1].offset, items[1].bytes), (1, &bytes[1..]));
    Ok(())
}

fn mptcp_survives(option: MptcpOption<'_>) -> Result<(), TestCaseError> {
    survives(TcpOption::Mptcp(option))
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 8]>().prop_map(Key)
}

fn sequence() -> impl Strategy<Value = RawSequence> {
    prop_oneof![any::<u32>().prop_map(RawSequence::Short), any::<u64>().prop_map(RawSequence::Long)]
}

fn mapping() -> impl Strategy<Value = Mapping> {
    (sequence(), any::<u32>(), any::<u16>(), option::of(any::<u16>())).prop_map(|(dsn, ssn, len, checksum)| Mapping {
        dsn,
        ssn,
        len,
        checksum,
    })
}

/// The fields that come with each length.
fn capable() -> impl Strategy<Value = MpCapable> {
    (0_u8..16, any::<u8>(), key(), key(), any::<u16>(), any::<u16>(), 0..5).prop_map(
        |(version, flags, sender, receiver, data_len, checksum, fields)| MpCapable {
            version,
            flags,
            sender_key: (fields > 0).then_some(sender),
            receiver_key: (fields > 1).then_some(receiver),
            data_len: (fields > 2).then_some(data_len),
            checksum: (fields > 3).then_some(checksum),
        },
    )
}

fn join() -> impl Strategy<Value = MpJoin> {
    let nonce = || any::<u32>().prop_map(Nonce);
    prop_oneof![
        (any::<bool>(), any::<u8>(), any::<u32>(), nonce(), 0_u8..8).prop_map(
            |(backup, address_id, token, nonce, reserved)| MpJoin::Syn {
                backup,
                address_id,
                token: Token(token),
                nonce,
                reserved
            }
        ),
        (any::<bool>(), any::<u8>(), any::<[u8; 8]>(), nonce(), 0_u8..8).prop_map(
            |(backup, address_id, hmac, nonce, reserved)| MpJoin::SynAck { backup, address_id, hmac, nonce, reserved }
        ),
        (any::<[u8; 20]>(), 0_u16..0x1000).prop_map(|(hmac, reserved)| MpJoin::Ack { hmac, reserved }),
    ]
}

/// All dialects, with the reserved bits that do not make one look like another.
fn add_addr() -> impl Strategy<Value = AddAddr> {
    let announced = (any::<u8>(), any::<IpAddr>(), option::of(any::<u16>()), any::<[u8; 8]>());
    (announced, 0..4, 0_u8..8).prop_map(|((address_id, address, port, hmac), dialect, reserved)| {
        let ip_version = if address.is_ipv4() { 4 } else { 6 };
        let (low_nibble, hmac) = match dialect {
            0 => (ip_version, None),
            1 => (ip_version, Some(hmac)),
            2 => (reserved << 1, Some(hmac)),
            _ => (reserved << 1 | 1, None),
        };
        AddAddr { low_nibble, address_id, address, port, hmac }
    })
}

/// Areas that look like options: kinds and lengths that occur, beside ones that do not.
fn area() -> impl Strategy<Value = Vec<u8>> {
    let mptcp = (3_u8..31, any::<u8>(), vec(any::<u8>(), 28)).prop_map(|(length, third, mut body)| {
        body.truncate(length as usize - 3);
        [vec![kind::MPTCP, length, third], body].concat()
    });
    let other = (any::<u8>(), 2_u8..20, vec(any::<u8>(), 18)).prop_map(|(kind, length, mut body)| {
        body.truncate(length as usize - 2);
        [vec![kind, length], body].concat()
    });
    let piece = prop_oneof![4 => mptcp, 3 => other, 1 => vec(any::<u8>(), 0..6)];
    vec(piece, 0..6).prop_map(|pieces| {
        let mut area = pieces.concat();
        area.truncate(40);
        area
    })
}

/// What holds for the walk over any bytes, cut or not.
fn walk_is_sound(area: &[u8], is_cut: bool) -> Result<(), TestCaseError> {
    let mut walk = if is_cut { wire::options_cut(area) } else { wire::options(area) };
    let (mut end, mut is_over) = (0, false);
    for item in walk.by_ref() {
        prop_assert!(!is_over, "nothing follows the end");
        prop_assert_eq!(item.offset as usize, end, "options follow one another");
        prop_assert_eq!(&area[end..end + item.bytes.len()], item.bytes);
        prop_assert_eq!(item.kind, item.bytes[0]);
        end += item.bytes.len();
        prop_assert!(!item.option.name().is_empty() && !item.option.to_string().is_empty());
        match item.option.error() {
            None => {
                let mut again = Vec::new();
                item.option.emit(&mut again);
                prop_assert_eq!(&again[..], item.bytes, "written as it was: {}", item.option);
            }
            Some(error) => {
                prop_assert_eq!(error.offset, item.offset);
                prop_assert!(!error.to_string().is_empty());
                prop_assert!(is_cut || !error.is_cut());
                is_over = error.ends_walk();
            }
        }
        is_over |= item.option == TcpOption::EndOfList;
    }
    prop_assert_eq!(end + walk.padding().len(), area.len(), "every byte is accounted for");
    prop_assert_eq!(walk.next(), None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn mp_capable(capable in capable()) {
        mptcp_survives(MptcpOption::MpCapable(capable))?;
    }

    #[test]
    fn mp_join(join in join()) {
        mptcp_survives(MptcpOption::MpJoin(join))?;
    }

    #[test]
    fn dss(ack in option::of(sequence()), map in option::of(mapping()), fin: bool, high in 0_u8..8, reserved in 0_u8..16) {
        let mut dss = Dss::new(ack, map, fin);
        dss.flags |= high << 5;
        dss.reserved = reserved;
        mptcp_survives(MptcpOption::Dss(dss))?;
    }

    #[test]
    fn announcements(add_addr in add_addr()) {
        mptcp_survives(MptcpOption::AddAddr(add_addr))?;
    }

    #[test]
    fn removals(ids in vec(any::<u8>(), 1..37), reserved in 0_u8..16) {
        mptcp_survives(MptcpOption::RemoveAddr(RemoveAddr { ids: &ids, reserved }))?;
    }

    #[test]
    fn mp_prio(backup: bool, address_id in option::of(any::<u8>()), reserved in 0_u8..8) {
        mptcp_survives(MptcpOption::MpPrio(MpPrio { backup, address_id, reserved }))?;
    }

    #[test]
    fn ends(dsn: u64, key in key(), reserved in 0_u16..0x1000, flags in 0_u8..16, reason: u8) {
        mptcp_survives(MptcpOption::MpFail(MpFail { dsn, reserved }))?;
        mptcp_survives(MptcpOption::MpFastclose(MpFastclose { key, reserved }))?;
        mptcp_survives(MptcpOption::MpTcprst(MpTcprst { flags, reason }))?;
    }

    #[test]
    fn plain_tcp_options(size: u16, shift: u8, value: u32, echo_reply: u32, minutes: bool, timeout in 0_u16..0x8000) {
        survives(TcpOption::MaximumSegmentSize(size))?;
        survives(TcpOption::WindowScale(shift))?;
        survives(TcpOption::SackPermitted)?;
        survives(TcpOption::NoOperation)?;
        survives(TcpOption::EndOfList)?;
        survives(TcpOption::Timestamps { value, echo_reply })?;
        survives(TcpOption::UserTimeout { minutes, timeout })?;
    }

    #[test]
    fn tcp_options_with_bytes(bytes in vec(any::<u8>(), 0..34), blocks in vec(any::<[u8; 8]>(), 1..5), key_id: u8) {
        let data = &bytes[..];
        for kind in [kind::FAST_OPEN, kind::EXPERIMENTAL_1, kind::EXPERIMENTAL_2] {
            survives(TcpOption::FastOpen { kind, cookie: data })?;
        }
        survives(TcpOption::AuthenticationOption { key_id, r_next_key_id: key_id ^ 0xff, mac: data })?;
        survives(TcpOption::Experimental { kind: 253, exid: ExId::Short(0xacce), data })?;
        survives(TcpOption::Experimental { kind: 254, exid: ExId::Long(0xe2d4_c3d9), data })?;
        survives(TcpOption::Obsolete { kind: 6, name: "ECHO", data })?;
        survives(TcpOption::Unknown { kind: 99, data })?;
        let blocks = blocks.concat();
        survives(TcpOption::Sack(SackBlocks::new(&blocks).expect("whole blocks")))?;
        let digest = &blocks[..blocks.len() / 16 * 16];
        if digest.len() == 16 {
            survives(TcpOption::Md5Signature(digest))?;
        }
    }

    #[test]
    fn any_bytes_are_walked(bytes in vec(any::<u8>(), 0..41), is_cut: bool) {
        walk_is_sound(&bytes, is_cut)?;
    }

    #[test]
    fn likely_bytes_are_walked(bytes in area(), is_cut: bool) {
        walk_is_sound(&bytes, is_cut)?;
    }

    /// Cutting a well-formed area never makes its sender guilty of anything new.
    #[test]
    fn a_cut_accuses_no_one(bytes in area(), kept in 0_usize..41) {
        let whole: Vec<_> = wire::options(&bytes).collect();
        let kept = kept.min(bytes.len());
        for (item, original) in wire::options_cut(&bytes[..kept]).zip(whole) {
            let is_cut = item.option.error().is_some_and(wire::WireError::is_cut);
            prop_assert!(is_cut || item == original || original.option.error().is_some_and(wire::WireError::ends_walk));
        }
    }
}
