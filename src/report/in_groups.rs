//! Work on many connections, spread over threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::cores::cores;

/// Threads at most: memory is what they wait for, and few saturate it.
const THREADS: usize = 4;

/// What `look` gives of each group of `size` of `all`, in their order: the same for any number of threads.
pub(super) fn in_groups<T: Sync, R: Send>(all: &[T], size: usize, look: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let groups: Vec<&[T]> = all.chunks(size.max(1)).collect();
    let threads = cores().min(THREADS).min(groups.len());
    if threads < 2 {
        return groups.into_iter().map(look).collect();
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(groups.len()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(group) = groups.get(index) else { break };
            let result = look(group);
            if let Ok(mut results) = results.lock() {
                results.push((index, result));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no thread, this one does all.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_unstable_by_key(|result| result.0);
    results.into_iter().map(|result| result.1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        let all: Vec<u32> = (0..1000).collect();
        for size in [0, 1, 7, 1000, 5000] {
            let sums = in_groups(&all, size, |group| group.iter().sum::<u32>());
            let expected: Vec<u32> = all.chunks(size.max(1)).map(|group| group.iter().sum()).collect();
            assert_eq!(sums, expected);
        }
        assert!(in_groups(&[0_u8; 0], 5, <[u8]>::len).is_empty());
    }
}
