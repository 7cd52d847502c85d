//! One stream, put in order.

use mptcp_inspect::extract::stream::{MappingName, Part, Stream};
use mptcp_inspect::track::observer::Judgement::{Again, First, Neither, Unknown};

use crate::memory::{LIMIT, finish, memory};

fn plain(offset: i64, bytes: &[u8]) -> Part<'_> {
    Part { offset, bytes, mapping: None, anchored: true, again: false, intact: None, refused: false }
}

fn mapped(subflow: u16, offset: i64, bytes: &[u8]) -> Part<'_> {
    Part { mapping: Some(name(subflow, offset, bytes)), ..plain(offset, bytes) }
}

fn name(subflow: u16, offset: i64, bytes: &[u8]) -> MappingName {
    MappingName { subflow, offset, len: bytes.len() as u32 }
}

#[test]
fn a_hole_is_zeros_and_listed() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(0, b"abc"), LIMIT, &mut sink);
    stream.insert(plain(5, b"fg"), LIMIT, &mut sink);
    assert_eq!(sink.bytes, b"abc", "what follows a hole waits");
    let outcome = finish(stream, Some(9), &mut sink);
    assert_eq!(sink.bytes, b"abc\0\0fg");
    assert_eq!(outcome.holes.list, [(3, 2), (7, 2)]);
    assert_eq!((outcome.holes.bytes, outcome.unfilled), (4, 2), "none is filled behind the last byte");
}

#[test]
fn a_hole_too_large_to_fill_is_left_out() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(0, b"abc"), LIMIT, &mut sink);
    stream.insert(plain(1 << 40, b"x"), LIMIT, &mut sink);
    stream.insert(plain((1 << 40) + 1, b"y"), LIMIT, &mut sink);
    let outcome = finish(stream, None, &mut sink);
    assert_eq!(sink.bytes, b"abcxy");
    assert_eq!(outcome.holes.list, [(3, (1 << 40) - 3)]);
    assert_eq!(outcome.unfilled, (1 << 40) - 3);
}

#[test]
fn the_front_of_a_full_buffer_goes_out() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(4, &[1; 600]), 1000, &mut sink);
    assert!(sink.bytes.is_empty());
    stream.insert(plain(604, &[2; 600]), 1000, &mut sink);
    assert_eq!(sink.bytes.len(), 4 + 1200, "the hole, and what waited behind it");
    assert!(stream.held() <= 1000);
    assert_eq!(finish(stream, None, &mut sink).holes.list, [(0, 4)]);
}

#[test]
fn the_copy_with_the_right_checksum_wins() {
    for verdicts in [[(1, Neither), (0, First)], [(0, First), (1, Neither)]] {
        let (mut stream, mut sink) = (Stream::default(), memory());
        stream.insert(mapped(1, 0, b"wrong bytes"), LIMIT, &mut sink);
        stream.insert(mapped(0, 0, b"right bytes"), LIMIT, &mut sink);
        assert!(sink.bytes.is_empty(), "nothing goes out before its checksum is known");
        for (subflow, judgement) in verdicts {
            stream.checked(name(subflow, 0, b"right bytes"), judgement, LIMIT, &mut sink);
        }
        assert_eq!(sink.bytes, b"right bytes");
        let outcome = finish(stream, Some(11), &mut sink);
        assert_eq!(outcome.differing.list, [(0, 5)]);
        assert_eq!((outcome.verified, outcome.wrong.bytes), (11, 0));
    }
}

#[test]
fn wrong_bytes_wait_for_a_right_copy_and_go_out_without_one() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(mapped(1, 0, b"wrong!"), LIMIT, &mut sink);
    stream.checked(name(1, 0, b"wrong!"), Neither, LIMIT, &mut sink);
    stream.insert(plain(6, b" and more"), LIMIT, &mut sink);
    assert!(sink.bytes.is_empty());
    // Another subflow brings the second half of them.
    stream.insert(mapped(0, 3, b"ht!"), LIMIT, &mut sink);
    stream.checked(name(0, 3, b"ht!"), First, LIMIT, &mut sink);
    let outcome = finish(stream, Some(15), &mut sink);
    assert_eq!(sink.bytes, b"wroht! and more");
    assert_eq!(outcome.wrong.list, [(0, 3)]);
    assert_eq!((outcome.differing.list, outcome.verified), (vec![(3, 2)], 3));
}

/// A copy that TCP sent again counts where the checksum says so, before or after it called the first wrong.
#[test]
fn of_what_tcp_sent_again_the_checksum_tells_which_is_right() {
    let again = |bytes| Part { again: true, ..mapped(0, 3, bytes) };
    let whole = name(0, 0, b"abcdefghi");
    let first = |bytes| Part { mapping: Some(whole), ..plain(0, bytes) };
    for (judgements, written, verified, wrong) in [
        (vec![First], &b"abcXXXghi"[..], 9, 0),
        (vec![Again], b"abcdefghi", 9, 0),
        (vec![Neither, Again], b"abcdefghi", 9, 0),
        (vec![Neither], b"abcXXXghi", 0, 9),
        (vec![Unknown], b"abcXXXghi", 0, 0),
    ] {
        let (mut stream, mut sink) = (Stream::default(), memory());
        stream.insert(first(b"abcXXXghi"), LIMIT, &mut sink);
        stream.insert(Part { mapping: Some(whole), ..again(b"def") }, LIMIT, &mut sink);
        for judgement in judgements {
            stream.checked(whole, judgement, LIMIT, &mut sink);
        }
        let outcome = finish(stream, Some(9), &mut sink);
        assert_eq!(sink.bytes, written);
        assert_eq!((outcome.verified, outcome.wrong.bytes), (verified, wrong));
        assert_eq!(outcome.differing.list, [(3, 3)]);
    }
}

#[test]
fn late_copies_are_compared_with_what_was_written() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(-2, b"TF"), LIMIT, &mut sink);
    stream.insert(plain(0, b"abcdef"), LIMIT, &mut sink);
    stream.insert(plain(2, b"cdef"), LIMIT, &mut sink);
    stream.insert(plain(3, b"dXfgh"), LIMIT, &mut sink);
    let outcome = finish(stream, Some(8), &mut sink);
    assert_eq!(sink.bytes, b"TFabcdefgh");
    assert_eq!((outcome.differing.list, outcome.fast_open), (vec![(6, 1)], 2));
}

#[test]
fn a_stream_without_beginning_waits_for_earlier_bytes() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    let part = |offset, bytes| Part { anchored: false, ..plain(offset, bytes) };
    stream.insert(part(0, b"later"), LIMIT, &mut sink);
    stream.insert(part(-6, b"sooner"), LIMIT, &mut sink);
    let outcome = finish(stream, None, &mut sink);
    assert_eq!(sink.bytes, b"soonerlater");
    assert_eq!((outcome.holes.bytes, outcome.before_start), (0, 0));
}
