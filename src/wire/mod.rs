//! TCP options as typed values: bytes in, values out, and back. Pure, without state and without allocation.
//!
//! [`options`] walks an option area; each [`Item`] holds a [`TcpOption`], and that perhaps an [`MptcpOption`]. Nothing here
//! fails: what cannot be read is an item that says why. Reserved bits are kept, so that what was read can be written again
//! byte for byte with `emit`.
//!
//! The way from the walk to a DSS, which every segment takes, is inlined by force: left to the compiler, an item is copied
//! at each return, and walking NOP, NOP, timestamps and DSS takes 100 ns instead of 45.
//!
//! | subtype | type | RFC 8684 | RFC 6824 |
//! |---|---|---|---|
//! | 0x0 | [`MpCapable`] | §3.1 | §3.1 |
//! | 0x1 | [`MpJoin`] | §3.2 | §3.2 |
//! | 0x2 | [`Dss`] | §3.3 | §3.3 |
//! | 0x3 | [`AddAddr`] | §3.4.1 | §3.4.1, other layout |
//! | 0x4 | [`RemoveAddr`] | §3.4.2 | §3.4.2 |
//! | 0x5 | [`MpPrio`] | §3.3.8 | §3.3.8, with address id |
//! | 0x6 | [`MpFail`] | §3.7 | §3.6 |
//! | 0x7 | [`MpFastclose`] | §3.5 | §3.5 |
//! | 0x8 | [`MpTcprst`] | §3.6 | – |
//! | 0xf | [`MptcpOption::Unknown`] | §7.2 | – |

mod add_addr;
mod be;
mod dss;
mod error;
mod experimental;
mod hex;
pub mod kind;
mod mp_capable;
mod mp_fail;
mod mp_fastclose;
mod mp_join;
mod mp_prio;
mod mp_tcprst;
mod mptcp_option;
mod remove_addr;
mod subtype;
mod tcp_option;
mod tcp_options;
#[cfg(test)]
mod testing;

pub use add_addr::{AddAddr, AddAddrForm};
pub use dss::{Dss, Mapping, RawSequence};
pub use error::{Lengths, What, WireError, WireErrorKind};
pub use experimental::ExId;
pub use hex::Hex;
pub use mp_capable::MpCapable;
pub use mp_fail::MpFail;
pub use mp_fastclose::MpFastclose;
pub use mp_join::MpJoin;
pub use mp_prio::MpPrio;
pub use mp_tcprst::{MpTcprst, ResetReason};
pub use mptcp_option::MptcpOption;
pub use remove_addr::RemoveAddr;
pub use subtype::Subtype;
pub use tcp_option::{SackBlocks, TcpOption};
pub use tcp_options::{Item, TcpOptions, options, options_cut, pad_to_words};
