use mptcp_inspect::{ahead::Ahead, capture::*, report::*, track::observer::Silent, track::*};
use std::time::Instant;
fn main() {
    let t = Instant::now();
    let path = std::env::args().nth(1).unwrap();
    let mode = std::env::args().nth(2).unwrap_or_default();
    let f = open(path.as_ref(), 0, &OpenOptions::default()).unwrap();
    let mut a = Ahead::new(f).unwrap();
    let mut tr = Tracker::new(Config::default());
    if mode == "d" {
        let mut n = 0u64;
        while a.advance().unwrap() {
            if let mptcp_inspect::packet::Decoded::Tcp(s) = a.decoded() {
                n += s.seq as u64
            }
        }
        eprintln!("decode only {:?} {n}", t.elapsed());
        return;
    }
    while a.advance().unwrap() {
        tr.frame_with(&a.frame(), &a.decoded(), a.options(), &mut Silent);
    }
    let t1 = t.elapsed();
    tr.finish(&mut Silent);
    let t2 = t.elapsed();
    let r = TrackedReport::new(tr, vec![a.inputs()[0].clone()], 0);
    let t3 = t.elapsed();
    let s = Selection::new(&r, &[], Some(20));
    let t4 = t.elapsed();
    eprintln!("read {:?} finish {:?} new {:?} selection {:?} {}", t1, t2 - t1, t3 - t2, t4 - t3, s.indices.len());
    std::mem::forget(r);
}
