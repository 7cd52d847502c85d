//! The three outcomes of a check: what was not checked never looks like what was.

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Recomputed and equal; names the variant of the algorithm where there are several in the field.
    Verified(Option<&'static str>),
    /// Recomputed and different.
    Mismatch {
        /// What it should have been.
        expected: Tag,
        /// What the packet holds.
        seen: Tag,
    },
    /// Could not be recomputed.
    Unverifiable(Why),
}

impl Verdict {
    /// Compares a recomputed value with the packet's.
    pub fn compare(expected: &[u8], seen: &[u8]) -> Self {
        if expected == seen {
            Self::Verified(None)
        } else {
            Self::Mismatch { expected: Tag::new(expected), seen: Tag::new(seen) }
        }
    }

    /// Whether it is [`Verdict::Verified`].
    pub fn is_verified(&self) -> bool {
        matches!(self, Self::Verified(_))
    }

    /// Whether it is [`Verdict::Mismatch`].
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Mismatch { .. })
    }
}

/// Why a check could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A key is not in the capture.
    KeysNotSeen,
    /// A nonce is not in the capture.
    NonceNotSeen,
    /// The connection that a join belongs to is not in the capture.
    ConnectionNotSeen,
    /// The snaplen cut what would be checked.
    PayloadCut,
    /// The segments that hold it were not captured.
    SegmentsMissing,
    /// The ends did not agree to use it.
    NotNegotiated,
    /// A limit pushed out what would be needed.
    Evicted,
}

impl Why {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeysNotSeen => "keys_not_seen",
            Self::NonceNotSeen => "nonce_not_seen",
            Self::ConnectionNotSeen => "connection_not_seen",
            Self::PayloadCut => "payload_cut",
            Self::SegmentsMissing => "segments_missing",
            Self::NotNegotiated => "not_negotiated",
            Self::Evicted => "evicted",
        }
    }
}

/// Up to 20 bytes: the longest HMAC on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    len: u8,
    bytes: [u8; 20],
}

impl Tag {
    /// Keeps the first 20 bytes.
    pub fn new(from: &[u8]) -> Self {
        let mut bytes = [0; 20];
        let len = from.len().min(20);
        for (to, byte) in bytes.iter_mut().zip(from) {
            *to = *byte;
        }
        Self { len: len as u8, bytes }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
