//! The fair queue in front of the CPU: whose turn it is goes round, so that somebody with many requests does not keep
//! others waiting. Not here: who takes from it and when (`worker`).

use std::collections::{HashMap, VecDeque};

/// Requests that may wait in all.
pub(super) const MOST_WAITING: usize = 64;
/// Requests of one owner that may wait: one owner cannot fill the queue.
pub(super) const MOST_WAITING_OF_ONE: usize = 32;

/// Jobs by owner. An owner who has jobs stands once in `turns`; whoever was served goes to the end.
pub(super) struct FairQueue<T> {
    jobs: HashMap<String, VecDeque<T>>,
    turns: VecDeque<String>,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl<T> FairQueue<T> {
    pub fn new() -> Self {
        Self {
            jobs: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.jobs.values().map(VecDeque::len).sum()
    }

    pub fn push(&mut self, owner: &str, job: T) -> Result<(), Full> {
        let own = self.jobs.get(owner).map_or(0, VecDeque::len);
        if own >= MOST_WAITING_OF_ONE || self.len() >= MOST_WAITING {
            return Err(Full);
        }
        if own == 0 {
            self.turns.push_back(owner.to_owned());
        }
        self.jobs
            .entry(owner.to_owned())
            .or_default()
            .push_back(job);
        Ok(())
    }

    /// The job whose turn it is.
    pub fn peek(&self) -> Option<&T> {
        self.jobs.get(self.turns.front()?)?.front()
    }

    pub fn pop(&mut self) -> Option<T> {
        let owner = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&owner)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        job
    }

    /// Takes out every job that is not to stay.
    pub fn remove(&mut self, mut stays: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for jobs in self.jobs.values_mut() {
            for job in std::mem::take(jobs) {
                if stays(&job) {
                    jobs.push_back(job);
                } else {
                    removed.push(job);
                }
            }
        }
        self.jobs.retain(|_, jobs| !jobs.is_empty());
        self.turns.retain(|owner| self.jobs.contains_key(owner));
        removed
    }

    pub fn any(&self, test: impl FnMut(&T) -> bool) -> bool {
        self.jobs.values().flatten().any(test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn turns_go_round() {
        let mut queue = FairQueue::new();
        for job in [1, 2, 3] {
            queue.push("ann", job).unwrap();
        }
        queue.push("bob", 10).unwrap();
        queue.push("cem", 20).unwrap();
        assert_eq!(queue.peek(), Some(&1));
        assert_eq!(queue.pop(), Some(1));
        queue.push("bob", 11).unwrap();
        assert_eq!(drain(&mut queue), [10, 20, 2, 11, 3]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
    }

    #[test]
    fn one_owner_cannot_fill_it() {
        let mut queue = FairQueue::new();
        let own = (0..100).take_while(|&job| queue.push("ann", job).is_ok());
        assert_eq!(own.count(), MOST_WAITING_OF_ONE);
        let others = (0..100).take_while(|&job| queue.push(&format!("o{job}"), job).is_ok());
        assert_eq!(others.count(), MOST_WAITING - MOST_WAITING_OF_ONE);
        assert_eq!(queue.push("late", 1), Err(Full));
        assert_eq!(queue.remove(|&job| job != 5).len(), 2);
        queue.push("late", 1).unwrap();
    }

    #[test]
    fn what_is_removed_leaves_no_empty_turn() {
        let mut queue = FairQueue::new();
        queue.push("ann", 1).unwrap();
        queue.push("bob", 2).unwrap();
        assert_eq!(queue.remove(|&job| job == 2), [1]);
        assert!(queue.any(|&job| job == 2));
        queue.push("ann", 3).unwrap();
        assert_eq!(drain(&mut queue), [2, 3]);
    }
}
