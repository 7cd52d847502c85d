//! What only all connections together show: who else joined, which interface owns an address, how listeners answer, and the
//! patterns between two hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::{Naming, addresses, path_manager, round, scheduler};
use crate::limits;
use crate::model::{CaptureStack, Fingerprint, HostPair, Listener, Misrouted, SocketAddress};
use crate::track::connection::Connection;
use crate::track::side::Side;
use crate::track::subflow::{Subflow, SynSeen};

/// Subflows with one address needed to say which interface owns it.
const OWNED: u32 = 4;

/// Kinds of options in which Fast Open cookies travel (RFC 7413 §4.1.1 and before it).
const FAST_OPEN: [u8; 3] = [34, 253, 254];

/// Addresses are the capture's to choose: the hash is seeded, and what it orders is never told.
type Set<T> = HashSet<T, foldhash::fast::RandomState>;
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What the classifiers of one connection need to know of the others.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Initial addresses, client's and server's, of connections whose client opened subflows or announced addresses.
    joining: Set<(IpAddr, IpAddr)>,
    /// Servers of the other connections.
    servers: Set<(IpAddr, u16)>,
    /// Ends of joins without a connection.
    orphan_ends: Set<IpAddr>,
    /// Servers' addresses and ports that flows without MPTCP go to as well.
    plain: Set<(IpAddr, u16)>,
    /// Subflows by the client's (first) or the server's (second) address and interface.
    interfaces: [Map<IpAddr, Tally>; 2],
    /// Which interface owns an address of the client or the server; empty where none can be told to be the wrong one.
    owners: [Map<IpAddr, (u16, u16)>; 2],
}

/// Subflows by interface: few, in the order in which they showed.
type Tally = Vec<((u16, u16), u32)>;

impl Surroundings {
    /// Takes a look at one connection.
    pub fn add(&mut self, connection: &Connection) {
        if connection.orphan {
            self.orphan_ends.extend(connection.subflows.iter().flat_map(|join| <[IpAddr; 2]>::from(addresses(join))));
        }
        self.count_interfaces(connection);
        let Some(initial) = connection.initial() else { return };
        let joins = connection.subflows.iter().any(|s| s.join.is_some() && s.initiator == Side::Client);
        if joins || connection.addresses.iter().any(|address| address.by == Side::Client) {
            self.joining.insert(addresses(initial));
        } else {
            self.servers.insert(initial.address_of(Side::Server));
        }
    }

    /// Adds what was seen of later connections.
    pub fn absorb(&mut self, later: Self) {
        self.joining.extend(later.joining);
        self.servers.extend(later.servers);
        self.orphan_ends.extend(later.orphan_ends);
        for (own, later) in self.interfaces.iter_mut().zip(later.interfaces) {
            // In order: where there is no room for all, it is not chance that decides which stay.
            let mut later: Vec<(IpAddr, Tally)> = later.into_iter().collect();
            later.sort_unstable_by_key(|entry| entry.0);
            for (address, tally) in later {
                for (interface, count) in tally {
                    count_one(own, address, interface, count);
                }
            }
        }
    }

    /// All connections were added: `plain_flows` are both ends of all flows without MPTCP.
    #[must_use]
    pub fn complete(mut self, plain_flows: impl Iterator<Item = [(IpAddr, u16); 2]>) -> Self {
        self.plain = plain_flows.flatten().filter(|end| self.servers.contains(end)).collect();
        for (owners, tally) in self.owners.iter_mut().zip(&self.interfaces) {
            *owners = tally.iter().filter_map(|(address, tally)| Some((*address, owner(tally)?))).collect();
            let unclear = |tally: &Tally| owner(tally).is_none() && total(tally) >= OWNED;
            let first = owners.values().next();
            let one_interface = owners.values().all(|other| Some(other) == first);
            if one_interface || tally.values().any(unclear) {
                owners.clear();
            }
        }
        self
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
        for subflow in connection.subflows.iter().filter(|subflow| subflow.seldom.more_interfaces.is_empty()) {
            for (side, tally) in Side::BOTH.into_iter().zip(&mut self.interfaces) {
                count_one(tally, subflow.address_of(side).0, subflow.interface, 1);
            }
        }
    }

    /// Subflows that left through another interface than the one on which nearly all subflows with their address were seen.
    /// Tells only where two addresses of that side belong to different interfaces: the far side's are seen on any.
    pub(super) fn misrouted(&self, connection: &Connection, naming: &dyn Naming) -> Vec<Misrouted> {
        let mut found = Vec::new();
        for (side, owners) in Side::BOTH.into_iter().zip(&self.owners) {
            for (index, subflow) in connection.subflows.iter().enumerate() {
                let address = subflow.address_of(side).0;
                let Some(owner) = owners.get(&address) else { continue };
                if subflow.seldom.more_interfaces.is_empty() && subflow.interface != *owner {
                    found.push(Misrouted {
                        subflow: index as u64,
                        address,
                        interface: naming.interface(subflow.interface),
                        owner: naming.interface(*owner),
                        frame: naming.frame(subflow.first.frame),
                    });
                }
            }
        }
        found
    }
}

fn count_one(tallies: &mut Map<IpAddr, Tally>, address: IpAddr, interface: (u16, u16), count: u32) {
    let tally = if let Some(tally) = tallies.get_mut(&address) {
        tally
    } else if tallies.len() < limits::HOST_PAIRS {
        tallies.entry(address).or_default()
    } else {
        return;
    };
    match tally.iter_mut().find(|known| known.0 == interface) {
        Some(known) => known.1 += count,
        None => tally.push((interface, count)),
    }
}

fn total(tally: &Tally) -> u32 {
    tally.iter().map(|entry| entry.1).sum()
}

/// The interface of at least three quarters.
fn owner(tally: &Tally) -> Option<(u16, u16)> {
    let (interface, most) = tally.iter().max_by_key(|entry| entry.1)?;
    let all = total(tally);
    (all >= OWNED && most * 4 >= all * 3).then_some(*interface)
}

/// Patterns by hosts, and listeners: what all connections together show.
#[derive(Default)]
pub struct Patterns {
    hosts: Hosts,
    listeners: Listeners,
}

impl Patterns {
    /// Takes a look at one connection.
    pub fn add(&mut self, connection: &Connection, around: &Surroundings, naming: &dyn Naming) {
        let Some(initial) = connection.initial() else { return };
        self.hosts.add(connection, initial, around);
        self.listeners.add(initial, naming);
    }

    /// Adds what later connections showed.
    pub fn absorb(&mut self, later: Self) {
        self.hosts.absorb(later.hosts);
        self.listeners.absorb(later.listeners);
    }

    /// In the form of the report.
    pub fn into_model(self) -> CaptureStack {
        let listeners = self.listeners.list.into_iter().map(Listening::into_model).collect();
        CaptureStack { hosts: self.hosts.list, hosts_left_out: self.hosts.left_out, listeners }
    }
}

#[derive(Default)]
struct Hosts {
    list: Vec<HostPair>,
    index: Map<(IpAddr, IpAddr), usize>,
    left_out: u64,
}

impl Hosts {
    fn pair(&mut self, client: IpAddr, server: IpAddr) -> Option<&mut HostPair> {
        let at = match self.index.get(&(client, server)) {
            Some(&at) => at,
            None if self.list.len() < limits::HOST_PAIRS => {
                self.index.insert((client, server), self.list.len());
                let (path_manager, scheduler) = Default::default();
                self.list.push(HostPair { client, server, connections: 0, path_manager, scheduler });
                self.list.len() - 1
            }
            None => return None,
        };
        self.list.get_mut(at)
    }

    fn add(&mut self, connection: &Connection, initial: &Subflow, around: &Surroundings) {
        let (client, server) = addresses(initial);
        let Some(pair) = self.pair(client, server) else {
            self.left_out += 1;
            return;
        };
        let count = |patterns: &mut BTreeMap<&'static str, u64>, pattern: Option<&'static str>| {
            if let Some(pattern) = pattern {
                *patterns.entry(pattern).or_default() += 1;
            }
        };
        pair.connections += 1;
        count(&mut pair.path_manager.client, path_manager::pattern(connection, Side::Client, around));
        count(&mut pair.path_manager.server, path_manager::pattern(connection, Side::Server, around));
        count(&mut pair.scheduler.client_to_server, scheduler::pattern(connection, Side::Client));
        count(&mut pair.scheduler.server_to_client, scheduler::pattern(connection, Side::Server));
    }

    fn absorb(&mut self, later: Self) {
        self.left_out += later.left_out;
        for other in later.list {
            let Some(pair) = self.pair(other.client, other.server) else {
                self.left_out += other.connections;
                continue;
            };
            let add = |own: &mut BTreeMap<&'static str, u64>, other: BTreeMap<&'static str, u64>| {
                for (pattern, count) in other {
                    *own.entry(pattern).or_default() += count;
                }
            };
            pair.connections += other.connections;
            add(&mut pair.path_manager.client, other.path_manager.client);
            add(&mut pair.path_manager.server, other.path_manager.server);
            add(&mut pair.scheduler.client_to_server, other.scheduler.client_to_server);
            add(&mut pair.scheduler.server_to_client, other.scheduler.server_to_client);
        }
    }
}

#[derive(Default)]
struct Listeners {
    list: Vec<Listening>,
    index: Map<(IpAddr, u16), usize>,
}

struct Listening {
    server: SocketAddress,
    answers: u64,
    fingerprints: Vec<Fingerprint>,
    left_out: u64,
}

impl Listeners {
    fn listening(&mut self, server: SocketAddress) -> Option<&mut Listening> {
        let end = (server.address, server.port);
        let at = match self.index.get(&end) {
            Some(&at) => at,
            None if self.list.len() < limits::HOST_PAIRS => {
                self.index.insert(end, self.list.len());
                self.list.push(Listening { server, answers: 0, fingerprints: Vec::new(), left_out: 0 });
                self.list.len() - 1
            }
            None => return None,
        };
        self.list.get_mut(at)
    }

    fn add(&mut self, initial: &Subflow, naming: &dyn Naming) {
        let Some(answer) = &initial.syn_ack else { return };
        let (address, port) = initial.address_of(Side::Server);
        // What Fast Open asks for shows in its option only, and may take the room of others in the answer.
        let asks_for_cookie = |syn: &SynSeen| syn.kinds.iter().any(|&kind| FAST_OPEN.contains(&kind));
        let syn = initial.syn.as_ref().filter(|syn| syn.retransmissions() == 0 && !asks_for_cookie(syn));
        if let Some(listening) = self.listening(SocketAddress { address, port }) {
            listening.add(syn, answer, naming);
        }
    }

    fn absorb(&mut self, later: Self) {
        for other in later.list {
            let Some(listening) = self.listening(other.server) else { continue };
            listening.answers += other.answers;
            listening.left_out += other.left_out;
            for fingerprint in other.fingerprints {
                let same = |known: &Fingerprint| {
                    (known.mss, known.window_scale, &known.options, &known.offered)
                        == (fingerprint.mss, fingerprint.window_scale, &fingerprint.options, &fingerprint.offered)
                };
                listening.count(fingerprint.connections, same, || fingerprint.clone());
            }
        }
    }
}

impl Listening {
    /// `syn` is what was answered, where that is known.
    fn add(&mut self, syn: Option<&SynSeen>, answer: &SynSeen, naming: &dyn Naming) {
        self.answers += 1;
        let options = |seen: &SynSeen| seen.kinds.into_iter().take_while(|&kind| kind != 0);
        let same = |known: &Fingerprint| {
            let offered = match (&known.offered, syn) {
                (Some(known), Some(syn)) => known.iter().copied().eq(options(syn)),
                (known, syn) => known.is_none() && syn.is_none(),
            };
            (known.mss, known.window_scale) == (answer.mss, answer.window_scale)
                && known.options.iter().copied().eq(options(answer))
                && offered
        };
        self.count(1, same, || Fingerprint {
            connections: 1,
            mss: answer.mss,
            window_scale: answer.window_scale,
            options: options(answer).collect(),
            offered: syn.map(|syn| options(syn).collect()),
            frame: naming.frame(answer.first.frame),
        });
    }

    /// Counts `connections` more with the same answer, `new` if there was none like it.
    fn count(&mut self, connections: u64, same: impl Fn(&Fingerprint) -> bool, new: impl Fn() -> Fingerprint) {
        if let Some(known) = self.fingerprints.iter_mut().find(|known| same(known)) {
            known.connections += connections;
        } else if self.fingerprints.len() < limits::FINGERPRINTS {
            self.fingerprints.push(new());
        } else {
            self.left_out += connections;
        }
    }

    fn into_model(mut self) -> Listener {
        self.fingerprints.sort_by_key(|known| (known.mss, known.window_scale, known.frame));
        let (server, answers, left_out) = (self.server, self.answers, self.left_out);
        let mut listener = Listener { server, answers, evenness: None, fingerprints: self.fingerprints, left_out };
        let counts: Vec<u64> = listener.ways().iter().map(|known| known.connections).collect();
        listener.evenness = evenness(&counts);
        listener
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
