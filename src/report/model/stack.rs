//! What the traffic shows of the settings of both ends.

use serde::Serialize;

/// What the traffic shows of the settings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stack {
    /// Which subflows each end opens.
    pub path_manager: Option<serde_json::Value>,
    /// How each end spreads data.
    pub scheduler: Option<serde_json::Value>,
}
