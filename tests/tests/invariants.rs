//! What must be true of the money and the runs whenever nothing is at work,
//! looked up in the database itself.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value as Json;
use testkit::{Database, TestServer};

fn text<'a>(row: &'a Json, name: &str) -> &'a str {
    row[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {row}"))
}

fn number(row: &Json, name: &str) -> i64 {
    row[name]
        .as_i64()
        .unwrap_or_else(|| panic!("{name} in {row}"))
}

/// Every invariant, with nothing at work.
pub(crate) async fn hold(server: &TestServer) {
    let database = server.database();
    ledger(database).await;
    runs(database).await;
    conversations(database).await;
}

/// Each wallet's chain of transfers, both sides of each, and what follows from
/// them: balance + held + consumed = issued, nothing held, nothing negative.
pub(crate) async fn ledger(database: &Database) {
    let wallets = database
        .rows("SELECT id, balance, held, entries FROM wallets")
        .await;
    let transfers = database
        .rows(
            "SELECT wallet_id, sequence, kind, debit, credit, amount, effect, balance_after, hold_id, run_id
             FROM transfers ORDER BY wallet_id, sequence",
        )
        .await;
    let mut of_wallet: HashMap<&str, Vec<&Json>> = HashMap::new();
    for transfer in &transfers {
        of_wallet
            .entry(text(transfer, "wallet_id"))
            .or_default()
            .push(transfer);
    }
    let mut consumed_in_all = 0;
    for wallet in &wallets {
        let chain = of_wallet.remove(text(wallet, "id")).unwrap_or_default();
        let mut accounts: BTreeMap<&str, i64> = BTreeMap::new();
        let mut balance = 0;
        for (transfer, sequence) in chain.iter().zip(1..) {
            assert_eq!(
                number(transfer, "sequence"),
                sequence,
                "a gap in the ledger: {transfer}"
            );
            balance += number(transfer, "effect");
            assert_eq!(
                number(transfer, "balance_after"),
                balance,
                "a broken chain: {transfer}"
            );
            assert!(balance >= 0, "overspent: {transfer}");
            *accounts.entry(text(transfer, "debit")).or_default() -= number(transfer, "amount");
            *accounts.entry(text(transfer, "credit")).or_default() += number(transfer, "amount");
        }
        let of = |account: &str| accounts.get(account).copied().unwrap_or_default();
        assert_eq!(accounts.values().sum::<i64>(), 0, "the ledger sums to zero");
        assert_eq!(number(wallet, "entries"), chain.len() as i64, "{wallet}");
        assert_eq!(number(wallet, "balance"), of("available"), "{wallet}");
        assert_eq!(number(wallet, "held"), of("held"), "{wallet}");
        assert_eq!(of("held"), 0, "credits are still held: {wallet} {chain:?}");
        assert_eq!(
            of("available") + of("consumption"),
            -of("issuance"),
            "{wallet}"
        );
        consumed_in_all += of("consumption");
    }
    assert!(
        of_wallet.is_empty(),
        "transfers of no wallet: {of_wallet:?}"
    );
    let recorded = database.rows("SELECT credits FROM usage_records").await;
    let recorded: i64 = recorded.iter().map(|row| number(row, "credits")).sum();
    assert_eq!(recorded, consumed_in_all, "usage and consumption agree");

    let open = database
        .rows("SELECT * FROM holds WHERE state = 'open'")
        .await;
    assert!(open.is_empty(), "holds are open: {open:?}");
    let lots = database.rows("SELECT wallet_id, remaining FROM lots").await;
    for wallet in &wallets {
        let of = lots.iter().filter(|lot| lot["wallet_id"] == wallet["id"]);
        let left: i64 = of.map(|lot| number(lot, "remaining")).sum();
        assert_eq!(left, number(wallet, "balance"), "the lots of {wallet}");
    }
    // A hold is settled by at most one transfer.
    let mut settled: HashMap<&str, u32> = HashMap::new();
    for transfer in transfers.iter().filter(|row| row["kind"] == "settle") {
        *settled.entry(text(transfer, "hold_id")).or_default() += 1;
    }
    assert!(
        settled.values().all(|times| *times == 1),
        "settled twice: {settled:?}"
    );
}

/// One event of a stored log: its position, its name, its data.
pub(crate) type Stored = ((i64, i64), String, Json);

/// The stored log of every run.
pub(crate) async fn logs(database: &Database) -> HashMap<String, Vec<Stored>> {
    let segments = database
        .rows(
            "SELECT run_id, epoch, first_seq, last_seq, payload FROM run_segments
             ORDER BY run_id, epoch, first_seq",
        )
        .await;
    let mut logs: HashMap<String, Vec<Stored>> = HashMap::new();
    for segment in &segments {
        let log = logs.entry(text(segment, "run_id").to_owned()).or_default();
        let (epoch, first) = (number(segment, "epoch"), number(segment, "first_seq"));
        let before = log.last().map_or((0, 0), |(position, ..)| *position);
        let follows = if epoch == before.0 {
            first == before.1 + 1
        } else {
            epoch > before.0 && first == 1
        };
        assert!(follows, "a gap in the log before {segment}");
        let lines: Vec<&str> = text(segment, "payload").lines().collect();
        assert_eq!(
            number(segment, "last_seq") - first + 1,
            lines.len() as i64,
            "{segment}"
        );
        for (line, seq) in lines.into_iter().zip(first..) {
            let (kind, data) = line.split_once('\t').expect("kind TAB data");
            let data = serde_json::from_str(data).expect("JSON");
            log.push(((epoch, seq), kind.to_owned(), data));
        }
    }
    logs
}

/// The text a stored log amounts to.
pub(crate) fn text_of(log: &[Stored]) -> String {
    let mut out = String::new();
    for (_, kind, data) in log {
        match kind.as_str() {
            "" => out.push_str(data["text"].as_str().expect("a text")),
            "reset" => data["text"].as_str().expect("a text").clone_into(&mut out),
            _ => {}
        }
    }
    out
}

/// Every run has ended, once, with an `end` that is the last of its log and
/// agrees with its row.
pub(crate) async fn runs(database: &Database) {
    let runs = database
        .rows("SELECT id, state, end_reason, epoch FROM runs")
        .await;
    let logs = logs(database).await;
    for run in &runs {
        let state = text(run, "state");
        assert!(
            ["succeeded", "failed", "cancelled"].contains(&state),
            "not ended: {run}"
        );
        let log = logs
            .get(text(run, "id"))
            .unwrap_or_else(|| panic!("no log of {run}"));
        let ends = log.iter().filter(|(_, kind, _)| kind == "end").count();
        assert_eq!(ends, 1, "{run} has {ends} ends: {log:?}");
        let (position, kind, data) = log.last().expect("an event");
        assert_eq!(kind, "end", "{run}: {log:?}");
        assert_eq!(data["end_reason"], run["end_reason"], "{run}");
        assert!(position.0 <= number(run, "epoch"), "{run}: {position:?}");
        assert_eq!(log.first().expect("an event").1, "start", "{run}: {log:?}");
    }
}

/// No conversation is busy; every answer is the text of its run's log, and only
/// an interrupted run has an interrupted message.
pub(crate) async fn conversations(database: &Database) {
    let busy = database
        .rows("SELECT id, active_run FROM conversations WHERE active_run IS NOT NULL")
        .await;
    assert!(busy.is_empty(), "conversations are busy: {busy:?}");
    let logs = logs(database).await;
    let answers = database
        .rows(
            "SELECT m.id, m.content, m.status, m.run_id, r.end_reason FROM messages m
             JOIN runs r ON r.id = m.run_id WHERE m.role = 'assistant'",
        )
        .await;
    let mut seen = std::collections::HashSet::new();
    for answer in &answers {
        let run = text(answer, "run_id");
        assert!(seen.insert(run), "two answers of run {run}");
        assert_eq!(text(answer, "content"), text_of(&logs[run]), "{answer}");
        let interrupted = text(answer, "end_reason") == "interrupted";
        assert_eq!(
            text(answer, "status") == "interrupted",
            interrupted,
            "{answer}"
        );
    }
}
