//! Random operations on one wallet by several at once: whatever each of them was
//! answered, there is an order, one after the other, in which paper answers the
//! same. An order in which nothing comes before what had ended when it began; and
//! each may take for the time what the clock said at any moment while it went on.

use std::{
    collections::{BTreeMap, HashSet},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kernel::{AccountId, HoldId, RunId, Timestamp, codes};
use proptest::prelude::*;
use store::Durability;

use super::{
    model::{Asked, IN, OUT, Op, Paper, op, options, runtime},
    *,
};
use crate::{Allocate, HoldOutcome, Record};

/// What was asked and what was answered, in micro-credits, tokens and seconds.
#[derive(Debug, Clone)]
enum Done {
    /// Amount, when it expires; the balance then.
    Allocated(i64, Option<u64>, i64),
    /// Run, tokens of the prompt, of the answer at most, whether it is extended.
    Held(RunId, u64, Option<u64>, bool, Asked),
    Extended(RunId, (u64, bool)),
    /// What was used; what was charged, what was not, the balance then.
    Settled(RunId, Option<(u64, u64)>, (i64, i64, i64)),
    Recorded(u64, u64, (i64, i64)),
    /// Available and held.
    Seen(i64, i64),
    Swept,
    /// The clock, by so many seconds.
    Advanced(u64),
}

/// One operation of somebody, and when it began and ended by a common count.
#[derive(Debug, Clone)]
struct Call {
    begun: u64,
    ended: u64,
    done: Done,
    /// What the clock said meanwhile.
    times: RangeInclusive<u64>,
}

/// Takes the clock's own calls out, and tells the others what time it may have been.
fn with_times(mut calls: Vec<Vec<Call>>) -> Vec<Vec<Call>> {
    let moved = |call: &Call| match call.done {
        Done::Advanced(seconds) => Some((call.begun, call.ended, seconds)),
        _ => None,
    };
    let clock: Vec<(u64, u64, u64)> = calls.iter().flatten().filter_map(moved).collect();
    for call in calls.iter_mut().flatten() {
        let before = clock.iter().filter(|(_, ended, _)| *ended < call.begun);
        let by_then = clock.iter().filter(|(begun, ..)| *begun < call.ended);
        let sum = |(_, _, seconds): &(u64, u64, u64)| *seconds;
        call.times = before.map(sum).sum()..=by_then.map(sum).sum();
    }
    for calls in &mut calls {
        calls.retain(|call| moved(call).is_none());
    }
    calls
}

/// Paper, with the answers that stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Sheet {
    paper: Paper,
    /// Settled runs: what was answered, and the output tokens that were covered.
    settled: BTreeMap<RunId, ((i64, i64, i64), u64)>,
}

impl Sheet {
    /// Does it at this time, if it gives the same answer.
    fn explains(&mut self, done: &Done, time: u64) -> bool {
        self.paper.now = time;
        self.paper.expire();
        let same = self.answers(done);
        self.paper.now = 0;
        same
    }

    fn answers(&mut self, done: &Done) -> bool {
        let paper = &mut self.paper;
        match *done {
            Done::Allocated(amount, expiry, balance) => {
                paper.allocate(amount, expiry);
                paper.balance() == balance
            }
            Done::Held(run, prompt, max, grows, asked) => {
                paper.hold(run, prompt, max, grows) == asked
            }
            Done::Extended(run, extension) => match self.settled.get(&run) {
                Some((_, covered)) => (*covered, true) == extension,
                None => paper.extend(run) == Some(extension),
            },
            Done::Settled(run, used, answer) => {
                if let Some((settled, _)) = self.settled.get(&run) {
                    return *settled == answer;
                }
                let Some((charged, shortfall, covered)) = paper.settle(run, used) else {
                    return false;
                };
                let settled = (charged, shortfall, paper.balance());
                self.settled.insert(run, (settled, covered));
                settled == answer
            }
            Done::Recorded(prompt, output, answer) => paper.record(prompt, output) == answer,
            Done::Seen(balance, held) => (paper.balance(), paper.held()) == (balance, held),
            Done::Swept | Done::Advanced(_) => true,
        }
    }
}

/// Looks for an order of what is left of everybody's calls.
fn in_order(
    calls: &[Vec<Call>],
    at: &mut Vec<usize>,
    sheet: &Sheet,
    been: &mut HashSet<(Vec<usize>, Sheet)>,
) -> bool {
    let next = |at: &[usize]| -> Vec<(usize, Call)> {
        let nexts = calls.iter().zip(at).map(|(calls, at)| calls.get(*at));
        nexts
            .enumerate()
            .filter_map(|(who, call)| Some((who, call?.clone())))
            .collect()
    };
    let open = next(at);
    let Some(first_end) = open.iter().map(|(_, call)| call.ended).min() else {
        return true;
    };
    if !been.insert((at.clone(), sheet.clone())) {
        return false;
    }
    for (who, call) in open.into_iter().filter(|(_, call)| call.begun <= first_end) {
        for time in call.times {
            let mut then = sheet.clone();
            if then.explains(&call.done, time) {
                at[who] += 1;
                if in_order(calls, at, &then, been) {
                    return true;
                }
                at[who] -= 1;
            }
        }
    }
    false
}

/// One wallet, and those who use it.
struct Scene {
    bank: Arc<Bank>,
    account: AccountId,
    start: Timestamp,
    count: AtomicU64,
    holds: Mutex<Vec<(RunId, HoldId)>>,
}

impl Scene {
    /// Somebody's operations, one after the other.
    async fn act(self: Arc<Self>, ops: Vec<(Op, bool)>) -> Vec<Call> {
        let mut calls = Vec::new();
        for (op, look) in ops {
            calls.extend(self.call(self.operate(op)).await);
            if look {
                calls.extend(self.call(self.look()).await);
            }
        }
        calls
    }

    async fn call(&self, work: impl Future<Output = Option<Done>>) -> Option<Call> {
        let begun = self.count.fetch_add(1, Ordering::SeqCst);
        let done = work.await?;
        let ended = self.count.fetch_add(1, Ordering::SeqCst);
        let times = 0..=0;
        Some(Call {
            begun,
            ended,
            done,
            times,
        })
    }

    async fn look(&self) -> Option<Done> {
        let (balance, held) = self.bank.has(self.account).await;
        Some(Done::Seen(balance, held))
    }

    async fn operate(&self, op: Op) -> Option<Done> {
        match op {
            Op::Allocate(amount, expiry) => self.allocate(amount, expiry).await,
            Op::Hold(prompt, max, grows) => Some(self.hold(prompt, max, grows).await),
            Op::Extend(n) => {
                let (run, hold) = self.any(n)?;
                let ctx = self.bank.ctx();
                let extension = self.bank.money.extend(&ctx, hold).await.unwrap();
                let told = (extension.output_tokens, extension.exhausted);
                Some(Done::Extended(run, told))
            }
            Op::Settle(n, used) => self.settle(self.any(n)?.0, used).await,
            Op::Record(prompt_tokens, completion_tokens) => {
                let record = Record {
                    user: self.account,
                    model: MODEL.to_owned(),
                    prompt_tokens,
                    completion_tokens,
                    metadata: serde_json::Value::Null,
                };
                let ctx = self.bank.ctx();
                let told = self.bank.money.record(&ctx, record).await.unwrap();
                let told = (told.credits.micros(), told.shortfall.micros());
                Some(Done::Recorded(prompt_tokens, completion_tokens, told))
            }
            Op::Advance(seconds) => {
                self.bank.clock.advance(Duration::from_secs(seconds));
                Some(Done::Advanced(seconds))
            }
            Op::Sweep => {
                self.bank.money.sweep(&self.bank.system()).await.unwrap();
                Some(Done::Swept)
            }
        }
    }

    /// Nothing, when it has expired before it is there.
    async fn allocate(&self, amount: i64, expiry: Option<u64>) -> Option<Done> {
        let now = self.bank.clock.now().duration_since(self.start).as_secs();
        let expiry = expiry.map(|after| u64::try_from(now).unwrap() + after);
        let allocate = Allocate {
            target: self.account,
            amount: micros(amount),
            expires_at: expiry.map(|at| self.start + Duration::from_secs(at)),
            note: None,
        };
        match self.bank.money.allocate(&self.bank.ctx(), allocate).await {
            Ok(told) => Some(Done::Allocated(amount, expiry, told.balance.micros())),
            Err(error) => {
                assert!(error.is(codes::VALIDATION_FAILED), "{error:?}");
                None
            }
        }
    }

    async fn hold(&self, prompt: u64, max: Option<u64>, grows: bool) -> Done {
        let request = HoldRequest {
            extendable: grows,
            ..self.bank.request(self.account, prompt, max)
        };
        let run = request.run;
        let args = (self.bank.money.clone(), request);
        let ctx = self.bank.ctx();
        let asked = self
            .bank
            .store
            .write(&ctx, Durability::Fast, args, |uow, (money, request)| {
                Box::pin(money.hold_in(uow, request))
            });
        let told = match asked.await.unwrap() {
            HoldOutcome::Held(hold) => {
                self.holds.lock().unwrap().push((run, hold.id));
                Asked::Held(hold.amount.micros(), hold.output_tokens)
            }
            HoldOutcome::Wait(_) => Asked::Wait,
            HoldOutcome::Refused(_) => Asked::Refused,
        };
        Done::Held(run, prompt, max, grows, told)
    }

    async fn settle(&self, run: RunId, used: Option<(u64, u64)>) -> Option<Done> {
        let told = self.bank.settle(run, used).await;
        let told = (
            told.charged.micros(),
            told.shortfall.micros(),
            told.balance.micros(),
        );
        Some(Done::Settled(run, used, told))
    }

    /// One of the holds so far, perhaps settled since.
    fn any(&self, n: usize) -> Option<(RunId, HoldId)> {
        let holds = self.holds.lock().unwrap();
        holds.get(n % holds.len().max(1)).copied()
    }
}

/// How much happened at once, over all cases.
#[derive(Debug, Default)]
struct Seen {
    held: usize,
    waits: usize,
    refused: usize,
    overlaps: usize,
}

impl Seen {
    fn add(&mut self, calls: &[Vec<Call>]) {
        let all: Vec<&Call> = calls.iter().flatten().collect();
        for call in &all {
            match call.done {
                Done::Held(.., Asked::Held(..)) => self.held += 1,
                Done::Held(.., Asked::Wait) => self.waits += 1,
                Done::Held(.., Asked::Refused) => self.refused += 1,
                _ => {}
            }
            let within = |other: &&&Call| call.begun < other.begun && other.begun < call.ended;
            self.overlaps += all.iter().filter(within).count();
        }
    }
}

async fn play(bank: Arc<Bank>, sets: Vec<Vec<(Op, bool)>>) -> Vec<Vec<Call>> {
    let account = bank.user(0).await;
    let scene = Arc::new(Scene {
        start: bank.clock.now(),
        bank,
        account,
        count: AtomicU64::new(0),
        holds: Mutex::default(),
    });
    let first = vec![(Op::Allocate(12, None), true)];
    let mut calls = vec![scene.clone().act(first).await];
    let tasks: Vec<_> = sets
        .into_iter()
        .map(|ops| tokio::spawn(scene.clone().act(ops)))
        .collect();
    for task in tasks {
        calls.push(task.await.unwrap());
    }
    // Then everything that is still held comes back, and is seen.
    let held = scene.holds.lock().unwrap().clone();
    let mut last = Vec::new();
    for (run, _) in held {
        last.extend(scene.call(scene.settle(run, None)).await);
    }
    last.extend(scene.call(scene.look()).await);
    calls.push(last);
    calls
}

fn check(bank: Bank, runtime: &tokio::runtime::Runtime, cases: u32) {
    let bank = Arc::new(bank);
    let seen = std::cell::RefCell::new(Seen::default());
    let ops = proptest::collection::vec((op(), any::<bool>()), 1..7);
    let config = ProptestConfig {
        cases,
        // The same operations need not fall the same way again.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(sets in proptest::collection::vec(ops, 2..6))| {
        let calls = runtime.block_on(play(bank.clone(), sets));
        seen.borrow_mut().add(&calls);
        let calls = with_times(calls);
        let mut at = vec![0; calls.len()];
        let found = in_order(&calls, &mut at, &Sheet::default(), &mut HashSet::new());
        let told = calls.iter().map(|calls| format!("{calls:?}\n")).collect::<String>();
        prop_assert!(found, "no order gives these answers:\n{told}");
    });
    let seen = seen.into_inner();
    println!("{seen:?}");
    assert!(seen.held > 20 && seen.waits > 0 && seen.refused > 0 && seen.overlaps > 100);
    let report = runtime.block_on(bank.verified());
    assert_eq!((report.open_holds, report.held), (0, 0));
}

#[test]
fn whatever_happens_at_once_could_have_happened_in_some_order_sqlite() {
    let runtime = runtime();
    let mut bank = runtime.block_on(Bank::sqlite(options()));
    runtime.block_on(bank.reprice(IN, OUT));
    check(bank, &runtime, 128);
}

#[test]
fn whatever_happens_at_once_could_have_happened_in_some_order_postgres() {
    let runtime = runtime();
    if let Some(mut bank) = runtime.block_on(Bank::postgres(options())) {
        runtime.block_on(bank.reprice(IN, OUT));
        check(bank, &runtime, 48);
    }
}
