//! Data that is never acknowledged while the capture goes on.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

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
        assert_eq!(script.report().connection(0).close, "open");
    });
}
