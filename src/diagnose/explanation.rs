//! What there is to say of a finding whatever the connection.

use crate::model::Severity;

/// The documentation of one finding id.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The finding's id, kebab-case.
    pub id: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it means to a user.
    pub meaning: &'static str,
    /// Which packets show it.
    pub detection: &'static str,
    /// What to look at or to try; empty where there is nothing honest to say.
    pub advice: &'static str,
    /// RFC sections, e.g. `8684 §3.2`; empty where none applies.
    pub rfc: &'static str,
    /// The Linux counter that the same event raises.
    pub counter: Option<&'static str>,
}
