//! What only all connections together show: who else joined, which interface owns an address, how listeners answer, and the
//! patterns between two hosts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::{Naming, addresses, path_manager, round, scheduler};
use crate::limits;
use crate::report::model::{CaptureStack, Fingerprint, HostPair, Listener, Misrouted, SocketAddress};
use crate::track::Tracker;
use crate::track::connection::Connection;
use crate::track::side::Side;
use crate::track::subflow::{Subflow, SynSeen};

/// Subflows with one address needed to say which interface owns it.
const OWNED: u32 = 4;

/// What the classifiers of one connection need to know of the others.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Initial addresses, client's and server's, of connections whose client opened subflows or announced addresses.
    joining: HashSet<(IpAddr, IpAddr)>,
    /// Ends of joins without a connection.
    orphan_ends: HashSet<IpAddr>,
    /// Servers' addresses and ports that flows without MPTCP go to as well.
    plain: HashSet<(IpAddr, u16)>,
    /// Subflows by the client's (first) or the server's (second) address and interface.
    interfaces: [BTreeMap<IpAddr, Tally>; 2],
}

type Tally = BTreeMap<(u16, u16), u32>;

impl Surroundings {
    /// Looks at all connections of a tracker.
    pub fn of(tracker: &Tracker) -> Self {
        let mut around = Self::default();
        let mut servers = HashSet::new();
        for connection in tracker.connections() {
            if connection.orphan {
                around
                    .orphan_ends
                    .extend(connection.subflows.iter().flat_map(|join| <[IpAddr; 2]>::from(addresses(join))));
            }
            around.count_interfaces(connection);
            let Some(initial) = connection.initial() else { continue };
            let joins = connection.subflows.iter().any(|s| s.join.is_some() && s.initiator == Side::Client);
            if joins || connection.addresses.iter().any(|address| address.by == Side::Client) {
                around.joining.insert(addresses(initial));
            } else {
                servers.insert(initial.address_of(Side::Server));
            }
        }
        around.plain = tracker.plain_flows().flatten().filter(|end| servers.contains(end)).collect();
        around
    }

    /// Whether subflows of this connection may be among what was not recognised as such, or its client is known to open
    /// subflows in other connections.
    pub(super) fn hides_joins_of(&self, connection: &Connection) -> bool {
        let Some(initial) = connection.initial() else { return true };
        let (client, server) = addresses(initial);
        self.joining.contains(&(client, server))
            || self.orphan_ends.contains(&client)
            || self.orphan_ends.contains(&server)
            || self.plain.contains(&initial.address_of(Side::Server))
    }

    /// A subflow seen on several interfaces was seen on its way, not where it left.
    fn count_interfaces(&mut self, connection: &Connection) {
        for subflow in connection.subflows.iter().filter(|subflow| subflow.more_interfaces.is_empty()) {
            for (side, tally) in Side::BOTH.into_iter().zip(&mut self.interfaces) {
                let known = tally.len() < limits::HOST_PAIRS || tally.contains_key(&subflow.address_of(side).0);
                if known {
                    *tally.entry(subflow.address_of(side).0).or_default().entry(subflow.interface).or_default() += 1;
                }
            }
        }
    }

    /// Subflows that left through another interface than the one on which nearly all subflows with their address were seen.
    /// Tells only where two addresses of that side belong to different interfaces: the far side's are seen on any.
    pub(super) fn misrouted(&self, connection: &Connection, naming: &dyn Naming) -> Vec<Misrouted> {
        let mut found = Vec::new();
        for (side, tally) in Side::BOTH.into_iter().zip(&self.interfaces) {
            let owners: HashSet<(u16, u16)> = tally.values().filter_map(owner).collect();
            if owners.len() < 2
                || tally.values().any(|tally| owner(tally).is_none() && tally.values().sum::<u32>() >= OWNED)
            {
                continue;
            }
            for (index, subflow) in connection.subflows.iter().enumerate() {
                let address = subflow.address_of(side).0;
                let Some(owner) = tally.get(&address).and_then(owner) else { continue };
                if subflow.more_interfaces.is_empty() && subflow.interface != owner {
                    found.push(Misrouted {
                        subflow: index as u64,
                        address,
                        interface: naming.interface(subflow.interface),
                        owner: naming.interface(owner),
                        frame: naming.frame(subflow.first.frame),
                    });
                }
            }
        }
        found
    }
}

/// The interface of at least three quarters.
fn owner(tally: &Tally) -> Option<(u16, u16)> {
    let all: u32 = tally.values().sum();
    let (interface, most) = tally.iter().max_by_key(|entry| *entry.1)?;
    (all >= OWNED && most * 4 >= all * 3).then_some(*interface)
}

/// Patterns by hosts, and listeners.
pub fn capture<'a>(
    connections: impl Iterator<Item = &'a Connection>,
    around: &Surroundings,
    naming: &dyn Naming,
) -> CaptureStack {
    let mut hosts = Hosts::default();
    let mut listeners = Listeners::default();
    for connection in connections {
        let Some(initial) = connection.initial() else { continue };
        hosts.add(connection, initial, around, naming);
        listeners.add(initial, naming);
    }
    let listeners = listeners.list.into_iter().map(Listening::into_model).collect();
    CaptureStack { hosts: hosts.list, hosts_left_out: hosts.left_out, listeners }
}

#[derive(Default)]
struct Hosts {
    list: Vec<HostPair>,
    index: HashMap<(IpAddr, IpAddr), usize>,
    left_out: u64,
}

impl Hosts {
    fn add(&mut self, connection: &Connection, initial: &Subflow, around: &Surroundings, naming: &dyn Naming) {
        let (client, server) = addresses(initial);
        let at = match self.index.get(&(client, server)) {
            Some(&at) => at,
            None if self.list.len() < limits::HOST_PAIRS => {
                self.index.insert((client, server), self.list.len());
                let (path_manager, scheduler) = Default::default();
                self.list.push(HostPair { client, server, connections: 0, path_manager, scheduler });
                self.list.len() - 1
            }
            None => {
                self.left_out += 1;
                return;
            }
        };
        let Some(pair) = self.list.get_mut(at) else { return };
        let count = |patterns: &mut BTreeMap<&'static str, u64>, pattern: Option<&'static str>| {
            if let Some(pattern) = pattern {
                *patterns.entry(pattern).or_default() += 1;
            }
        };
        pair.connections += 1;
        let opens = |side| path_manager::infer(connection, side, around, naming).pattern;
        count(&mut pair.path_manager.client, opens(Side::Client));
        count(&mut pair.path_manager.server, opens(Side::Server));
        if connection.subflows.len() < 2 {
            return;
        }
        count(&mut pair.scheduler.client_to_server, scheduler::infer(connection, Side::Client).pattern);
        count(&mut pair.scheduler.server_to_client, scheduler::infer(connection, Side::Server).pattern);
    }
}

#[derive(Default)]
struct Listeners {
    list: Vec<Listening>,
    index: HashMap<(IpAddr, u16), usize>,
}

struct Listening {
    server: SocketAddress,
    answers: u64,
    fingerprints: Vec<Fingerprint>,
    left_out: u64,
}

impl Listeners {
    fn add(&mut self, initial: &Subflow, naming: &dyn Naming) {
        let Some(answer) = &initial.syn_ack else { return };
        let end = initial.address_of(Side::Server);
        let at = match self.index.get(&end) {
            Some(&at) => at,
            None if self.list.len() < limits::HOST_PAIRS => {
                self.index.insert(end, self.list.len());
                let server = SocketAddress { address: end.0, port: end.1 };
                self.list.push(Listening { server, answers: 0, fingerprints: Vec::new(), left_out: 0 });
                self.list.len() - 1
            }
            None => return,
        };
        if let Some(listening) = self.list.get_mut(at) {
            listening.add(answer, naming);
        }
    }
}

impl Listening {
    fn add(&mut self, answer: &SynSeen, naming: &dyn Naming) {
        self.answers += 1;
        let options = || answer.kinds.iter().copied().take_while(|&kind| kind != 0);
        let same = |known: &Fingerprint| {
            (known.mss, known.window_scale) == (answer.mss, answer.window_scale)
                && known.options.iter().copied().eq(options())
        };
        if let Some(known) = self.fingerprints.iter().position(same).and_then(|at| self.fingerprints.get_mut(at)) {
            known.connections += 1;
            return;
        }
        if self.fingerprints.len() >= limits::FINGERPRINTS {
            self.left_out += 1;
            return;
        }
        self.fingerprints.push(Fingerprint {
            connections: 1,
            mss: answer.mss,
            window_scale: answer.window_scale,
            options: options().collect(),
            frame: naming.frame(answer.first.frame),
        });
    }

    fn into_model(mut self) -> Listener {
        self.fingerprints.sort_by_key(|known| (known.mss, known.window_scale, known.frame));
        let counts: Vec<u64> = self.fingerprints.iter().map(|known| known.connections).collect();
        Listener {
            server: self.server,
            answers: self.answers,
            evenness: evenness(&counts),
            fingerprints: self.fingerprints,
            left_out: self.left_out,
        }
    }
}

/// Pielou's evenness: the entropy of the counts over that of equal counts.
fn evenness(counts: &[u64]) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if counts.len() < 2 || all == 0 {
        return None;
    }
    let part = |count: &u64| *count as f64 / all as f64;
    let entropy: f64 = counts.iter().map(part).map(|part| -part * part.ln()).sum();
    Some(round(entropy / (counts.len() as f64).ln(), 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenness_of_equal_counts_is_one() {
        assert_eq!(evenness(&[10, 10, 10, 10]), Some(1.0));
        assert_eq!(evenness(&[40]), None);
        // H(1/4, 3/4) / ln 2 = 0.8113 (Shannon's binary entropy).
        assert_eq!(evenness(&[1, 3]), Some(0.811));
    }

    #[test]
    fn an_interface_owns_what_it_has_three_quarters_of() {
        let tally = |counts: &[u32]| counts.iter().enumerate().map(|(at, &count)| ((0, at as u16), count)).collect();
        assert_eq!(owner(&tally(&[3, 1])), Some((0, 0)));
        assert_eq!(owner(&tally(&[2, 2])), None);
        assert_eq!(owner(&tally(&[3])), None, "too few");
    }
}
