//! What is known of one end's identity: its key, and from it token and IDSN.

use super::mark::Mark;
use super::sparse::Sparse;
use crate::crypto::{Identity, Key, Suite, Token, identify};
use crate::limits;
use crate::wire::{AddAddrForm, RawSequence};

/// Which rules a connection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Version 0.
    Rfc6824,
    /// Version 1.
    Rfc8684,
    /// Version nibble 1 on version 0 formats (multipath-tcp.org kernels with `mptcp_version=1`).
    DraftV1,
}

impl Dialect {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rfc6824 => "rfc6824",
            Self::Rfc8684 => "rfc8684",
            Self::DraftV1 => "draft-v1",
        }
    }

    /// Its hash.
    pub fn suite(self) -> Suite {
        match self {
            Self::Rfc6824 | Self::DraftV1 => Suite::Sha1,
            Self::Rfc8684 => Suite::Sha256,
        }
    }

    /// Whether an ADD_ADDR in this form can be read by these rules: version 0 has no HMAC and names the IP version, version 1
    /// has an HMAC unless it is an echo (RFC 6824 §3.4.1, RFC 8684 §3.4.1).
    pub fn has_form(self, form: AddAddrForm) -> bool {
        match self {
            Self::Rfc6824 => form == AddAddrForm::V0,
            Self::Rfc8684 => form != AddAddrForm::V0,
            Self::DraftV1 => true,
        }
    }

    /// Whether the kernel of multipath-tcp.org speaks it, and no other Linux does. It gives no reasons for a RST, echoes no
    /// ADD_ADDR, and has path managers of its own.
    pub fn is_multipath_tcp_orgs(self) -> bool {
        matches!(self, Self::Rfc6824 | Self::DraftV1)
    }

    /// The version on the wire.
    pub fn version(self) -> u8 {
        match self {
            Self::Rfc6824 => 0,
            Self::Rfc8684 | Self::DraftV1 => 1,
        }
    }
}

/// Where a key was learnt, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeySource {
    /// Given with `--key`.
    CommandLine,
    /// Shown by MP_FASTCLOSE.
    Fastclose,
    /// The SYN or SYN/ACK of the handshake.
    Handshake,
    /// The third ACK or first data: authoritative (RFC 8684 §3.1).
    Acknowledged,
}

impl KeySource {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommandLine => "command_line",
            Self::Fastclose => "mp_fastclose",
            Self::Handshake | Self::Acknowledged => "mp_capable",
        }
    }
}

/// A key and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: Key,
    /// Token and IDSN.
    pub identity: Identity,
    /// Where it was learnt.
    pub source: KeySource,
    /// The frame that showed it; none for one given by hand.
    pub frame: Option<Mark>,
}

/// Everything known of one end's identity.
#[derive(Clone, Debug, Default)]
pub struct EndIdentity {
    /// The key taken for right.
    pub key: Option<KnownKey>,
    /// Other keys shown for the same end.
    pub others: Sparse<OtherKeys>,
    /// A first data sequence number or join HMAC has proven `key`: no later one displaces it.
    pub proven: bool,
    /// Its token as a join named it, where the key is unknown.
    pub token_named: Option<Token>,
    /// Flags of its MP_CAPABLE.
    pub flags: Option<u8>,
}

/// Keys shown for an end that are not taken for its own.
#[derive(Clone, Debug, Default)]
pub struct OtherKeys {
    /// Those keys, in the order in which they were shown.
    pub known: Vec<KnownKey>,
    /// The token of a key that was the end's and found no room among them: the table of tokens is to forget it.
    pub(crate) dropped: Option<Token>,
}

super::sparse::empty! { OtherKeys = OtherKeys { known: Vec::new(), dropped: None }; }

/// DSNs less than this behind an IDSN are of its stream: those of other keys lie nearer with a chance of one in 2^24.
pub(in crate::track) const NEAR: u64 = 1 << 40;

/// What a key that was shown changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing: it is the known one, or weaker than it.
    Nothing,
    /// It is the end's key now.
    Changed,
    /// It contradicts a proven or authoritative key and was set aside.
    Rejected,
}

impl EndIdentity {
    pub(super) fn heap_bytes(&self) -> usize {
        self.others.own_bytes() + self.others.known.capacity() * size_of::<KnownKey>()
    }

    /// Takes note of a key.
    pub fn learn(&mut self, key: Key, suite: Suite, source: KeySource, frame: Option<Mark>) -> Learned {
        match &mut self.key {
            Some(known) if known.key == key => {
                known.source = known.source.max(source);
                Learned::Nothing
            }
            Some(known)
                if self.proven
                    || source < known.source
                    || (source == known.source && source == KeySource::Acknowledged) =>
            {
                self.keep_other(KnownKey { key, identity: identify(suite, key), source, frame });
                Learned::Rejected
            }
            _ => {
                let new = KnownKey { key, identity: identify(suite, key), source, frame };
                if let Some(old) = self.key.replace(new) {
                    self.keep_other(old);
                    if !self.others.known.iter().any(|known| known.key == old.key) {
                        self.others.dropped = Some(old.identity.token);
                    }
                }
                Learned::Changed
            }
        }
    }

    /// The hash is another than was thought: the keys stay, what follows from them does not.
    pub(super) fn identify_anew(&mut self, suite: Suite) {
        if let Some(known) = &mut self.key {
            self.others.dropped = Some(known.identity.token);
            known.identity = identify(suite, known.key);
        }
        for known in self.others.written().into_iter().flat_map(|others| &mut others.known) {
            known.identity = identify(suite, known.key);
        }
    }

    fn keep_other(&mut self, other: KnownKey) {
        if self.others.known.len() < limits::OTHER_KEYS && !self.others.known.iter().any(|known| known.key == other.key)
        {
            self.others.known.push(other);
        }
    }

    /// A first data sequence number was seen: it proves the key whose IDSN it follows. True if that changed the key.
    pub fn prove_by_dsn(&mut self, first: RawSequence) -> bool {
        let follows = |known: &KnownKey| first.is_of(known.identity.first_dsn());
        if self.proven || self.key.is_none() {
            return false;
        }
        if self.key.as_ref().is_some_and(follows) {
            self.proven = true;
            return false;
        }
        self.take_other(follows)
    }

    /// A DSN or DATA_ACK was seen that is nowhere near the IDSN of the key: it proves another key that has it near. True if that
    /// changed the key.
    #[cold]
    pub fn prove_by_reach(&mut self, number: RawSequence) -> bool {
        let RawSequence::Long(dsn) = number else { return false };
        !self.proven && self.take_other(|known| dsn.wrapping_sub(known.identity.idsn) < NEAR)
    }

    /// The key is another one that was shown.
    fn take_other(&mut self, is_right: impl Fn(&KnownKey) -> bool) -> bool {
        let Some(at) = self.others.known.iter().position(is_right) else { return false };
        let right = self.others.known.swap_remove(at);
        if let Some(wrong) = self.key.replace(right) {
            self.others.known.push(wrong);
        }
        self.proven = true;
        true
    }

    /// Token: from the key, or as a join named it.
    pub fn token(&self) -> Option<Token> {
        self.key.map(|known| known.identity.token).or(self.token_named)
    }
}
