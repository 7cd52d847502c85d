//! Connections written down segment by segment: each finding that no capture shows, and what looks like it and is not.

mod addresses;
mod between;
mod counters;
mod data;
mod device;
mod ends;
mod fallback;
mod handshake;
mod joins;
mod kernels;
mod lacking;
mod load;
mod one_direction;
mod options;
mod parts;
mod paths;
mod places;
mod proof;
mod retries;
mod same_packet;
mod standstill;
mod taps;
mod undelivered;
mod words;

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::script::*;

/// What the tests below make fire.
pub(crate) const FIRES: &[&str] = &[
    "connection-refused",
    "connection-unanswered",
    "syn-retransmitted",
    "option-malformed",
    "mp-capable-flags-illegal",
    "version-illegal",
    "keys-contradict",
    "fallback-infinite-mapping",
    "fallback-bad-option",
    "fallback-no-common-version",
    "fallback-first-data-without-length",
    "syn-ack-not-of-server",
    "fallback-simultaneous-open",
    "options-stripped-on-one-port",
    "options-stripped-for-one-prefix",
    "join-token-mismatch",
    "join-refused-with-reason",
    "join-refused-without-reason",
    "join-refused-no-listener",
    "join-ack-without-option",
    "join-unanswered",
    "join-incomplete",
    "join-despite-c-flag",
    "join-retransmitted",
    "address-never-echoed",
    "address-never-used",
    "add-addr-hmac-mismatch",
    "private-address-announced",
    "address-id-reused",
    "remove-addr-hit-nothing",
    "remove-addr-not-obeyed",
    "handover",
    "option-out-of-place",
    "checksum-absent",
    "checksum-not-negotiated",
    "mapping-conflict",
    "sequence-out-of-reach",
    "unmapped-payload",
    "mp-fail-unanswered",
    "head-of-line-blocking",
    "backup-path-used",
    "wrong-interface",
    "path-stalled",
    "path-silent",
    "data-not-taken",
    "subflow-reset",
    "subflow-reset-reason-unsupported",
    "subflow-reset-forged",
    "fastclose-wrong-key",
    "closed-without-data-fin",
    "path-changed-option",
    "path-shortened-numbers",
    "path-changed-tcp-options",
    "path-lost-packets",
    "path-forged-reset",
    "path-resegmented",
    "join-data-without-option",
    "data-behind-data-fin",
    "payload-changed-on-retransmission",
];

/// Ids that fired where they should (true), and that did not where they should not.
static TRIED: Mutex<BTreeSet<(String, bool)>> = Mutex::new(BTreeSet::new());

fn tried(id: &str, fired: bool) {
    TRIED.lock().expect("no test panics in here").insert((id.to_owned(), fired));
}

#[test]
fn each_finding_is_tried_where_it_fires_and_where_it_does_not() {
    let all: &[fn()] = &[
        handshake::a_refused_connection,
        handshake::an_unanswered_connection,
        handshake::a_late_connection,
        handshake::a_malformed_option,
        handshake::flags_and_versions,
        handshake::contradicting_keys,
        handshake::infinite_mapping_and_bad_option,
        fallback::first_data_with_the_option_of_an_ack,
        handshake::one_port_or_one_network_without_mptcp,
        handshake::a_syn_ack_that_is_not_of_the_server,
        handshake::a_simultaneous_open,
        kernels::an_answer_of_the_other_version,
        lacking::a_token_that_the_server_cannot_have_got,
        joins::refused_joins,
        joins::a_join_whose_third_ack_lacks_its_option,
        joins::unanswered_and_unfinished_joins,
        joins::a_late_join_and_a_forbidden_one,
        addresses::addresses,
        addresses::a_private_address_on_a_public_connection,
        data::checksums_and_what_was_agreed,
        data::mappings,
        data::payload_without_mapping,
        data::payload_whose_mapping_may_be_elsewhere,
        data::data_behind_a_data_fin,
        data::an_mp_fail_without_answer,
        data::data_behind_a_slow_path,
        paths::data_on_a_backup_path,
        paths::one_source_on_two_interfaces,
        paths::an_answer_on_another_interface,
        paths::one_source_on_two_interfaces_of_the_other_end,
        paths::data_that_stalls_before_it_moves,
        standstill::bytes_that_nobody_acknowledges,
        standstill::data_that_tcp_delivers_in_vain,
        paths::resets_in_mid_life,
        paths::resets_without_effect,
        paths::ends,
        paths::an_end_that_was_not_captured,
        joins::a_join_whose_data_lacks_its_option,
        data::payload_that_changes_on_a_retransmission,
        joins::refusals_and_what_else_is_known_of_them,
        addresses::a_removed_address_that_is_used,
        paths::data_by_turns_on_long_paths,
        paths::bytes_behind_a_hole_and_bytes_that_follow,
        options::options_that_one_version_has,
        addresses::a_silent_address_that_was_announced,
        taps::the_stretch_at_fault_is_the_shortest,
        taps::announcements_and_resets_that_change_on_the_way,
        taps::streams_that_are_cut_or_written_anew,
        taps::two_captures_of_one_connection,
        same_packet::options_that_one_capture_lacks,
        same_packet::options_that_say_something_else_behind_the_path,
        same_packet::a_join_whose_syn_is_changed_on_the_way,
        same_packet::packets_that_nothing_tells_apart,
        same_packet::a_syn_that_was_sent_without_the_option,
        same_packet::a_third_ack_that_is_lost,
        same_packet::a_reset_that_no_end_sent,
        same_packet::a_shift_of_sequence_numbers_is_no_change_of_payload,
        same_packet::a_stripped_syn_at_a_clock_that_is_behind,
        between::data_sequence_numbers_in_another_form,
    ];
    for test in all {
        test();
    }
    let tried = TRIED.lock().expect("no test panics in there");
    for id in FIRES {
        for fired in [true, false] {
            assert!(tried.contains(&((*id).to_owned(), fired)), "{id}: {fired}");
        }
    }
}

/// It fires once, with these frames among its evidence.
#[track_caller]
fn fires(script: &Script, id: &str, frames: &[u64]) {
    tried(id, true);
    let found = script.findings();
    let mut of_id = found.iter().filter(|finding| finding.0 == id);
    let Some(finding) = of_id.next() else { panic!("{id} did not fire: {found:?}") };
    assert!(of_id.next().is_none(), "{id} fired twice: {found:?}");
    for frame in frames {
        assert!(finding.2.contains(frame), "{id} names {:?}, not {frame}", finding.2);
    }
}

#[track_caller]
fn silent(script: &Script, id: &str) {
    tried(id, false);
    assert!(!script.ids().contains(&id), "{id} fired: {:?}", script.findings());
}
