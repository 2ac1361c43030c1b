//! The protocol of group commit: leader and followers.
//!
//! There is one writer; who holds it leads. What is queued belongs to the round that comes next; a leader takes
//! all of it as one round and writes it without the lock, while the queue fills for the round after. Invariants:
//!
//! - Only the holder of the writer writes, so rounds are written one at a time and in order.
//! - A round counts as durable only when it, and so every round before it, is.
//! - Whoever waits, waits for the round being written or for the next: the two have a condition each, so that
//!   the end of a round wakes those whose round it was, and of the others one: the next leader.
//! - Who needs the writer itself (a cut, a mark) claims it, and no round starts before it had its turn.
//! - A failure is for good: nothing is written after it, and every waiter is told.

use std::fmt::Debug;
use std::mem;
use std::sync::Arc;

use crate::error::{Cause, Error, Result};
use crate::sync::{Condvar, Guard, Mutex};

/// A round's number.
pub(crate) type Round = u64;

/// What the protocol drives: how the queue becomes a batch, and how a batch is written.
pub(crate) trait Sink: Debug {
    /// What callers fill, under the lock.
    type Queue: Debug;
    /// What one round writes.
    type Batch: Debug;
    /// Takes all that is queued. Under the lock.
    fn take(&mut self, queue: &mut Self::Queue) -> Self::Batch;
    /// Writes a batch; if `durable`, it and all before it are durable on return. Without the lock.
    fn write(&mut self, batch: Self::Batch, durable: bool) -> std::result::Result<(), Cause>;
    /// Tells the queue what has been written. Under the lock.
    fn settle(&mut self, queue: &mut Self::Queue);
    /// Gives others time to join the round. Without the lock.
    fn gather(&self);
}

/// The shared half of the protocol.
#[derive(Debug)]
pub(crate) struct Group<S: Sink> {
    state: Mutex<State<S>>,
    /// Waiters by the parity of the round that they wait for.
    rounds: [Condvar; 2],
    /// Those who claim the writer.
    claims: Condvar,
}

#[derive(Debug)]
struct State<S: Sink> {
    queue: S::Queue,
    /// `None` while somebody leads.
    writer: Option<S>,
    /// The round that what is queued belongs to.
    next: Round,
    /// The newest round that is durable.
    durable: Round,
    /// The round being written, if it is to be durable.
    active: Option<Round>,
    /// How many wait for the writer itself.
    claims: usize,
    failed: Option<Arc<Cause>>,
}

impl<S: Sink> State<S> {
    fn check(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause: Arc::clone(cause) }),
        }
    }
}

impl<S: Sink> Group<S> {
    pub(crate) fn new(queue: S::Queue, writer: S) -> Self {
        let state =
            State { queue, writer: Some(writer), next: 1, durable: 0, active: None, claims: 0, failed: None };
        Self { state: Mutex::new(state), rounds: [Condvar::new(), Condvar::new()], claims: Condvar::new() }
    }

    /// Looks at the queue, or changes it without adding to it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S::Queue) -> R) -> R {
        f(&mut self.state.lock().queue)
    }

    /// Whether nothing has failed yet.
    pub(crate) fn check(&self) -> Result<()> {
        self.state.lock().check()
    }

    /// Whether somebody is writing, so that what is queued now waits for the next round.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().writer.is_none()
    }

    /// Changes the queue, unless something has failed. What is added belongs to the round returned.
    pub(crate) fn enter<R>(&self, f: impl FnOnce(&mut S::Queue) -> Result<R>) -> Result<(R, Round)> {
        let mut state = self.state.lock();
        state.check()?;
        let result = f(&mut state.queue)?;
        Ok((result, state.next))
    }

    /// Returns when the round is durable: led by another, or here.
    pub(crate) fn wait(&self, round: Round) -> Result<()> {
        let mut state = self.state.lock();
        loop {
            if state.durable >= round {
                return Ok(());
            }
            state.check()?;
            if state.claims == 0
                && let Some(writer) = state.writer.take()
            {
                return self.leader(writer, state).round(true);
            }
            let joins = state.active.filter(|&active| round <= active).unwrap_or(state.next);
            state = self.condition(joins).wait(state);
        }
    }

    /// As [`Group::wait`], for all that is queued now.
    pub(crate) fn wait_all(&self) -> Result<()> {
        let round = self.state.lock().next;
        self.wait(round)
    }

    /// Writes what is queued, not durably, if `full` finds it too much and nobody is writing.
    pub(crate) fn relieve(&self, full: impl FnOnce(&S::Queue) -> bool) -> Result<()> {
        let mut state = self.state.lock();
        state.check()?;
        if state.claims > 0 || !full(&state.queue) {
            return Ok(());
        }
        match state.writer.take() {
            Some(writer) => self.leader(writer, state).round(false),
            None => Ok(()),
        }
    }

    /// Takes the writer for something that is not a round, or not only.
    pub(crate) fn claim(&self) -> Result<Leader<'_, S>> {
        let mut state = self.state.lock();
        state.claims += 1;
        let writer = loop {
            if let Err(error) = state.check() {
                state.claims -= 1;
                return Err(error);
            }
            match state.writer.take() {
                Some(writer) => break writer,
                None => state = self.claims.wait(state),
            }
        };
        state.claims -= 1;
        Ok(self.leader(writer, state))
    }

    fn leader<'a>(&'a self, writer: S, state: Guard<'a, State<S>>) -> Leader<'a, S> {
        drop(state);
        Leader { group: self, writer: Some(writer) }
    }

    fn condition(&self, round: Round) -> &Condvar {
        let [even, odd] = &self.rounds;
        if round.is_multiple_of(2) { even } else { odd }
    }
}

/// Holds the writer. Gives it back, and passes the lead on, when dropped.
#[derive(Debug)]
pub(crate) struct Leader<'a, S: Sink> {
    group: &'a Group<S>,
    writer: Option<S>,
}

/// A round taken from the queue and not yet written.
#[derive(Debug)]
pub(crate) struct Taken<B> {
    round: Round,
    durable: bool,
    batch: B,
}

impl<S: Sink> Leader<'_, S> {
    fn round(mut self, durable: bool) -> Result<()> {
        if durable && let Some(writer) = &self.writer {
            writer.gather();
        }
        let taken = self.take(durable);
        self.write(taken)
    }

    /// Ends the round that is being queued, and says whether it is to be durable when it is written.
    pub(crate) fn take(&mut self, durable: bool) -> Option<Taken<S::Batch>> {
        let writer = self.writer.as_mut()?;
        let mut state = self.group.state.lock();
        let batch = writer.take(&mut state.queue);
        let round = state.next;
        state.next = round.saturating_add(1);
        state.active = durable.then_some(round);
        Some(Taken { round, durable, batch })
    }

    /// Writes a round that was taken.
    pub(crate) fn write(&mut self, taken: Option<Taken<S::Batch>>) -> Result<()> {
        let Some(Taken { round, durable, batch }) = taken else { return self.group.check() };
        let done = self.writer.as_mut().map_or(Err(Cause::Panic), |writer| writer.write(batch, durable));
        let done = self.settle(done, durable.then_some(round));
        self.group.condition(round).notify_all();
        done
    }

    /// Does something with the writer; an error fails the group for good.
    pub(crate) fn act<R>(&mut self, f: impl FnOnce(&mut S) -> std::result::Result<R, Cause>) -> Result<R> {
        let done = self.writer.as_mut().map_or(Err(Cause::Panic), f);
        self.settle(done, None)
    }

    fn settle<R>(&mut self, done: std::result::Result<R, Cause>, durable: Option<Round>) -> Result<R> {
        let mut state = self.group.state.lock();
        if let Some(writer) = &mut self.writer {
            writer.settle(&mut state.queue);
        }
        state.active = None;
        match done {
            Ok(result) => {
                state.durable = durable.unwrap_or(state.durable);
                Ok(result)
            }
            Err(cause) => {
                let cause = Arc::clone(state.failed.get_or_insert_with(|| Arc::new(cause)));
                Err(Error::Poisoned { cause })
            }
        }
    }
}

impl<S: Sink> Drop for Leader<'_, S> {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        if std::thread::panicking() {
            state.failed.get_or_insert_with(|| Arc::new(Cause::Panic));
        }
        state.writer = mem::take(&mut self.writer);
        let (failed, claimed, next) = (state.failed.is_some(), state.claims > 0, state.next);
        drop(state);
        if failed {
            self.group.rounds.iter().chain([&self.group.claims]).for_each(Condvar::notify_all);
        } else if claimed {
            self.group.claims.notify_one();
        } else {
            self.group.condition(next).notify_one();
        }
    }
}

#[cfg(all(test, loom))]
mod tests;
