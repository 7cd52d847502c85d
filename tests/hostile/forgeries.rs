//! Forgeries and contradictions: what was proven or came first stays.

use mptcp_inspect::crypto::{Key, Nonce, Suite, identify};
use mptcp_inspect::report::Report;
use mptcp_inspect::wire::{MpCapable, MpJoin, MptcpOption};

use crate::fuzz;
use crate::fuzz::world::{ACK, Ends, SYN};
use crate::scene::{CLIENT, SERVER, Scene, key_of, packet, stranger};

#[test]
fn forged_keys_do_not_displace_proven_ones() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
    scene.data(&ends, 0, SERVER, 0, 1, b"world");
    for (step, end, flags) in [(1, SERVER, SYN | ACK), (2, CLIENT, ACK)] {
        let real = ends.capable(step);
        let forged = MpCapable {
            sender_key: Some(Key([step; 8])),
            receiver_key: real.receiver_key.map(|_| Key([9; 8])),
            ..real
        };
        scene.send(&packet(&ends, 0, end, flags, u32::from(step == 2)).with(&MptcpOption::MpCapable(forged)));
    }
    let keys = &scene.only().ends;
    assert_eq!(keys.client.key.expect("known").key, ends.keys[CLIENT]);
    assert_eq!(keys.server.key.expect("known").key, ends.keys[SERVER]);
    scene.join(&ends, 1);
    scene.data(&ends, 0, CLIENT, 5, 6, b" again");
    let report = scene.report();
    let connection = report.connection(0);
    let proof = format!("{:?}", connection.subflows[1].join);
    assert_eq!(proof.matches("Verified").count(), 3, "{proof}");
    assert_eq!(connection.directions.client_to_server.checksums.verified, 2);
    assert_eq!(connection.directions.client_to_server.checksums.mismatch, 0);
}

/// A server's key is shown again and again, each time another: only the last few lead joins to the connection, so that tokens
/// don't pile up.
#[test]
fn tokens_of_keys_given_up_are_forgotten() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.send(&packet(&ends, 0, CLIENT, SYN, 0).with(&MptcpOption::MpCapable(ends.capable(0))));
    for number in 0..100 {
        let forged = MpCapable { sender_key: Some(key_of(number)), ..ends.capable(1) };
        scene.send(&packet(&ends, 0, SERVER, SYN | ACK, 0).with(&MptcpOption::MpCapable(forged)));
    }
    let join = |scene: &mut Scene, number: u32| {
        let token = identify(Suite::Sha256, key_of(number)).token;
        let join = MpJoin::Syn { backup: false, address_id: 1, token, nonce: Nonce(number), reserved: 0 };
        scene.send(&stranger(number, &MptcpOption::MpJoin(join)));
    };
    join(&mut scene, 99);
    assert_eq!(scene.only().subflows.len(), 2, "the last key's token");
    join(&mut scene, 50);
    assert_eq!(scene.tracker.connections().count(), 2, "a token that is no end's: an orphan");
}

#[test]
fn forged_hmacs_do_not_displace_proven_ones() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
    let send = |scene: &mut Scene, step: u8, option: MpJoin| {
        let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
        scene.send(&packet(&ends, 1, end, flags, u32::from(step > 1)).with(&MptcpOption::MpJoin(option)));
    };
    let forged_syn_ack = MpJoin::SynAck { backup: true, address_id: 7, hmac: [6; 8], nonce: Nonce(666), reserved: 0 };
    let forged_ack = MpJoin::Ack { hmac: [6; 20], reserved: 0 };
    // A forgery before each real one, and one behind.
    send(&mut scene, 0, ends.join(0, CLIENT, 1));
    send(&mut scene, 1, forged_syn_ack);
    send(&mut scene, 1, ends.join(1, CLIENT, 1));
    send(&mut scene, 1, forged_syn_ack);
    send(&mut scene, 2, forged_ack);
    send(&mut scene, 2, ends.join(2, CLIENT, 1));
    send(&mut scene, 2, forged_ack);
    send(&mut scene, 1, forged_syn_ack);
    let report = scene.report();
    let proof = format!("{:?}", report.connection(0).subflows[1].join);
    assert_eq!(proof.matches("Verified").count(), 3, "{proof}");
}

#[test]
fn the_first_mapping_and_the_first_bytes_stay() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"the truth");
    scene.data(&ends, 0, CLIENT, 0, 1, b"the lies!");
    scene.data(&ends, 0, CLIENT, 4, 1, b"elsewhere");
    let report = scene.report();
    let direction = report.connection(0).directions.client_to_server;
    assert_eq!((direction.bytes, direction.checksums.verified, direction.checksums.mismatch), (Some(9), 1, 0));
}

#[test]
fn a_reused_tuple_is_a_new_connection() {
    let ends = Ends::new(1, 1, true, false);
    let mut again = ends.clone();
    again.keys = [Key([0x31; 8]), Key([0x32; 8])];
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"one");
    for step in 0..3 {
        let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
        let mut packet =
            packet(&again, 0, end, flags, u32::from(step > 1)).with(&MptcpOption::MpCapable(again.capable(step)));
        packet.seq = packet.seq.wrapping_add(900_000);
        packet.ack = if step == 0 { 0 } else { packet.ack.wrapping_add(900_000) };
        scene.send(&packet);
    }
    let report = scene.report();
    assert_eq!(report.connection_count(), 2);
    assert_eq!(report.connection(1).server.key, Some(Key([0x32; 8])));
}

#[test]
fn time_may_jump_anywhere() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    let mut offset = 0;
    for time in [i64::MAX, i64::MIN, 0, -1, i64::MAX - 1, 1, i64::MIN + 1] {
        scene.time = time;
        scene.data(&ends, 0, CLIENT, offset, 1 + offset as u32, b"tick");
        scene.send(&packet(&ends, 0, SERVER, ACK, 1));
        offset += 4;
    }
    let report = scene.report();
    fuzz::report::print(&report, 0x1b);
    assert_eq!(report.connection(0).directions.client_to_server.checksums.verified, 7);
}

#[test]
fn options_on_resets_and_everywhere_else() {
    let ends = Ends::new(1, 1, true, false);
    let options =
        |step: u8| [MptcpOption::MpCapable(ends.capable(step)), MptcpOption::MpJoin(ends.join(step, CLIENT, 1))];
    let mut scene = Scene::new();
    scene.connect(&ends);
    for flags in 0..=255 {
        for step in 0..3 {
            for option in options(step) {
                scene.send(&packet(&ends, 0, usize::from(step == 1), flags, 1).with(&option));
            }
        }
    }
    scene.report();
}
