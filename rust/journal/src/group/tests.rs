//! The protocol under every interleaving, with a writer that only remembers.

use loom::sync::Arc;
use loom::thread;

use super::*;

/// Writes by remembering how much is written and how much is durable.
#[derive(Debug, Default)]
struct Memory {
    written: Vec<u32>,
    durable: usize,
    /// Fails at this round.
    fails: Option<usize>,
    rounds: usize,
}

/// What is queued, and what the writer said is durable.
#[derive(Debug, Default)]
struct Records {
    queued: Vec<u32>,
    durable: Vec<u32>,
}

impl Sink for Memory {
    type Queue = Records;
    type Batch = Vec<u32>;

    fn take(&mut self, queue: &mut Records) -> Vec<u32> {
        mem::take(&mut queue.queued)
    }

    fn write(&mut self, batch: Vec<u32>, durable: bool) -> std::result::Result<(), Cause> {
        self.rounds += 1;
        if self.fails == Some(self.rounds) {
            return Err(Cause::Panic);
        }
        self.written.extend(batch);
        if durable {
            self.durable = self.written.len();
        }
        Ok(())
    }

    fn settle(&mut self, queue: &mut Records) {
        queue.durable = self.written[..self.durable].to_vec();
    }

    fn gather(&self) {}
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn group(fails: Option<usize>) -> Arc<Group<Memory>> {
    Arc::new(Group::new(Records::default(), Memory { fails, ..Memory::default() }))
}

fn enqueue(group: &Group<Memory>, record: u32) -> Result<Round> {
    let queue = |queue: &mut Records| {
        queue.queued.push(record);
        Ok(())
    };
    Ok(group.enter(queue)?.1)
}

fn is_durable(group: &Group<Memory>, record: u32) -> bool {
    group.with(|queue| queue.durable.contains(&record))
}

fn commit(group: &Group<Memory>, record: u32) {
    let round = enqueue(group, record).unwrap();
    group.wait(round).unwrap();
    assert!(is_durable(group, record), "{record} was acknowledged and is not durable");
}

#[test]
fn loom_every_commit_that_returns_is_durable_and_every_commit_returns() {
    model(|| {
        let group = group(None);
        let threads: Vec<_> = [1, 2]
            .into_iter()
            .map(|record| {
                let group = Arc::clone(&group);
                thread::spawn(move || commit(&group, record))
            })
            .collect();
        commit(&group, 3);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(group.with(|queue| queue.durable.len()), 3);
    });
}

#[test]
fn loom_a_follower_becomes_the_next_leader() {
    model(|| {
        let group = group(None);
        let other = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                commit(&group, 1);
                commit(&group, 2);
            })
        };
        commit(&group, 3);
        commit(&group, 4);
        other.join().unwrap();
    });
}

#[test]
fn loom_a_cut_splits_what_is_queued_where_it_is_sealed() {
    model(|| {
        let group = group(None);
        let other = {
            let group = Arc::clone(&group);
            thread::spawn(move || commit(&group, 1))
        };
        enqueue(&group, 2).unwrap();
        let mut leader = group.claim().unwrap();
        let taken = leader.take(true);
        let behind = enqueue(&group, 3).unwrap();
        leader.write(taken).unwrap();
        assert!(is_durable(&group, 2) && !is_durable(&group, 3));
        drop(leader);
        other.join().unwrap();
        group.wait(behind).unwrap();
        assert!(is_durable(&group, 3));
    });
}

#[test]
fn loom_a_claim_and_relief_lose_no_waiter() {
    model(|| {
        let group = group(None);
        let claimant = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let mut leader = group.claim().unwrap();
                leader.act(|_| Ok(())).unwrap();
            })
        };
        let reliever = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                enqueue(&group, 1).unwrap();
                group.relieve(|_| true).unwrap();
            })
        };
        commit(&group, 2);
        claimant.join().unwrap();
        reliever.join().unwrap();
        group.wait_all().unwrap();
        assert!(is_durable(&group, 1));
    });
}

#[test]
fn loom_a_failure_reaches_every_waiter_and_nothing_is_written_after_it() {
    model(|| {
        let group = group(Some(1));
        let threads: Vec<_> = [1, 2]
            .into_iter()
            .map(|record| {
                let group = Arc::clone(&group);
                thread::spawn(move || {
                    let done = enqueue(&group, record).and_then(|round| group.wait(round));
                    assert!(done.is_err());
                })
            })
            .collect();
        assert!(enqueue(&group, 3).and_then(|round| group.wait(round)).is_err());
        assert!(group.claim().is_err());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(group.with(|queue| queue.durable.is_empty()));
    });
}
