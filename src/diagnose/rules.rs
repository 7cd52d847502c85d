//! The findings: their ids, and what there is to say about each. `mptcp-inspect explain` prints this, and the table in the
//! documentation is made from it.

use crate::report::explain::Explanation;

/// All findings, by id.
pub const ALL: &[&Explanation] = &[];
