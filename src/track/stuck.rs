//! What is sent again and again, and never acknowledged.

use super::mark::Moment;

/// The same bytes, sent again and again.
#[derive(Clone, Copy, Debug)]
pub struct Stuck {
    /// How far the peer had acknowledged.
    pub at: u64,
    /// The first repeat.
    pub first: Moment,
    /// The latest.
    pub last: Moment,
    /// How many.
    pub times: u32,
}

impl Stuck {
    /// Takes note of a repeat of what lies behind `at`.
    #[cold]
    pub(super) fn note(slot: &mut Option<Self>, at: u64, now: Moment) {
        match slot.as_mut().filter(|stuck| stuck.at == at) {
            Some(stuck) => {
                stuck.last = now;
                stuck.times += 1;
            }
            None => *slot = Some(Self { at, first: now, last: now, times: 1 }),
        }
    }
}
