//! When the capture has ended: which connections are other taps' views of one, and which of these views shows most.

use super::connection::Connection;
use super::observer::ConnectionId;
use super::side::Side;
use super::{Place, Tracker};
use crate::crypto::Key;

impl Tracker {
    /// Two taps may show a connection under different addresses: equal keys of both ends tell.
    pub(super) fn link_views(&mut self) {
        if !self.taps.several_inputs() {
            return;
        }
        let mut seen: hashbrown::HashMap<(Key, Key), (ConnectionId, u16), foldhash::fast::RandomState> =
            hashbrown::HashMap::default();
        let mut links = Vec::new();
        let shown = |connection: &&Connection| connection.view_of.is_none() && !connection.orphan;
        for connection in self.connections.iter().filter(shown) {
            let (Some(client), Some(server)) = (connection.ends.client.key, connection.ends.server.key) else {
                continue;
            };
            match seen.get(&(client.key, server.key)) {
                Some(&(first, input)) if !self.taps.at_one_site(input, connection.input) => {
                    links.push((connection.id, first));
                }
                Some(_) => {}
                None => {
                    seen.insert((client.key, server.key), (connection.id, connection.input));
                }
            }
        }
        for (view, of) in links {
            self.link_view(view, of);
        }
    }

    fn link_view(&mut self, view: ConnectionId, of: ConnectionId) {
        let Some(state) = self.connections.get_mut(view) else { return };
        state.view_of = Some(of);
        let (segments, input) = (state.segments, state.input);
        self.counts.duplicates += segments;
        self.counts.view_segments += segments;
        self.counts.tcp_segments = self.counts.tcp_segments.saturating_sub(segments);
        self.counts.tcp_connections = self.counts.tcp_connections.saturating_sub(1);
        self.counts.asked_for_mptcp = self.counts.asked_for_mptcp.saturating_sub(1);
        // Its own views are now the other's.
        let views: Vec<_> = self.connections.views_of(view).map(|other| other.id).collect();
        for other in views {
            if let Some(state) = self.connections.get_mut(other) {
                state.view_of = Some(of);
            }
            self.connections.add_view(of, other);
        }
        // Joins that this input shows were put apart, as their connection was another's by then.
        let joins = |other: &&Connection| other.initial().is_none() && self.taps.at_one_site(other.input, input);
        let joins: Vec<_> = self.connections.views_of(of).filter(joins).map(|other| other.id).collect();
        for joins in joins {
            self.adopt(joins, view, Side::Server);
        }
        self.connections.add_view(of, view);
    }

    /// Where the input that showed a connection first has one direction of it only, a view that has both, and all of its
    /// subflows, takes its place.
    pub(super) fn prefer_whole_views(&mut self) {
        let one_sided = |state: &&Connection| state.view_of.is_none() && !state.orphan && !state.shows_both_ends();
        let poor: Vec<_> = self.connections.iter().filter(one_sided).map(|state| state.id).collect();
        for main in poor {
            let whole = self.connections.views_of(main).filter(|view| view.shows_both_ends()).map(|view| view.id);
            let whole: Vec<_> = whole.collect();
            if let Some((view, twins)) = whole.into_iter().find_map(|view| Some((view, self.twins_of_all(main, view)?)))
            {
                self.exchange(main, view, &twins);
            }
        }
    }

    /// For each subflow of a connection the same one in a view, if all are there.
    fn twins_of_all(&self, main: ConnectionId, view: ConnectionId) -> Option<Vec<usize>> {
        let mut twins = vec![None; self.connection(main)?.subflows.len()];
        for subflow in 0..self.connection(view)?.subflows.len() {
            let in_main = self.place_in_main(Place { connection: view, subflow: subflow as u16, from: Side::Client });
            if let Some(twin) = in_main.and_then(|place| twins.get_mut(usize::from(place.subflow))) {
                *twin = Some(subflow);
            }
        }
        twins.into_iter().collect()
    }

    /// A connection and a view of it change places.
    fn exchange(&mut self, main: ConnectionId, view: ConnectionId, twins: &[usize]) {
        let Some(state) = self.connections.get_mut(main) else { return };
        let (segments, number) = (state.segments, state.number);
        let taken = |subflow: &mut super::subflow::Subflow| {
            subflow.seldom.written().map(|all| std::mem::take(&mut all.differences))
        };
        let differences: Vec<_> = state.subflows.iter_mut().map(taken).collect();
        let Some(state) = self.connections.get_mut(view) else { return };
        for (&twin, differences) in twins.iter().zip(differences) {
            if let Some((record, differences)) = state.subflows.get_mut(twin).zip(differences)
                && !differences.is_empty()
            {
                record.seldom.differences = differences;
            }
        }
        let more = state.segments.saturating_sub(segments);
        let unlisted = std::mem::replace(&mut state.number, number);
        self.counts.tcp_segments += more;
        self.counts.duplicates = self.counts.duplicates.saturating_sub(more);
        self.counts.view_segments = self.counts.view_segments.saturating_sub(more);
        self.connections.exchange(main, view);
        if let Some(state) = self.connections.get_mut(main) {
            (state.id, state.view_of) = (main, None);
        }
        if let Some(state) = self.connections.get_mut(view) {
            (state.id, state.view_of, state.number) = (view, Some(main), unlisted);
        }
    }
}

impl Connection {
    /// Whether it has segments of both ends.
    pub(super) fn shows_both_ends(&self) -> bool {
        Side::BOTH.into_iter().all(|side| self.shows_packets_of(side))
    }
}
