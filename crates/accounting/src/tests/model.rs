//! The ledger against a plain model of it, by random operations; and random
//! operations all at once, after which the books must add up.

use std::time::Duration;

use kernel::{AccountId, HoldId, RunId, Timestamp, codes};
use proptest::{prelude::*, strategy::ValueTree};
use store::Durability;

use super::*;
use crate::{HoldOutcome, Record};

/// Prices at which rounding shows.
pub(super) const IN: i64 = 300;
pub(super) const OUT: i64 = 700;
const FIRST: u32 = 8;
const MORE: u32 = 5;

pub(super) fn options() -> Options {
    Options {
        first_output_tokens: FIRST,
        extension_tokens: MORE,
        hold_wait: Duration::ZERO,
        ..bare()
    }
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Amount, and seconds until it expires.
    Allocate(i64, Option<u64>),
    /// Tokens of the prompt, of the answer at most, and whether it is extended.
    Hold(u64, Option<u64>, bool),
    Extend(usize),
    /// Which hold, and what was used; `None` is a failure.
    Settle(usize, Option<(u64, u64)>),
    Record(u64, u64),
    Advance(u64),
    Sweep,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let max = prop_oneof![Just(None), (0..20_u64).prop_map(Some)];
    prop_oneof![
        3 => (1..40_i64, prop_oneof![Just(None), (1..20_u64).prop_map(Some)])
            .prop_map(|(amount, expiry)| Op::Allocate(amount, expiry)),
        5 => (0..20_u64, max, any::<bool>()).prop_map(|(p, m, e)| Op::Hold(p, m, e)),
        4 => (0..6_usize).prop_map(Op::Extend),
        5 => (0..6_usize, proptest::option::weighted(0.8, (0..25_u64, 0..40_u64)))
            .prop_map(|(n, used)| Op::Settle(n, used)),
        1 => (0..30_u64, 0..10_u64).prop_map(|(p, c)| Op::Record(p, c)),
        2 => (1..8_u64).prop_map(Op::Advance),
        1 => Just(Op::Sweep),
    ]
}

pub(super) fn cost(prompt: u64, output: u64) -> i64 {
    let sum = i64::try_from(prompt).unwrap() * IN + i64::try_from(output).unwrap() * OUT;
    sum.div_euclid(1_000) + i64::from(sum % 1_000 != 0)
}

/// A hold, as one would keep it on paper.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Held {
    run: RunId,
    prompt: u64,
    covered: u64,
    max: Option<u64>,
    amount: i64,
    /// Lot and amount.
    parts: Vec<(usize, i64)>,
}

/// What becomes of a hold that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// What it takes, and the output tokens it covers.
    Held(i64, u64),
    Wait,
    Refused,
}

/// Credits as one would keep them on paper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Paper {
    pub(super) now: u64,
    /// What is left of each lot, and when it expires.
    lots: Vec<(i64, Option<u64>)>,
    holds: Vec<Held>,
    allocated: i64,
    consumed: i64,
    expired: i64,
}

impl Paper {
    pub(super) fn allocate(&mut self, amount: i64, expiry: Option<u64>) {
        self.lots.push((amount, expiry));
        self.allocated += amount;
    }

    fn good(&self, lot: usize) -> bool {
        self.lots[lot].1.is_none_or(|at| at > self.now)
    }

    pub(super) fn expire(&mut self) {
        for lot in 0..self.lots.len() {
            if !self.good(lot) {
                self.expired += std::mem::take(&mut self.lots[lot].0);
            }
        }
    }

    pub(super) fn balance(&self) -> i64 {
        self.lots.iter().map(|lot| lot.0).sum()
    }

    pub(super) fn held(&self) -> i64 {
        self.holds.iter().map(|hold| hold.amount).sum()
    }

    fn order(&self, lot: usize) -> (u64, usize) {
        (self.lots[lot].1.unwrap_or(u64::MAX), lot)
    }

    fn take(&mut self, amount: i64) -> Vec<(usize, i64)> {
        let mut order: Vec<usize> = (0..self.lots.len()).collect();
        order.sort_by_key(|lot| self.order(*lot));
        let mut due = amount;
        let mut parts = Vec::new();
        for lot in order {
            let part = due.min(self.lots[lot].0);
            self.lots[lot].0 -= part;
            due -= part;
            if part > 0 {
                parts.push((lot, part));
            }
        }
        assert_eq!(due, 0);
        parts
    }

    /// The most tokens up to a limit that a budget pays.
    fn most(prompt: u64, budget: i64, limit: u64) -> Option<u64> {
        (0..=limit).rev().find(|n| cost(prompt, *n) <= budget)
    }

    /// A hold for so many tokens of the prompt, of the answer at most, and whether it is extended.
    pub(super) fn hold(&mut self, run: RunId, prompt: u64, max: Option<u64>, grows: bool) -> Asked {
        let first = u64::from(FIRST);
        let wanted = match max {
            Some(max) if !grows => max,
            other => other.unwrap_or(first).min(first),
        };
        let least = max.unwrap_or(1).min(1);
        let balance = self.balance();
        let Some(covered) = Self::most(prompt, balance, wanted).filter(|n| *n >= least) else {
            return match cost(prompt, least) <= balance + self.held() {
                true => Asked::Wait,
                false => Asked::Refused,
            };
        };
        let amount = cost(prompt, covered);
        let parts = self.take(amount);
        self.holds.push(Held {
            run,
            prompt,
            covered,
            max,
            amount,
            parts,
        });
        Asked::Held(amount, covered)
    }

    /// The output tokens that an open hold covers then, and whether no more can be paid.
    pub(super) fn extend(&mut self, run: RunId) -> Option<(u64, bool)> {
        let n = self.holds.iter().position(|hold| hold.run == run)?;
        let hold = &self.holds[n];
        let (prompt, covered, before) = (hold.prompt, hold.covered, hold.amount);
        let wanted = (covered + u64::from(MORE))
            .min(hold.max.unwrap_or(u64::MAX))
            .max(covered);
        let target = Self::most(prompt, before + self.balance(), wanted)
            .unwrap()
            .max(covered);
        let amount = cost(prompt, target);
        let parts = self.take(amount - before);
        let hold = &mut self.holds[n];
        (hold.covered, hold.amount) = (target, amount);
        for (lot, part) in parts {
            match hold.parts.iter_mut().find(|(same, _)| *same == lot) {
                Some((_, amount)) => *amount += part,
                None => hold.parts.push((lot, part)),
            }
        }
        Some((target, target == covered && wanted > covered))
    }

    /// Pays at once what can be paid, and tells the rest of it.
    pub(super) fn record(&mut self, prompt: u64, output: u64) -> (i64, i64) {
        let cost = cost(prompt, output);
        let paid = cost.min(self.balance());
        self.take(paid);
        self.consumed += paid;
        (paid, cost - paid)
    }

    /// What is charged for an open hold, what cannot be, and the output tokens it covered.
    pub(super) fn settle(
        &mut self,
        run: RunId,
        used: Option<(u64, u64)>,
    ) -> Option<(i64, i64, u64)> {
        let n = self.holds.iter().position(|hold| hold.run == run)?;
        let hold = self.holds.remove(n);
        let cost = used.map_or(0, |(prompt, output)| cost(prompt, output));
        let mut due = cost;
        let mut parts = hold.parts;
        parts.sort_by_key(|(lot, _)| self.order(*lot));
        for (lot, amount) in parts {
            let paid = due.min(amount);
            due -= paid;
            self.lots[lot].0 += amount - paid;
        }
        self.expire();
        let above = due.min(self.balance());
        self.take(above);
        due -= above;
        self.consumed += cost - due;
        Some((cost - due, due, hold.covered))
    }
}

struct Play<'a> {
    bank: &'a Bank,
    account: AccountId,
    paper: Paper,
    start: Timestamp,
    holds: Vec<(RunId, HoldId)>,
}

impl Play<'_> {
    fn at(&self, seconds: u64) -> Timestamp {
        self.start + Duration::from_secs(seconds)
    }

    async fn hold_in(&self, request: HoldRequest) -> HoldOutcome {
        let args = (self.bank.money.clone(), request);
        self.bank
            .store
            .write(
                &self.bank.ctx(),
                Durability::Fast,
                args,
                |uow, (money, request)| Box::pin(money.hold_in(uow, request)),
            )
            .await
            .unwrap()
    }

    async fn play(&mut self, op: Op) {
        match op {
            Op::Allocate(amount, expiry) => {
                let expiry = expiry.map(|after| self.paper.now + after);
                self.bank
                    .give(self.account, amount, expiry.map(|at| self.at(at)))
                    .await;
                self.paper.allocate(amount, expiry);
            }
            Op::Hold(prompt, max, extendable) => self.play_hold(prompt, max, extendable).await,
            Op::Extend(n) if n < self.holds.len() => self.play_extend(n).await,
            Op::Settle(n, used) if n < self.holds.len() => {
                let (run, _) = self.holds.remove(n);
                let (charged, shortfall, _) = self.paper.settle(run, used).unwrap();
                let settled = self.bank.settle(run, used).await;
                assert_eq!(
                    (settled.charged, settled.shortfall),
                    (micros(charged), micros(shortfall))
                );
                assert_eq!(settled.balance.micros(), self.paper.balance());
                // Once more: nothing happens, and the answer is the same.
                assert_eq!(self.bank.settle(run, Some((1, 1))).await, settled);
            }
            Op::Extend(_) | Op::Settle(..) => {}
            Op::Record(prompt_tokens, completion_tokens) => {
                let record = Record {
                    user: self.account,
                    model: MODEL.to_owned(),
                    prompt_tokens,
                    completion_tokens,
                    metadata: serde_json::Value::Null,
                };
                let (paid, shortfall) = self.paper.record(prompt_tokens, completion_tokens);
                let recorded = self
                    .bank
                    .money
                    .record(&self.bank.ctx(), record)
                    .await
                    .unwrap();
                assert_eq!(recorded.credits.micros(), paid);
                assert_eq!(recorded.shortfall.micros(), shortfall);
            }
            Op::Advance(seconds) => {
                self.paper.now += seconds;
                self.bank.clock.set(self.at(self.paper.now));
                self.paper.expire();
            }
            Op::Sweep => drop(self.bank.money.sweep(&self.bank.system()).await.unwrap()),
        }
        let paper = (self.paper.balance(), self.paper.held());
        assert_eq!(self.bank.has(self.account).await, paper);
    }

    async fn play_hold(&mut self, prompt: u64, max: Option<u64>, extendable: bool) {
        let mut request = self.bank.request(self.account, prompt, max);
        request.extendable = extendable;
        let run = request.run;
        let expected = self.paper.hold(run, prompt, max, extendable);
        match self.hold_in(request).await {
            HoldOutcome::Held(hold) => {
                let held = Asked::Held(hold.amount.micros(), hold.output_tokens);
                assert_eq!(held, expected);
                self.holds.push((run, hold.id));
            }
            HoldOutcome::Wait(_) => assert_eq!(Asked::Wait, expected),
            HoldOutcome::Refused(error) => {
                assert!(error.is(codes::INSUFFICIENT_CREDITS));
                assert_eq!(Asked::Refused, expected);
            }
        }
    }

    async fn play_extend(&mut self, n: usize) {
        let (run, id) = self.holds[n];
        let extension = self.bank.money.extend(&self.bank.ctx(), id).await.unwrap();
        assert_eq!(
            Some((extension.output_tokens, extension.exhausted)),
            self.paper.extend(run)
        );
    }
}

fn against_the_paper(bank: &Bank, runtime: &tokio::runtime::Runtime, cases: u32) {
    let total = std::cell::RefCell::new((0, 0, 0));
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(ops in proptest::collection::vec(op(), 1..60))| {
        runtime.block_on(async {
            let account = bank.user(0).await;
            let start = bank.clock.now();
            let mut play = Play { bank, account, paper: Paper::default(), start, holds: Vec::new() };
            for op in ops {
                play.play(op).await;
            }
            while !play.holds.is_empty() {
                play.play(Op::Settle(0, None)).await;
            }
            play.play(Op::Advance(100)).await;
            let mut total = total.borrow_mut();
            total.0 += i128::from(play.paper.allocated);
            total.1 += i128::from(play.paper.consumed);
            total.2 += i128::from(play.paper.expired);
        });
    });
    let report = runtime.block_on(bank.verified());
    let (allocated, consumed, expired) = *total.borrow();
    assert_eq!(
        (report.allocated, report.consumed, report.expired),
        (allocated, consumed, expired)
    );
    assert_eq!((report.open_holds, report.held), (0, 0));
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn the_ledger_does_as_paper_does_sqlite() {
    let runtime = runtime();
    let mut bank = runtime.block_on(Bank::sqlite(options()));
    runtime.block_on(bank.reprice(IN, OUT));
    against_the_paper(&bank, &runtime, 64);
}

#[test]
fn the_ledger_does_as_paper_does_postgres() {
    let runtime = runtime();
    if let Some(mut bank) = runtime.block_on(Bank::postgres(options())) {
        runtime.block_on(bank.reprice(IN, OUT));
        against_the_paper(&bank, &runtime, 16);
    }
}

on_both! {
    async fn whatever_happens_at_once_the_books_add_up(bank: options()) {
        let mut rng = proptest::test_runner::TestRunner::deterministic();
        let many = proptest::collection::vec((op(), 0..2_usize), 40);
        let accounts = [bank.user(500).await, bank.user(500).await];
        let open = std::sync::Arc::new(std::sync::Mutex::new(Vec::<(RunId, HoldId)>::new()));
        let bank = std::sync::Arc::new(bank);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let ops = many.new_tree(&mut rng).unwrap().current();
                let (bank, open) = (bank.clone(), open.clone());
                tokio::task::spawn(async move {
                    for (op, whose) in ops {
                        at_once(&bank, accounts[whose], &open, op).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let left = std::mem::take(&mut *open.lock().unwrap());
        for (run, _) in left {
            bank.settle(run, Some((1, 1))).await;
        }
        let report = bank.verified().await;
        assert_eq!((report.open_holds, report.held), (0, 0));
        assert!(report.consumed > 0 && report.expired > 0 && report.transfers > 100);
        assert_eq!(report.balance + report.consumed + report.expired, report.allocated);
    }
}

async fn at_once(
    bank: &Bank,
    account: AccountId,
    open: &std::sync::Mutex<Vec<(RunId, HoldId)>>,
    op: Op,
) {
    let any = |n: usize| {
        let open = open.lock().unwrap();
        open.get(n % open.len().max(1)).copied()
    };
    match op {
        Op::Allocate(amount, expiry) => {
            let at = expiry.map(|after| bank.clock.now() + Duration::from_secs(1_500 + 10 * after));
            bank.give(account, amount, at).await;
        }
        Op::Hold(prompt, max, extendable) => {
            let request = HoldRequest {
                extendable,
                ..bank.request(account, prompt, max)
            };
            let run = request.run;
            match bank.hold(request).await {
                Ok(hold) => open.lock().unwrap().push((run, hold.id)),
                Err(error) => assert!(error.is(codes::INSUFFICIENT_CREDITS), "{error:?}"),
            }
        }
        Op::Extend(n) => {
            if let Some((_, hold)) = any(n) {
                bank.money.extend(&bank.ctx(), hold).await.unwrap();
            }
        }
        // Deliberately not taken off the list: holds are settled twice.
        Op::Settle(n, used) => {
            if let Some((run, _)) = any(n) {
                bank.settle(run, used).await;
            }
        }
        Op::Record(prompt_tokens, completion_tokens) => {
            let record = Record {
                user: account,
                model: MODEL.to_owned(),
                prompt_tokens,
                completion_tokens,
                metadata: serde_json::Value::Null,
            };
            bank.money.record(&bank.ctx(), record).await.unwrap();
        }
        Op::Advance(seconds) => bank.clock.advance(Duration::from_secs(seconds * 20)),
        Op::Sweep => drop(bank.money.sweep(&bank.system()).await.unwrap()),
    }
}
