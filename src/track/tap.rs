//! Taps: where segments were captured, and whether one was seen at another tap before.

use hashbrown::HashMap;

use crate::frame::Frame;
use crate::limits;
use crate::packet::Segment;

/// The taps of a run, numbered as they show.
#[derive(Default)]
pub(crate) struct Taps {
    ids: HashMap<(u32, u32), u16, foldhash::fast::RandomState>,
    taps: Vec<Tap>,
    last: Option<((u32, u32), u16)>,
}

/// One tap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    pub(crate) input: u16,
}

impl Taps {
    /// The tap of a segment: input, interface, and for SLL2 the interface that the header names.
    #[inline]
    pub(crate) fn of(&mut self, frame: &Frame<'_>, segment: &Segment<'_>) -> u16 {
        let key = (u32::from(frame.id.input) << 16 | u32::from(frame.interface), segment.tap.interface_index);
        match self.last {
            Some((last, id)) if last == key => id,
            _ => self.look_up(key, frame.id.input),
        }
    }

    fn look_up(&mut self, key: (u32, u32), input: u16) -> u16 {
        let id = match self.ids.get(&key) {
            Some(&id) => id,
            None if self.taps.len() < limits::TAPS => {
                let id = self.taps.len() as u16;
                self.taps.push(Tap { input });
                self.ids.insert(key, id);
                id
            }
            None => 0,
        };
        self.last = Some((key, id));
        id
    }

    /// The input of a tap.
    pub(crate) fn input(&self, tap: u16) -> u16 {
        self.taps.get(usize::from(tap)).map_or(0, |tap| tap.input)
    }
}

/// Segments a set holds: a copy is found unless this many newer ones fell into its set.
const WAYS: usize = 4;
const SETS: usize = limits::RECENT_SEGMENTS / WAYS;

/// Fingerprints of recent segments.
pub(crate) struct Recent {
    /// Each set is one cache line; in a set the newest is first.
    sets: Box<[[Slot; WAYS]; SETS]>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    fingerprint: u64,
    tap: u16,
    packet_type: u8,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { sets: Box::new([[Slot::default(); WAYS]; SETS]) }
    }

    /// Whether this segment of flow `owner` was seen before at another tap, or twice at this one. A sender gives each
    /// IPv4 packet its own identification, so the same one with the same sequence numbers is the same packet. Where there
    /// is none (IPv6, or 0), only another tap or another direction through the capturing host makes it a copy.
    #[inline]
    pub(crate) fn is_copy(
        &mut self,
        owner: u64,
        segment: &Segment<'_>,
        timestamps: Option<(u32, u32)>,
        tap: u16,
    ) -> bool {
        let (value, echo) = timestamps.unwrap_or((0, 0));
        let words = [
            owner,
            u64::from(segment.seq) << 32 | u64::from(segment.ack),
            u64::from(segment.ip_id) << 48 | u64::from(segment.flags.0) << 40 | u64::from(segment.payload_len),
            u64::from(value) << 32 | u64::from(echo),
            u64::from(segment.window),
        ];
        let mut fingerprint = 0x9e37_79b9_7f4a_7c15u64;
        for word in words {
            let product = u128::from(fingerprint ^ word) * 0x2d35_8dcc_aa6c_78a5_u128;
            fingerprint = (product as u64) ^ ((product >> 64) as u64) ^ word.rotate_left(29);
        }
        let Some(set) = self.sets.get_mut((fingerprint >> 40) as usize % SETS) else { return false };
        let packet_type = segment.tap.packet_type;
        let seen = set.iter().find(|slot| slot.fingerprint == fingerprint);
        let copy = seen.is_some_and(|slot| slot.tap != tap || slot.packet_type != packet_type || segment.ip_id != 0);
        if !copy {
            set.rotate_right(1);
            if let Some(first) = set.first_mut() {
                *first = Slot { fingerprint, tap, packet_type };
            }
        }
        copy
    }
}
