//! Helpers of this layer's tests.

use super::{MptcpOption, TcpOption, options};

/// The one MPTCP option that `bytes` are, seen to be written again byte for byte.
pub(super) fn mptcp(bytes: &[u8]) -> MptcpOption<'_> {
    let mut walk = options(bytes);
    let item = walk.next().expect("an option");
    assert!(walk.next().is_none(), "one option");
    let TcpOption::Mptcp(option) = item.option else { panic!("not MPTCP: {item:?}") };
    let mut again = Vec::new();
    option.emit(&mut again);
    assert_eq!(again, bytes, "{option}");
    option
}

/// What is said of `bytes`, one malformed MPTCP option.
pub(super) fn complaint(bytes: &[u8]) -> String {
    match mptcp(bytes) {
        MptcpOption::Malformed { error, .. } => error.to_string(),
        option => panic!("not malformed: {option}"),
    }
}

/// An option of `length` bytes: kind 30, the length, then `start`, then zeros.
pub(super) fn stretched(length: u8, start: &[u8]) -> Vec<u8> {
    let mut bytes = [&[30, length], start].concat();
    bytes.resize(length as usize, 0);
    bytes
}
