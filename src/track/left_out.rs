//! What limits left out of a connection's lists, so that the report can say so.

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Joins beyond [`SUBFLOWS`](crate::limits::SUBFLOWS): their segments belong to no connection.
    pub subflows: u64,
    /// Announcements beyond [`ADDRESSES`](crate::limits::ADDRESSES).
    pub addresses: u64,
    /// Ids in REMOVE_ADDR beyond [`ADDRESSES`](crate::limits::ADDRESSES).
    pub removals: u64,
    /// Changes of priority beyond [`ADDRESSES`](crate::limits::ADDRESSES), over all subflows.
    pub priority_changes: u64,
    /// Moves of data from a silent path beyond [`HANDOVERS`](crate::limits::HANDOVERS).
    pub handovers: u64,
    /// Breaches of the rules beyond [`ANOMALIES`](crate::limits::ANOMALIES): findings that are not made.
    pub anomalies: u64,
    /// Other 4-tuples of a subflow beyond [`ALIASES`](crate::limits::ALIASES).
    pub tuples: u64,
}

impl LeftOut {
    /// Nothing.
    pub(crate) const NOTHING: Self =
        Self { subflows: 0, addresses: 0, removals: 0, priority_changes: 0, handovers: 0, anomalies: 0, tuples: 0 };

    /// Adds what was left out of another connection, now part of this one.
    pub fn absorb(&mut self, other: &Self) {
        let Self { subflows, addresses, removals, priority_changes, handovers, anomalies, tuples } = other;
        self.subflows += subflows;
        self.addresses += addresses;
        self.removals += removals;
        self.priority_changes += priority_changes;
        self.handovers += handovers;
        self.anomalies += anomalies;
        self.tuples += tuples;
    }
}
