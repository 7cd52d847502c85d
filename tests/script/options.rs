//! The options that scripts send: of the version that the test's thread speaks, with the keys that all scripts have.

use mptcp_inspect::crypto::auth::add_addr_hmac;
use mptcp_inspect::crypto::{Key, Nonce, Suite, Token, identify};
use mptcp_inspect::track::side::Side;
use mptcp_inspect::wire::{
    AddAddr, Dss, Mapping, MpCapable, MpFail, MpFastclose, MpJoin, MpPrio, MpTcprst, MptcpOption, RawSequence,
    RemoveAddr, TcpOption,
};

use super::{CLIENT_KEY, SERVER_KEY, VERSION};

pub(super) fn suite() -> Suite {
    if VERSION.get() == 0 { Suite::Sha1 } else { Suite::Sha256 }
}

pub(super) fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}

pub(crate) fn key_of(side: Side) -> Key {
    if side == Side::Client { CLIENT_KEY } else { SERVER_KEY }
}

/// DSN of the byte at `offset` of what `side` sends.
pub(crate) fn dsn(side: Side, offset: u64) -> u64 {
    identify(suite(), key_of(side)).idsn.wrapping_add(1 + offset)
}

pub(crate) fn capable(flags: u8, sender_key: Option<Key>, receiver_key: Option<Key>) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpCapable(MpCapable {
        version: VERSION.get(),
        flags,
        sender_key,
        receiver_key,
        data_len: None,
        checksum: None,
    }))
}

/// MP_CAPABLE of the client's first data in version 1.
pub(crate) fn first_data(len: u16) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpCapable(MpCapable {
        version: 1,
        flags: 1,
        sender_key: Some(CLIENT_KEY),
        receiver_key: Some(SERVER_KEY),
        data_len: Some(len),
        checksum: None,
    }))
}

/// MP_CAPABLE of SYN, SYN/ACK and third ACK. In version 0 the SYN has the client's key.
pub(crate) fn handshake() -> (TcpOption<'static>, TcpOption<'static>, TcpOption<'static>) {
    let shown = (VERSION.get() == 0).then_some(CLIENT_KEY);
    (capable(1, shown, None), capable(1, Some(SERVER_KEY), None), capable(1, Some(CLIENT_KEY), Some(SERVER_KEY)))
}

/// MP_JOIN of a SYN that names this token.
pub(crate) fn join_syn_of(token: u32) -> TcpOption<'static> {
    let (token, nonce) = (Token(token), Nonce(9));
    TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::Syn { backup: false, address_id: 2, token, nonce, reserved: 0 }))
}

/// A DSS with a mapping of what `side` sends.
pub(crate) fn mapping(side: Side, offset: u64, ssn: u32, len: u16, checksum: Option<u16>) -> TcpOption<'static> {
    let mapping = Some(Mapping { dsn: RawSequence::Long(dsn(side, offset)), ssn, len, checksum });
    TcpOption::Mptcp(MptcpOption::Dss(Dss { flags: 0x0c, reserved: 0, data_ack: None, mapping }))
}

/// An infinite mapping of what `side` sends from `offset` on.
pub(crate) fn infinite(side: Side, offset: u64, ssn: u32) -> TcpOption<'static> {
    mapping(side, offset, ssn, 0, None)
}

/// A DATA_FIN of `side` behind this many bytes, without data.
pub(crate) fn data_fin(side: Side, offset: u64) -> TcpOption<'static> {
    let mapping = Some(Mapping { dsn: RawSequence::Long(dsn(side, offset)), ssn: 0, len: 1, checksum: None });
    TcpOption::Mptcp(MptcpOption::Dss(Dss::new(None, mapping, true)))
}

/// A DSS that acknowledges what `side` sent, up to `offset`.
pub(crate) fn data_ack(side: Side, offset: u64) -> TcpOption<'static> {
    let data_ack = Some(RawSequence::Long(dsn(side, offset)));
    TcpOption::Mptcp(MptcpOption::Dss(Dss { flags: 0x03, reserved: 0, data_ack, mapping: None }))
}

pub(crate) fn reason(reason: u8) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpTcprst(MpTcprst { flags: 0, reason }))
}

pub(crate) fn fail(dsn: u64) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpFail(MpFail { dsn, reserved: 0 }))
}

pub(crate) fn fastclose(key: Key) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpFastclose(MpFastclose { key, reserved: 0 }))
}

/// MP_PRIO of the subflow that carries it.
pub(crate) fn prio(backup: bool) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpPrio(MpPrio { backup, address_id: None, reserved: 0 }))
}

pub(crate) fn remove(ids: &'static [u8]) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::RemoveAddr(RemoveAddr { ids, reserved: 0 }))
}

pub(crate) fn priority(backup: bool) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpPrio(MpPrio { backup, address_id: None, reserved: 0 }))
}

/// The server announces an address with the HMAC that `key` makes.
pub(crate) fn announce(id: u8, address: [u8; 4], port: Option<u16>, key: Key) -> TcpOption<'static> {
    let hmac = Some(add_addr_hmac(Suite::Sha256, key, CLIENT_KEY, id, address.into(), port));
    add_addr(id, address, port, hmac, 0)
}

/// The server announces an address as version 0 does, or with the HMAC of the draft of version 1.
pub(crate) fn announce_0(id: u8, address: [u8; 4], with_hmac: bool) -> TcpOption<'static> {
    add_addr(id, address, None, with_hmac.then_some([0; 8]), 4)
}

/// The client confirms it.
pub(crate) fn echo(id: u8, address: [u8; 4], port: Option<u16>) -> TcpOption<'static> {
    add_addr(id, address, port, None, 1)
}

fn add_addr(id: u8, address: [u8; 4], port: Option<u16>, hmac: Option<[u8; 8]>, low_nibble: u8) -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::AddAddr(AddAddr { low_nibble, address_id: id, address: address.into(), port, hmac }))
}
