//! Who does what takes long, in a thread of its own: it starts with the first tasks, which wait in a queue of bounded length.
//! Where there is no thread to be had, or no core for it, the work is done where the tasks are given.

use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::cores::cores;
use crate::limits;

/// What can be left to a thread.
pub(super) trait Work: Send + 'static {
    /// What it is given to do.
    type Task: Send + 'static;
    /// The thread's name.
    const NAME: &'static str;

    /// Bytes that a task is about. Small tasks go to the thread together: waking it costs more than they do.
    fn weight(task: &Self::Task) -> usize;

    /// Does one task. Tasks come in the order in which they were given.
    fn take(&mut self, task: Self::Task);
}

/// Works, in a thread if possible.
#[derive(Debug)]
pub(super) struct Worker<W: Work> {
    state: State<W>,
    /// Tasks that go to the thread together, and the bytes that they are about.
    tasks: Vec<W::Task>,
    weight: usize,
}

#[derive(Debug)]
enum State<W: Work> {
    /// Nothing was given yet. A live capture lets go of privileges before it starts a thread.
    Idle(W),
    /// It works where the tasks are given.
    Here(W),
    /// It works in a thread.
    There { tasks: SyncSender<Vec<W::Task>>, thread: JoinHandle<Option<W>> },
    /// It has finished.
    Gone,
}

impl<W: Work> Worker<W> {
    /// One that starts its thread when it is given its first task.
    pub(super) fn new(work: W) -> Self {
        Self { state: State::Idle(work), tasks: Vec::new(), weight: 0 }
    }

    /// Gives a task; waits where too many do.
    #[inline]
    pub(super) fn give(&mut self, task: W::Task) {
        if let State::Idle(_) = self.state {
            self.start();
        }
        if let State::Here(work) = &mut self.state {
            work.take(task);
            return;
        }
        self.weight += W::weight(&task);
        self.tasks.push(task);
        if self.weight >= limits::EXTRACT_BLOCK / 2 || self.tasks.len() >= limits::EXTRACT_TASKS {
            self.send();
        }
    }

    fn send(&mut self) {
        self.weight = 0;
        let batch = std::mem::take(&mut self.tasks);
        if let State::There { tasks, .. } = &self.state
            && tasks.send(batch).is_err()
        {
            // It ends only where it panics: then so does this thread.
            self.finish();
        }
    }

    /// Waits until all is done, and gives what came of it; nothing the second time.
    pub(super) fn finish(&mut self) -> Option<W> {
        if !self.tasks.is_empty() {
            self.send();
        }
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(work) | State::Here(work) => Some(work),
            State::There { tasks, thread } => {
                drop(tasks);
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
            State::Gone => None,
        }
    }

    /// From now on it works where the tasks are given.
    pub(super) fn stay_here(&mut self) {
        if let Some(work) = self.finish() {
            self.state = State::Here(work);
        }
    }

    fn start(&mut self) {
        if cores() == 1 {
            self.stay_here();
            return;
        }
        let (give, tasks) = sync_channel::<Vec<W::Task>>(limits::EXTRACT_WAITING);
        // A thread that cannot be started takes nothing with it: what it works with follows when it is there.
        let (bring, brought) = sync_channel::<W>(1);
        let work = move || {
            let mut work = brought.recv().ok()?;
            for task in tasks.iter().flatten() {
                work.take(task);
            }
            Some(work)
        };
        let thread = thread::Builder::new().name(W::NAME.to_owned()).spawn(work);
        let Some(work) = self.finish() else { return };
        self.state = match thread {
            Ok(thread) => {
                // Fails only if the thread is gone, which the first task shows.
                let _ = bring.send(work);
                State::There { tasks: give, thread }
            }
            Err(_) => State::Here(work),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds up, up to a number that it does not like.
    #[derive(Debug, Default)]
    struct Sum(Vec<u32>);

    impl Work for Sum {
        type Task = u32;
        const NAME: &'static str = "add-up";

        fn weight(task: &u32) -> usize {
            *task as usize * 10
        }

        fn take(&mut self, task: u32) {
            assert!(task < 1000, "too much");
            self.0.push(task);
        }
    }

    #[test]
    fn tasks_are_done_in_order_here_and_there() {
        for here in [false, true] {
            let mut worker = Worker::new(Sum::default());
            if here {
                worker.stay_here();
            }
            (0..1000).for_each(|task| worker.give(task));
            assert_eq!(worker.finish().map(|sum| sum.0), Some((0..1000).collect()));
            assert!(worker.finish().is_none());
        }
    }

    /// A part must not pass for the whole.
    #[test]
    #[should_panic(expected = "too much")]
    fn a_panic_in_the_thread_is_one_here() {
        let mut worker = Worker::new(Sum::default());
        worker.give(1000);
        worker.finish();
    }
}
