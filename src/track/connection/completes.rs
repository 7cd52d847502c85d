//! What one segment completes.

use crate::track::mapping::Complete;

/// Mappings that one segment completed: one, or a few where it spans several.
#[derive(Default)]
pub(super) struct Completes {
    first: Option<Complete>,
    more: Vec<Complete>,
}

impl Completes {
    #[inline]
    pub(super) fn push(&mut self, complete: Complete) {
        if self.first.is_none() {
            self.first = Some(complete);
        } else {
            self.more.push(complete);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Complete> {
        self.first.iter().chain(&self.more)
    }
}
