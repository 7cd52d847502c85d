//! A tracker under attack, and the packets to attack it with.

use mptcp_inspect::crypto::Key;
use mptcp_inspect::packet::IpPair;
use mptcp_inspect::report::TrackedReport;
use mptcp_inspect::track::connection::Connection;
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::MptcpOption;

use crate::fuzz;
use crate::fuzz::world::{ACK, Ends, Packet, SYN};

pub(super) const CLIENT: usize = 0;

pub(super) const SERVER: usize = 1;

pub(super) const ISN: [u32; 2] = [1000, 2000];

/// A tracker and what was fed to it.
pub(super) struct Scene {
    pub(super) tracker: Tracker,
    pub(super) frames: u64,
    pub(super) time: i64,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self { tracker: Tracker::new(Config::default()), frames: 0, time: 1_700_000_000_000_000_000 }
    }

    pub(super) fn send(&mut self, packet: &Packet) {
        self.frames += 1;
        self.time = self.time.saturating_add(1_000_000);
        let packet = Packet { time: self.time, ip_id: self.frames as u16, ..packet.clone() };
        packet.feed(self.frames, &mut self.tracker, &mut Silent);
    }

    pub(super) fn connect(&mut self, ends: &Ends) {
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            self.send(
                &packet(ends, 0, end, flags, u32::from(step > 1)).with(&MptcpOption::MpCapable(ends.capable(step))),
            );
        }
    }

    pub(super) fn join(&mut self, ends: &Ends, subflow: u8) {
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            let option = MptcpOption::MpJoin(ends.join(step, CLIENT, subflow));
            self.send(&packet(ends, subflow, end, flags, u32::from(step > 1)).with(&option));
        }
    }

    pub(super) fn data(&mut self, ends: &Ends, subflow: u8, end: usize, offset: u64, ssn: u32, payload: &[u8]) {
        let dss = ends.dss(end, offset, ssn, payload, false, true);
        let mut packet = packet(ends, subflow, end, ACK, ssn).with(&MptcpOption::Dss(dss));
        packet.payload = payload.to_vec();
        self.send(&packet);
    }

    pub(super) fn only(&self) -> &Connection {
        assert_eq!(self.tracker.connections().count(), 1);
        self.tracker.connections().next().expect("one")
    }

    pub(super) fn report(mut self) -> TrackedReport {
        self.tracker.finish(&mut Silent);
        let report = TrackedReport::new(self.tracker, Vec::new(), 0);
        fuzz::invariants::check(&report);
        report
    }
}

pub(super) fn packet(ends: &Ends, subflow: u8, end: usize, flags: u8, ssn: u32) -> Packet {
    Packet {
        tuple: ends.tuple(end, CLIENT, subflow),
        seq: ISN[end].wrapping_add(ssn),
        ack: if flags & ACK == 0 { 0 } else { ISN[1 - end].wrapping_add(1) },
        flags,
        options: Vec::new(),
        payload: Vec::new(),
        cut: 0,
        time: 0,
        tap: (0, 0),
        ip_id: 0,
    }
}

/// A SYN of its own 4-tuple.
pub(super) fn stranger(number: u32, option: &MptcpOption<'_>) -> Packet {
    let ip = IpPair::V4 { source: 0x0b00_0000 + number / 50_000, destination: 0x0a01_0101 };
    let mut packet = packet(&Ends::new(9, 1, false, false), 0, CLIENT, SYN, 0).with(option);
    packet.tuple = (ip, 1024 + (number % 50_000) as u16, 443);
    packet
}

pub(super) fn flood_size() -> u32 {
    std::env::var("HOSTILE_FLOOD").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// Peak memory of this process so far, in MiB.
pub(super) fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

pub(super) fn key_of(number: u32) -> Key {
    Key((u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555).to_be_bytes())
}
