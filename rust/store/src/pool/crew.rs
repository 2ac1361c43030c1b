//! Island of unsafe code: threads that lend a hand with work that lies on its owner's stack.
//!
//! The owner does the work himself; helpers that happen to be awake join him, and stay on the lookout for a moment
//! afterwards, because reads and writes of a large file follow each other closely. To wake a thread takes as long as
//! to read half a megabyte, so nobody waits for that.
//!
//! Invariants: a helper begins only under the lock, while the work is posted, and is counted from then on until it
//! has ended; the owner returns, or unwinds, only after he has taken the work down under the lock and nobody is
//! counted any more. There is one piece of work at a time; who finds another's there does his own alone.

#![allow(unsafe_code, reason = "helpers borrow from the owner's stack, for as long as he waits for them")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The most helpers: two or three threads use all that the memory of most machines can give.
const HELPERS: usize = 3;
/// How long a helper looks out for more work before it sleeps.
const LOOKOUT: Duration = Duration::from_micros(50);
/// How long an owner looks out for the last helper's end before he sleeps.
const PATIENCE: Duration = Duration::from_micros(30);

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Crew(OnceLock<Option<Arc<Desk>>>);

/// Where work is posted.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    /// Moves on with every piece of work, and at the end.
    posted: AtomicU64,
    /// Helpers at work; changes under the lock only.
    inside: AtomicUsize,
    come: Condvar,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    work: Option<Work>,
    /// From when work is posted until its owner has seen that it ended.
    owned: bool,
    sleeping: usize,
    closed: bool,
    panic: Option<Box<dyn Any + Send>>,
}

#[derive(Clone, Copy, Debug)]
struct Work(*const (dyn Fn() + Sync));

// SAFETY: what it points to is `Sync`, and is used only while its owner waits (see the head of the file).
unsafe impl Send for Work {}

impl Crew {
    /// As `Store::together`.
    pub(super) fn together(&self, work: &(dyn Fn() + Sync)) {
        match self.0.get_or_init(Desk::open) {
            Some(desk) => desk.together(work),
            None => work(),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if let Some(Some(desk)) = self.0.get() {
            desk.state.lock().closed = true;
            desk.posted.fetch_add(1, Ordering::Release);
            desk.come.notify_all();
        }
    }
}

impl Desk {
    /// A desk with helpers; `None` if there can be none.
    fn open() -> Option<Arc<Self>> {
        let others = std::thread::available_parallelism().map_or(0, |all| all.get() - 1);
        let desk = Arc::new(Self::default());
        let begin = |index: usize| {
            let desk = Arc::clone(&desk);
            std::thread::Builder::new().name(format!("vexfs-help-{index}")).spawn(move || desk.help())
        };
        (0..others.min(HELPERS)).map_while(|index| begin(index).ok()).count().gt(&0).then_some(desk)
    }

    fn together(&self, work: &(dyn Fn() + Sync)) {
        let Some(posted) = self.post(work) else { return work() };
        work();
        posted.end();
    }

    /// Lets helpers begin; `None` if they have other work.
    fn post<'a>(&'a self, work: &'a (dyn Fn() + Sync)) -> Option<Posted<'a>> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.owned, true) {
            return None;
        }
        // SAFETY: only the lifetime changes; `Posted` ends all use of the pointer before `work` ends.
        let work = unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + 'a), *const (dyn Fn() + Sync + 'static)>(work)
        };
        state.work = Some(Work(work));
        self.posted.fetch_add(1, Ordering::Release);
        if state.sleeping > 0 {
            self.come.notify_all();
        }
        Some(Posted(self))
    }

    /// Takes the work down and waits for the helpers who have begun; returns the panic of one.
    fn take_down(&self) -> Option<Box<dyn Any + Send>> {
        self.state.lock().work = None;
        let patience = Instant::now();
        while self.inside.load(Ordering::Acquire) > 0 && patience.elapsed() < PATIENCE {
            (0..32).for_each(|_| std::hint::spin_loop());
        }
        let mut state = self.state.lock();
        while self.inside.load(Ordering::Acquire) > 0 {
            self.left.wait(&mut state);
        }
        state.owned = false;
        state.panic.take()
    }

    /// The life of a helper.
    fn help(&self) {
        let mut seen = 0;
        loop {
            let lookout = Instant::now();
            while self.posted.load(Ordering::Acquire) == seen && lookout.elapsed() < LOOKOUT {
                (0..32).for_each(|_| std::hint::spin_loop());
                std::thread::yield_now();
            }
            let mut state = self.state.lock();
            while self.posted.load(Ordering::Acquire) == seen && !state.closed {
                state.sleeping += 1;
                self.come.wait(&mut state);
                state.sleeping -= 1;
            }
            if state.closed {
                return;
            }
            seen = self.posted.load(Ordering::Acquire);
            let Some(work) = state.work else { continue };
            self.inside.fetch_add(1, Ordering::AcqRel);
            drop(state);
            // SAFETY: it was posted while the lock was held, and this thread is counted: the owner waits.
            let ended = catch_unwind(AssertUnwindSafe(|| unsafe { (*work.0)() }));
            let mut state = self.state.lock();
            if let Err(panic) = ended {
                state.panic = Some(panic);
            }
            self.inside.fetch_sub(1, Ordering::AcqRel);
            self.left.notify_all();
        }
    }
}

/// Work that helpers may begin, until it is taken down.
struct Posted<'a>(&'a Desk);

impl Posted<'_> {
    /// Takes it down, and goes on with the panic of a helper.
    fn end(self) {
        let desk = self.0;
        std::mem::forget(self);
        if let Some(panic) = desk.take_down() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        // The owner panics already.
        drop(self.0.take_down());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owners in several threads, each of whose numbers must be taken exactly once, on his own stack.
    #[test]
    fn every_owner_gets_all_his_work_done_once_and_before_he_goes_on() {
        let crew = Crew::default();
        std::thread::scope(|scope| {
            for owner in 0..4_usize {
                let crew = &crew;
                scope.spawn(move || {
                    for round in 0..2000 {
                        let count = (owner * 7 + round) % 50;
                        let next = AtomicUsize::new(0);
                        let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                        crew.together(&|| {
                            while let Some(mine) = done.get(next.fetch_add(1, Ordering::Relaxed)) {
                                (0..round % 100).for_each(|_| std::hint::spin_loop());
                                mine.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                        assert!(done.into_iter().all(|times| times.into_inner() == 1));
                        if round % 500 == 0 {
                            std::thread::sleep(2 * LOOKOUT);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_of_a_helper_is_the_owners_and_the_crew_goes_on() {
        let crew = Crew::default();
        if crew.0.get_or_init(Desk::open).is_none() {
            println!("skipped: one processor");
            return;
        }
        let owner = std::thread::current().id();
        let helped = AtomicUsize::new(0);
        let work = || {
            if std::thread::current().id() != owner {
                helped.fetch_add(1, Ordering::Relaxed);
                panic!("on purpose");
            }
            // Until a helper has come.
            while helped.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
        };
        for _ in 0..3 {
            helped.store(0, Ordering::Relaxed);
            let ended = catch_unwind(AssertUnwindSafe(|| crew.together(&work)));
            assert!(ended.is_err_and(|panic| panic.downcast_ref() == Some(&"on purpose")));
        }
    }

    #[test]
    fn an_owner_that_panics_waits_for_his_helpers_first() {
        let crew = Crew::default();
        let owner = std::thread::current().id();
        for _ in 0..50 {
            let (inside, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = || {
                if std::thread::current().id() == owner {
                    let begun = Instant::now();
                    while inside.load(Ordering::Relaxed) == 0 && begun.elapsed() < Duration::from_millis(20) {
                        std::thread::yield_now();
                    }
                    panic!("on purpose");
                }
                inside.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
                left.fetch_add(1, Ordering::Relaxed);
            };
            assert!(catch_unwind(AssertUnwindSafe(|| crew.together(&work))).is_err());
            assert_eq!(inside.into_inner(), left.into_inner());
        }
    }

    #[test]
    fn helpers_end_with_their_crew() {
        let crew = Crew::default();
        crew.together(&|| {});
        let desk = crew.0.get().cloned().flatten();
        drop(crew);
        let Some(desk) = desk else { return };
        let begun = Instant::now();
        while Arc::strong_count(&desk) > 1 {
            assert!(begun.elapsed() < Duration::from_secs(10), "a helper lives on");
            std::thread::yield_now();
        }
    }
}
