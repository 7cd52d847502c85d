//! What is called otherwise where a connection speaks version 0: RFC sections, and the counters and settings of its kernel,
//! that of multipath-tcp.org. The rules themselves name those of RFC 8684 and of mainline Linux.

use super::Explanation;
use crate::track::keys::Dialect;

/// The RFC and section to cite: version 0 has its own, RFC 6824, with nearly the same sections.
pub fn section(rfc: &'static str, dialect: Option<Dialect>) -> Option<&'static str> {
    Some(match rfc {
        "" => return None,
        _ if dialect.is_none_or(|dialect| dialect.version() != 0) => rfc,
        "8684 §3" => "6824 §3",
        "8684 §3.1" => "6824 §3.1",
        "8684 §3.2" => "6824 §3.2",
        "8684 §3.3.1" => "6824 §3.3.1",
        "8684 §3.3.3" => "6824 §3.3.3",
        "8684 §3.3.4" => "6824 §3.3.4",
        "8684 §3.3.5" => "6824 §3.3.5",
        "8684 §3.3.6" => "6824 §3.3.6",
        "8684 §3.3.8" => "6824 §3.3.8",
        "8684 §3.4.1" => "6824 §3.4.1",
        "8684 §3.4.2" => "6824 §3.4.2",
        "8684 §3.5" => "6824 §3.5",
        // Version 0 has no MP_TCPRST; its §3.6 is what became §3.7.
        "8684 §3.6" => return None,
        "8684 §3.7" => "6824 §3.6",
        other => other,
    })
}

/// Whether the kernel of multipath-tcp.org speaks a dialect, and no other Linux does.
pub(super) fn is_its_kernel(dialect: Option<Dialect>) -> bool {
    dialect.is_some_and(Dialect::is_multipath_tcp_orgs)
}

/// The counter that the kernel of a connection raises where mainline Linux raises `mainline`; `None` where it has none.
pub fn counter(mainline: &'static str, dialect: Option<Dialect>) -> Option<&'static str> {
    if !is_its_kernel(dialect) {
        return Some(mainline);
    }
    Some(match mainline {
        "MPTcpExtMPCapableSYNTXDrop" => "MPTcpExtMPCapableRetransFallback",
        "MPTcpExtMPCapableDataFallback" | "MPTcpExtDssFallback" => "MPTcpExtMPFallbackDataInit",
        // It takes a SYN/ACK without MP_JOIN for one with a wrong HMAC.
        "MPTcpExtMPJoinSynAckNoMPJoin" => "MPTcpExtMPJoinSynAckHMacFailure",
        "MPTcpExtMPJoinAckNoMPJoin" => "MPTcpExtMPJoinAckMissing",
        "MPTcpExtDssReset" => "MPTcpExtMPFallbackDataSub",
        "MPTcpExtDataCsumErr" => "MPTcpExtMPCsumFail",
        "MPTcpExtAddAddr" => "MPTcpExtAddAddrRx",
        "MPTcpExtRmAddr" => "MPTcpExtRemAddrRx",
        "MPTcpExtRmSubflow" => "MPTcpExtMPRemoveAddrSubDelete",
        "MPTcpExtMPFastcloseTx" => "MPTcpExtMPFastcloseTX",
        "MPTcpExtMPJoinRejected"
        | "MPTcpExtSimultConnectFallback"
        | "MPTcpExtMPFailTx"
        | "MPTcpExtInfiniteMapTx"
        | "MPTcpExtMPRstTx"
        | "MPTcpExtOFOQueue"
        | "MPTcpExtDuplicateData"
        | "MPTcpExtSubflowStale" => return None,
        same => same,
    })
}

/// What to look at next: the tools and settings of mainline Linux do not exist on the other kernel.
pub fn advice(rule: &'static Explanation, dialect: Option<Dialect>) -> Option<&'static str> {
    let own = ADVICE.iter().find(|own| is_its_kernel(dialect) && own.0 == rule.id);
    let advice = own.map_or(rule.advice, |own| own.1);
    (!advice.is_empty()).then_some(advice)
}

/// Advice by finding, where that of the rule is for mainline Linux, or for MP_TCPRST, which version 0 does not have.
const ADVICE: &[(&str, &str)] = &[
    (
        "connection-unanswered",
        "Try the same port with plain TCP (on multipath-tcp.org kernels: with sysctl net.mptcp.mptcp_enabled=0): if that \
         is answered, something on the path drops SYNs with MP_CAPABLE.",
    ),
    (
        "syn-retransmitted",
        "Once is ordinary loss. If it happens on every connection, something may drop SYNs with MP_CAPABLE: sysctl \
         net.mptcp.mptcp_syn_retries sets how many of them a multipath-tcp.org kernel sends.",
    ),
    (
        "fallback-no-option-in-syn-ack",
        "Capture at the server too and give both files together: that shows whether the SYN arrives with its option. On a \
         server with a multipath-tcp.org kernel, look at sysctl net.mptcp.mptcp_enabled; mainline Linux speaks version 1 only.",
    ),
    (
        "fallback-syn-retried-without-option",
        "Capture at the server: if SYNs with the option do not arrive there, a firewall drops them. On multipath-tcp.org \
         kernels, sysctl net.mptcp.mptcp_syn_retries sets how many of them the client sends.",
    ),
    (
        "join-refused-unknown-token",
        "Behind a load balancer, make sure that joins reach the server that has the connection.",
    ),
    ("join-refused-prohibited", ""),
    ("join-refused-no-listener", "An address announced with a port needs a listener there."),
    (
        "join-data-without-option",
        "Compare with the first subflow: MPTCP works on its path. Look for a proxy or WAN optimiser on this one, or take \
         MPTCP off that interface (`ip link set dev INTERFACE multipath off`).",
    ),
    ("address-never-echoed", ""),
    (
        "address-never-used",
        "A multipath-tcp.org kernel opens subflows as its path manager likes: look at sysctl net.mptcp.mptcp_path_manager there.",
    ),
    (
        "head-of-line-blocking",
        "Make the slow path a backup (`ip link set dev INTERFACE multipath backup`), or let the receive buffer hold the \
         product of the total rate and the longest round trip.",
    ),
    (
        "backup-path-used",
        "The mark counts for one direction: it asks the other end. Check that the sender's scheduler honours it, and that \
         both ends set it where both directions should (`ip link set dev INTERFACE multipath backup`).",
    ),
    ("path-stalled", "Have the host remove the address when it loses the link (REMOVE_ADDR moves data at once)."),
    ("subflow-reset", ""),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::rules;

    /// All that the kernel of multipath-tcp.org has in /proc/net/mptcp_net/snmp, from its `mptcp_snmp_list`.
    const COUNTERS: &str = "MPCapableSYNRX MPCapableSYNTX MPCapableSYNACKRX MPCapableACKRX MPCapableFallbackACK \
        MPCapableFallbackSYNACK MPCapableRetransFallback MPTCPCsumEnabled MPTCPRetrans MPFailRX MPCsumFail MPFastcloseRX \
        MPFastcloseTX MPFallbackAckSub MPFallbackAckInit MPFallbackDataSub MPFallbackDataInit MPRemoveAddrSubDelete \
        MPJoinNoTokenFound MPJoinAlreadyFallenback MPJoinSynTx MPJoinSynRx MPJoinSynAckRx MPJoinSynAckHMacFailure \
        MPJoinAckRx MPJoinAckHMacFailure MPJoinAckMissing MPJoinAckRTO MPJoinAckRexmit NoDSSInWindow DSSNotMatching \
        InfiniteMapRx DSSNoMatchTCP DSSTrimHead DSSSplitTail DSSPurgeOldSubSegs AddAddrRx AddAddrTx RemAddrRx RemAddrTx \
        MPJoinAlternatePort MPCurrEstab";

    #[test]
    fn version_0_names_only_counters_that_its_kernel_has() {
        let fallbacks = ["MPTcpExtMPCapableSYNTXDrop", "MPTcpExtMPCapableFallbackACK", "MPTcpExtDssFallback"];
        for mainline in rules::all().filter_map(|rule| rule.counter).chain(fallbacks) {
            assert_eq!(counter(mainline, Some(Dialect::Rfc8684)), Some(mainline));
            for dialect in [Dialect::Rfc6824, Dialect::DraftV1] {
                let Some(own) = counter(mainline, Some(dialect)) else { continue };
                let known = COUNTERS.split_whitespace().any(|name| own == format!("MPTcpExt{name}"));
                assert!(known, "{mainline}: {own}");
                assert_eq!(counter(own, Some(dialect)), Some(own), "a name of its own stays");
            }
        }
    }

    #[test]
    fn version_0_is_not_told_of_what_only_mainline_has() {
        let mainline = ["ip mptcp", "ss -Ml", "mptcpize", "MP_TCPRST", "allow_join_initial", "blackhole", "stale_loss"];
        // Those of no connection, and so of no version.
        let of_no_connection = ["options-stripped-on-one-port"];
        for rule in rules::all().filter(|rule| !of_no_connection.contains(&rule.id)) {
            let told = advice(rule, Some(Dialect::Rfc6824)).unwrap_or_default();
            let named = mainline.iter().find(|name| told.contains(*name));
            assert!(named.is_none() && !told.contains("net.mptcp.enabled"), "{}: {told}", rule.id);
        }
        for (id, _) in ADVICE {
            assert!(rules::find(id).is_some(), "{id}");
        }
    }

    #[test]
    fn version_1_and_unknown_versions_keep_what_the_rules_say() {
        for dialect in [None, Some(Dialect::Rfc8684)] {
            for rule in rules::all() {
                assert_eq!(advice(rule, dialect).unwrap_or_default(), rule.advice);
            }
        }
    }
}
