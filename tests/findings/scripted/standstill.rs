//! Data that is never acknowledged while the capture goes on.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

use super::{fires, silent};
use crate::script::*;

/// A DATA_FIN ends a direction once it is acknowledged. Where the subflows are over, RSTs after all data was acknowledged, or FINs,
/// do as well.
#[test]
fn a_data_fin_that_nobody_acknowledges() {
    in_both_versions(|_| {
        for (acked, end, close) in [
            (200, 0, "half_closed"),
            (201, 0, "data_fin"),
            (100, FIN, "data_fin"),
            (200, RST, "data_fin"),
            (100, RST, "reset"),
        ] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, None)], 100);
            script.send(&mut flow, Server, ACK, &[data_fin(Server, 0)], 0);
            script.send(&mut flow, Client, ACK, &[data_ack(Server, 1)], 0);
            script.send(&mut flow, Client, ACK, &[data_fin(Client, 200)], 0);
            script.send(&mut flow, Server, ACK, &[data_ack(Client, acked)], 0);
            if end != 0 {
                script.send(&mut flow, Client, end | ACK, &[], 0);
                script.send(&mut flow, Server, end | ACK, &[], 0);
            }
            assert_eq!(script.report().connection(0).close, close, "{acked} acknowledged, {end:#x}");
        }
        // Neither is acknowledged.
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        script.send(&mut flow, Client, ACK, &[data_fin(Client, 100)], 0);
        script.send(&mut flow, Server, ACK, &[data_fin(Server, 0)], 0);
        assert_eq!(script.report().connection(0).close, "half_closed");
    });
}

/// The same bytes again and again, and no ACK for them; unless one comes at last, the window is shut, or it is but a few times.
#[test]
pub(super) fn bytes_that_nobody_acknowledges() {
    in_both_versions(|_| {
        for (times, acked, joined) in [(5_u64, false, false), (5, false, true), (5, true, false), (2, false, false)] {
            let mut script = Script::default();
            let mut flow = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            script.data(&mut flow, Client, 0, 1, 100);
            let lost = [mapping(Client, 100, 101, 100, None)];
            script.send(&mut flow, Client, ACK, &lost, 100);
            let mut frames = Vec::new();
            for time in 0..times {
                if joined {
                    script.data(&mut join, Client, 200 + time * 100, time as u32 * 100 + 1, 100);
                }
                script.wait(400 * MS);
                frames.push(script.again(&mut flow, Client, ACK, &lost, 100));
            }
            if acked {
                script.send(&mut flow, Server, ACK, &[data_ack(Client, 200)], 0);
            }
            if times < 5 || acked {
                silent(&script, "path-silent");
                continue;
            }
            fires(&script, "path-silent", &[frames[0], frames[4]]);
            let found = script.the("path-silent");
            assert_eq!(found.message.contains("its data stands still"), !joined, "{found:?}");
            assert!(found.message.contains("again 5 times in 1."), "{found:?}");
        }
    });
}

/// TCP acknowledges each copy, and the DATA_ACK stays; or it comes at last; or the copies are not acknowledged at all.
#[test]
pub(super) fn data_that_tcp_delivers_in_vain() {
    in_both_versions(|_| {
        for (acked, taken) in [(true, false), (true, true), (false, false)] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let mut frames = Vec::new();
            for copy in 0..6 {
                script.wait(400 * MS);
                frames.push(script.send(
                    &mut flow,
                    Client,
                    ACK,
                    &[mapping(Client, 100, copy * 100 + 101, 100, None)],
                    100,
                ));
                if acked {
                    script.send(&mut flow, Server, ACK, &[data_ack(Client, 100)], 0);
                }
            }
            if taken {
                script.send(&mut flow, Server, ACK, &[data_ack(Client, 200)], 0);
            }
            if acked && !taken {
                fires(&script, "data-not-taken", &[frames[1], frames[5]]);
                let found = script.the("data-not-taken");
                assert!(found.message.contains("from byte 100 of its stream again 5 times"), "{found:?}");
            } else {
                silent(&script, "data-not-taken");
            }
        }
    });
}

/// A subflow is reset with MP_FAIL where another one carries the connection on: the capture of one path does not show how it ended.
#[test]
fn a_capture_of_one_path_that_is_reset() {
    in_both_versions(|_| {
        for (failed, close) in [(true, "open"), (false, "reset")] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let options = if failed { vec![fail(dsn(Client, 0)), reason(6)] } else { vec![reason(6)] };
            let rst = script.send(&mut flow, Server, RST | ACK, &options, 0);
            assert_eq!(script.report().connection(0).close, close);
            if failed { silent(&script, "connection-reset") } else { fires(&script, "connection-reset", &[rst]) }
        }
    });
}
