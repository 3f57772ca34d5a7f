//! What clients can ask for: who may, what is answered, what is refused.

use kernel::{Code, Error, ErrorKind, Idempotency, Page, Result, codes};

use super::*;
use crate::{Allocate, Calculate, Check, GroupBy, HoldOutcome, Record, StatsQuery};

fn allocate(target: AccountId, credits: Credits) -> Allocate {
    Allocate {
        target,
        amount: credits,
        expires_at: None,
        note: None,
    }
}

fn record(user: AccountId, prompt_tokens: u64, completion_tokens: u64) -> Record {
    let metadata = serde_json::json!({"source": "test"});
    Record {
        user,
        model: MODEL.to_owned(),
        prompt_tokens,
        completion_tokens,
        metadata,
    }
}

fn check(user: Option<AccountId>, prompt_tokens: u64, max_tokens: Option<u64>) -> Check {
    Check {
        user,
        model: MODEL.to_owned(),
        prompt_tokens,
        max_tokens,
        extendable: true,
    }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.unwrap_err().code()
}

on_both! {
    async fn the_ledger_tells_every_step(bank: bare()) {
        let (admin, by_admin) = bank.member(&[Role::Admin]).await;
        let (account, ctx) = bank.member(&[Role::User]).await;
        let given = Allocate { note: Some("welcome".into()), ..allocate(account, micros(5_000)) };
        let answer = bank.money.allocate(&by_admin, given).await.unwrap();
        assert_eq!(answer.balance, micros(5_000));
        assert_eq!(answer.message, "Allocated 0.005 credits.");
        let request = bank.request(account, 100, None);
        let run = request.run;
        let hold = bank.hold(request).await.unwrap();
        assert_eq!((hold.amount, hold.output_tokens), (micros(100 + 256 * 3), 256));
        let extension = bank.money.extend(&bank.ctx(), hold.id).await.unwrap();
        assert_eq!((extension.output_tokens, extension.exhausted), (512, false));
        let settled = bank.settle(run, Some((100, 300))).await;
        assert_eq!((settled.charged, settled.balance), (micros(1_000), micros(4_000)));
        bank.money.record(&by_admin, record(account, 10, 10)).await.unwrap();

        let ledger = bank.money.ledger(&ctx, None, Page::default()).await.unwrap();
        let told: Vec<_> = ledger
            .data
            .iter()
            .map(|e| (e.kind.as_str(), e.amount.micros(), e.balance_after.micros(), e.run_id))
            .collect();
        assert_eq!(
            told,
            [
                ("record", -40, 3_960, None),
                ("settle", -1_000, 4_000, Some(run)),
                ("release", 1_636, 5_000, Some(run)),
                ("extend", -768, 3_364, Some(run)),
                ("hold", -868, 4_132, Some(run)),
                ("allocate", 5_000, 5_000, None),
            ]
        );
        assert_eq!(ledger.meta.total, 6);
        assert_eq!(ledger.data[5].note.as_deref(), Some("welcome"));
        let second = Page::new(Some(2), Some(4));
        let second = bank.money.ledger(&by_admin, Some(account), second).await.unwrap();
        assert_eq!((second.data.len(), second.meta.pages), (2, 2));
        assert_eq!(second.data[..], ledger.data[4..]);
        assert_eq!(bank.has(admin).await, (0, 0));
        bank.verified().await;
    }

    async fn only_admins_look_at_others_and_only_at_their_own_tenant(bank: bare()) {
        let (account, ctx) = bank.member(&[Role::User]).await;
        let (other, _) = bank.member(&[Role::User, Role::Supervisor]).await;
        let (_, admin) = bank.member(&[Role::Admin]).await;
        let elsewhere = bank.store.env().ids.next();
        let (foreign, by_foreign) = bank.member_of(elsewhere, &[Role::Admin]).await;
        let nobody = bank.store.env().ids.next();
        let page = Page::default();
        let stats = |user| StatsQuery { user, ..StatsQuery::default() };
        assert!(bank.money.balance(&ctx, Some(account)).await.is_ok());
        assert_eq!(code(bank.money.balance(&ctx, Some(other)).await), codes::FORBIDDEN);
        assert_eq!(code(bank.money.ledger(&ctx, Some(other), page).await), codes::FORBIDDEN);
        assert_eq!(code(bank.money.stats(&ctx, stats(Some(other))).await), codes::FORBIDDEN);
        assert_eq!(code(bank.money.check(&ctx, check(Some(other), 1, None)).await), codes::FORBIDDEN);
        assert_eq!(code(bank.money.record(&ctx, record(account, 1, 1)).await), codes::FORBIDDEN);
        let grab = allocate(account, Credits::whole(1));
        assert_eq!(code(bank.money.allocate(&ctx, grab).await), codes::FORBIDDEN);
        assert!(bank.money.balance(&admin, Some(other)).await.is_ok());
        for unknown in [foreign, nobody] {
            assert_eq!(code(bank.money.balance(&admin, Some(unknown)).await), codes::NOT_FOUND);
            assert_eq!(code(bank.money.ledger(&admin, Some(unknown), page).await), codes::NOT_FOUND);
            assert_eq!(code(bank.money.stats(&admin, stats(Some(unknown))).await), codes::NOT_FOUND);
            assert_eq!(code(bank.money.record(&admin, record(unknown, 1, 1)).await), codes::NOT_FOUND);
            let give = allocate(unknown, Credits::whole(1));
            assert_eq!(code(bank.money.allocate(&admin, give).await), codes::NOT_FOUND);
            let check = check(Some(unknown), 1, None);
            assert_eq!(code(bank.money.check(&admin, check).await), codes::NOT_FOUND);
        }
        assert_eq!(code(bank.money.balance(&by_foreign, Some(account)).await), codes::NOT_FOUND);
        let service = Actor::Service { name: "worker".into() };
        let service = Context::new(bank.tenant, service, bank.store.env().ids.next());
        assert_eq!(code(bank.money.balance(&service, Some(account)).await), codes::FORBIDDEN);
        assert!(bank.money.check(&service, check(Some(account), 1, None)).await.is_ok());
        assert!(bank.money.record(&service, record(account, 1, 1)).await.is_ok());
        let nobody = check(None, 1, None);
        assert_eq!(code(bank.money.check(&service, nobody).await), codes::VALIDATION_FAILED);
        let anonymous = Context::new(bank.tenant, Actor::Anonymous, bank.store.env().ids.next());
        assert_eq!(code(bank.money.balance(&anonymous, None).await), codes::NOT_AUTHENTICATED);
        let give = allocate(account, Credits::whole(1));
        assert_eq!(code(bank.money.allocate(&anonymous, give).await), codes::NOT_AUTHENTICATED);
    }

    /// Another tenant's run and hold are as good as absent.
    async fn holds_of_other_tenants_are_absent(bank: bare()) {
        let account = bank.user(1_000).await;
        let request = bank.request(account, 1, None);
        let run = request.run;
        let hold = bank.hold(request).await.unwrap();
        let foreign = bank.system_in(bank.store.env().ids.next());
        assert_eq!(code(bank.money.extend(&foreign, hold.id).await), codes::NOT_FOUND);
        let settle = bank
            .store
            .write(&foreign, Durability::Durable, bank.money.clone(), move |uow, money| {
                Box::pin(money.settle_in(uow, run, None))
            })
            .await;
        assert_eq!(code(settle), codes::NOT_FOUND);
        bank.settle(run, None).await;
        bank.verified().await;
    }

    async fn amounts_that_make_no_sense_are_refused(bank: bare()) {
        let (account, _) = bank.member(&[Role::User]).await;
        let (_, admin) = bank.member(&[Role::Admin]).await;
        for amount in [0, -1, i64::MIN, i64::MAX, 1_000_000_000_000_000] {
            let error = bank.money.allocate(&admin, allocate(account, micros(amount))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{amount}: {error:?}");
            assert_eq!(error.fields()[0].field, "amount");
        }
        let most = micros(999_999_999_999_999);
        bank.money.allocate(&admin, allocate(account, most)).await.unwrap();
        // What is held counts too: it may come back.
        let request = bank.request(account, 10, None);
        bank.hold(request).await.unwrap();
        let error = bank.money.allocate(&admin, allocate(account, micros(1))).await.unwrap_err();
        assert!(error.is(codes::VALIDATION_FAILED));
        let past = Allocate { expires_at: Some(bank.clock.now()), ..allocate(account, micros(1)) };
        assert_eq!(code(bank.money.allocate(&admin, past).await), codes::VALIDATION_FAILED);
        let long = Allocate { note: Some("x".repeat(501)), ..allocate(account, micros(1)) };
        assert_eq!(code(bank.money.allocate(&admin, long).await), codes::VALIDATION_FAILED);
        let many = record(account, u64::MAX, 1);
        assert_eq!(code(bank.money.record(&admin, many).await), codes::VALIDATION_FAILED);
        let huge = check(Some(account), u64::MAX, Some(u64::MAX));
        assert_eq!(code(bank.money.check(&admin, huge).await), codes::VALIDATION_FAILED);
        let huge = Calculate {
            model: MODEL.into(),
            prompt_tokens: u64::MAX,
            completion_tokens: u64::MAX,
        };
        assert_eq!(code(bank.money.calculate(&admin, huge).await), codes::VALIDATION_FAILED);
        let huge = bank.request(account, u64::MAX, None);
        assert_eq!(code(bank.hold(huge).await), codes::VALIDATION_FAILED);
        bank.verified().await;
    }

    /// A provider that reports nonsense cannot keep a run from ending.
    async fn absurd_usage_takes_what_is_there_and_no_more(bank: bare()) {
        let account = bank.user(1_000).await;
        let request = bank.request(account, 10, Some(10));
        let run = request.run;
        bank.hold(request).await.unwrap();
        let settled = bank.settle(run, Some((u64::MAX, u64::MAX))).await;
        assert_eq!((settled.charged, settled.balance), (micros(1_000), micros(0)));
        assert!(settled.shortfall.is_positive());
        assert_eq!(bank.has(account).await, (0, 0));
        bank.verified().await;
    }

    async fn an_allocation_happens_once_for_its_key(bank: bare()) {
        let (account, _) = bank.member(&[Role::User]).await;
        let (_, admin) = bank.member(&[Role::Admin]).await;
        let key = |body: u8| Some(Idempotency { key: "k".into(), fingerprint: [body; 32] });
        let once = admin.clone().with_idempotency(key(1));
        let first = bank.money.allocate(&once, allocate(account, micros(7))).await.unwrap();
        let again = bank.money.allocate(&once, allocate(account, micros(7))).await.unwrap();
        assert_eq!(first, again);
        let other = admin.with_idempotency(key(2));
        let error = bank.money.allocate(&other, allocate(account, micros(8))).await.unwrap_err();
        assert!(error.is(codes::IDEMPOTENCY_KEY_REUSED));
        assert_eq!(bank.has(account).await, (7, 0));
    }

    async fn checks_tell_what_a_hold_would_do(bank: bare()) {
        let (account, ctx) = bank.member(&[Role::User]).await;
        let ask = |prompt, max| bank.money.check(&ctx, check(None, prompt, max));
        let poor = ask(10, Some(100)).await.unwrap();
        assert_eq!((poor.allowed, poor.required, poor.balance), (false, micros(13), micros(0)));
        bank.give(account, 1_000, None).await;
        let rich = ask(10, Some(100)).await.unwrap();
        assert_eq!((rich.allowed, rich.required, rich.balance), (true, micros(310), micros(1_000)));
        // Only so many tokens are held first, and only what is affordable.
        assert_eq!(ask(10, None).await.unwrap().required, micros(10 + 256 * 3));
        assert_eq!(ask(980, None).await.unwrap().required, micros(980 + 18));
        // What cannot be extended is held at once, as far as it is affordable.
        for (max, required) in [(300, 10 + 300 * 3), (400, 10 + 330 * 3)] {
            let whole = Check { extendable: false, ..check(None, 10, Some(max)) };
            assert_eq!(bank.money.check(&ctx, whole).await.unwrap().required, micros(required));
        }
        assert!(!ask(998, None).await.unwrap().allowed);
        assert!(ask(998, Some(0)).await.unwrap().allowed);
        // What is held may come back: it would wait, and is not refused.
        bank.hold(bank.request(account, 900, None)).await.unwrap();
        assert!(ask(500, None).await.unwrap().allowed);
        let unknown = Check { model: "nonsense".into(), ..check(None, 1, None) };
        let error = bank.money.check(&ctx, unknown).await.unwrap_err();
        assert!(error.is(codes::INVALID_MODEL));
        assert_eq!(error.detail(), "Invalid or unsupported model ID");
        let what = |model: &str| Calculate {
            model: model.into(),
            prompt_tokens: 1_500,
            completion_tokens: 10,
        };
        let sum = bank.money.calculate(&ctx, what(MODEL)).await.unwrap();
        assert_eq!(sum.credits, micros(1_530));
        assert_eq!(sum.breakdown.prompt_credits, micros(1_500));
        assert_eq!(sum.breakdown.completion_credits, micros(30));
        assert_eq!(code(bank.money.calculate(&ctx, what("x")).await), codes::INVALID_MODEL);
    }

    async fn refused_and_waiting_write_nothing(bank: bare()) {
        let account = bank.user(20).await;
        let held = bank.request(account, 10, None);
        bank.hold(held).await.unwrap();
        let before = bank.verified().await;
        let wait = bank.request(account, 10, None);
        let too_much = bank.request(account, 30, None);
        let both = (bank.money.clone(), wait, too_much);
        bank.store
            .write(&bank.ctx(), Durability::Fast, both, |uow, (money, wait, too_much)| {
                Box::pin(async move {
                    assert!(matches!(money.hold_in(uow, wait).await?, HoldOutcome::Wait(_)));
                    match money.hold_in(uow, too_much).await? {
                        HoldOutcome::Refused(error) => {
                            assert!(error.is(codes::INSUFFICIENT_CREDITS));
                            assert!(error.detail().contains("0.000033"), "{error}");
                        }
                        other => panic!("{other:?}"),
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
        assert_eq!(bank.verified().await, before);
        let error = bank.hold(bank.request(account, 10, None)).await.unwrap_err();
        assert!(error.is(codes::INSUFFICIENT_CREDITS), "waited in vain");
    }

    async fn usage_is_summed_by_day_model_and_conversation(bank: bare()) {
        let (account, ctx) = bank.member(&[Role::User]).await;
        bank.give(account, 1_000, None).await;
        let conversation = bank.store.env().ids.next();
        for day in 0..3_u64 {
            let mut request = bank.request(account, 10, None);
            request.conversation = (day < 2).then_some(conversation);
            let run = request.run;
            bank.hold(request).await.unwrap();
            bank.settle(run, Some((10, day))).await;
            bank.clock.advance(Duration::from_secs(86_400));
        }
        let failed = bank.request(account, 10, None);
        let run = failed.run;
        bank.hold(failed).await.unwrap();
        bank.settle(run, None).await;
        bank.money.record(&bank.ctx(), record(account, 1, 1)).await.unwrap();
        let stats = |group_by, from| {
            bank.money.stats(&ctx, StatsQuery { group_by, from, ..StatsQuery::default() })
        };
        let days = stats(GroupBy::Day, None).await.unwrap();
        assert_eq!((days.totals.requests, days.totals.prompt_tokens), (4, 31));
        assert_eq!((days.totals.completion_tokens, days.totals.credits), (4, micros(43)));
        let told: Vec<_> = days.series.iter().map(|s| s.day.as_deref().unwrap()).collect();
        assert_eq!(told, ["2027-01-15", "2027-01-16", "2027-01-17", "2027-01-18"]);
        let by_conversation = stats(GroupBy::Conversation, None).await.unwrap();
        assert_eq!(by_conversation.series.len(), 2);
        let of = by_conversation.series.iter().find(|s| s.conversation_id == Some(conversation));
        assert_eq!(of.unwrap().totals.requests, 2);
        let by_model = stats(GroupBy::Model, Some(bank.clock.now())).await.unwrap();
        assert_eq!(by_model.series[0].model_id.as_deref(), Some(MODEL));
        assert_eq!(by_model.totals.requests, 1);
        let json = serde_json::to_value(&by_model).unwrap();
        assert_eq!(json["series"][0]["credits"], serde_json::json!(0.000004));
        let ever = StatsQuery {
            from: Some(Timestamp::MIN),
            to: Some(Timestamp::MAX),
            ..StatsQuery::default()
        };
        assert_eq!(bank.money.stats(&ctx, ever.clone()).await.unwrap(), days);
        let never = StatsQuery {
            to: Some(Timestamp::MIN),
            ..ever
        };
        assert_eq!(bank.money.stats(&ctx, never).await.unwrap().totals.requests, 0);
        let wrong = StatsQuery {
            from: Some(bank.clock.now()),
            to: Some(Timestamp::UNIX_EPOCH),
            ..StatsQuery::default()
        };
        assert_eq!(code(bank.money.stats(&ctx, wrong).await), codes::VALIDATION_FAILED);
    }

    async fn the_ledger_cannot_be_changed(bank: bare()) {
        let account = bank.user(10).await;
        for sql in [
            "UPDATE transfers SET amount = 1 WHERE tenant_id = $1",
            "UPDATE transfers SET note = 'x' WHERE tenant_id = $1",
            "DELETE FROM transfers WHERE tenant_id = $1",
            "UPDATE wallets SET balance = -1 WHERE tenant_id = $1",
            "UPDATE wallets SET held = -1 WHERE tenant_id = $1",
            "UPDATE lots SET remaining = 11 WHERE tenant_id = $1",
            "INSERT INTO transfers SELECT id, tenant_id, wallet_id, 99, kind, 'held', credit, amount,
               effect, balance_after, run_id, hold_id, lot_id, note, 'new', created_at
             FROM transfers WHERE tenant_id = $1",
        ] {
            let refused = bank
                .store
                .write(&bank.ctx(), Durability::Durable, sql, |uow, sql| {
                    Box::pin(async move {
                        let tenant = uow.tenant()?;
                        uow.execute(sql, params![tenant]).await
                    })
                })
                .await;
            let error: Error = refused.unwrap_err();
            assert!(store::db_class(&error).is_some(), "{sql}: {error:?}");
            assert!(!error.detail().contains("ledger"));
        }
        assert_eq!(bank.has(account).await, (10, 0));
        bank.verified().await;
    }

    async fn lots_expire_earliest_first_and_stay_good_for_their_hold(bank: bare()) {
        let account = bank.user(100).await;
        let soon = bank.clock.now() + Duration::from_secs(10);
        bank.give(account, 50, Some(soon)).await;
        // Takes the 50 that expire, and 3 of the rest.
        let request = bank.request(account, 50, Some(1));
        let run = request.run;
        bank.hold(request).await.unwrap();
        bank.clock.advance(Duration::from_secs(11));
        assert_eq!(bank.has(account).await, (97, 53));
        let settled = bank.settle(run, Some((20, 0))).await;
        assert_eq!((settled.charged, settled.balance), (micros(20), micros(100)));
        assert_eq!(bank.has(account).await, (100, 0));
        // Lazily when the balance is read, and by the sweep where nobody looks.
        let later = bank.clock.now() + Duration::from_secs(10);
        bank.give(account, 5, Some(later)).await;
        let idle = bank.user(0).await;
        bank.give(idle, 6, Some(later)).await;
        bank.clock.advance(Duration::from_secs(10));
        assert_eq!(bank.has(account).await, (100, 0));
        assert_eq!(bank.money.sweep(&bank.system()).await.unwrap(), 1);
        assert_eq!(bank.money.sweep(&bank.system()).await.unwrap(), 0);
        let report = bank.verified().await;
        assert_eq!((report.expired, report.consumed, report.balance), (41, 20, 100));
    }

    async fn a_price_is_kept_with_its_history(bank: bare()) {
        let account = bank.user(10_000).await;
        let request = bank.request(account, 1_000, Some(0));
        let run = request.run;
        bank.hold(request).await.unwrap();
        bank.clock.advance(Duration::from_secs(60));
        bank.set_price(INPUT, OUTPUT).await;
        assert_eq!(bank.newest_price().await, bank.price, "the same price is no new one");
        bank.set_price(2 * INPUT, OUTPUT).await;
        let newer = bank.newest_price().await;
        assert_eq!((newer.input, newer.effective_from), (micros(2 * INPUT), bank.clock.now()));
        assert_eq!(bank.price_history().await, [(INPUT, OUTPUT, false), (2 * INPUT, OUTPUT, false)]);
        // An answer that has begun keeps its price.
        assert_eq!(bank.settle(run, Some((1_000, 0))).await.charged, micros(1_000));
        let refused = bank
            .money
            .sync_prices(
                &bank.system(),
                &[ModelPrice { model: MODEL.into(), input: micros(-1), output: micros(0) }],
            )
            .await;
        assert_eq!(code(refused), codes::VALIDATION_FAILED);
    }

    /// Clocks go back, and nodes' clocks differ: what was said last counts.
    async fn the_last_price_counts_whatever_the_clock_says(bank: bare()) {
        bank.clock.advance(Duration::from_secs(864_000));
        bank.set_price(3 * INPUT, OUTPUT).await;
        let ahead = bank.newest_price().await;
        bank.clock.set(ahead.effective_from - Duration::from_secs(864_000));
        // Twice: the second start finds it as it wants it.
        for _ in 0..2 {
            bank.set_price(2 * INPUT, OUTPUT).await;
        }
        assert_eq!(bank.newest_price().await.input, micros(2 * INPUT));
        bank.money.sync_prices(&bank.system(), &[]).await.unwrap();
        let prices = [(INPUT, false), (3 * INPUT, false), (2 * INPUT, false), (2 * INPUT, true)];
        let expected = prices.map(|(input, ended)| (input, OUTPUT, ended));
        assert_eq!(bank.price_history().await, expected);
    }

    /// What the configuration names no more has no price: that is told, and nothing is booked by the old
    /// one, but for what had begun.
    async fn a_price_that_leaves_the_configuration_ends(bank: bare()) {
        let (account, ctx) = bank.member(&[Role::User]).await;
        bank.give(account, 10_000, None).await;
        let request = bank.request(account, 1_000, Some(0));
        let run = request.run;
        bank.hold(request).await.unwrap();
        bank.money.record(&bank.ctx(), record(account, 10, 10)).await.unwrap();
        bank.clock.advance(Duration::from_secs(60));
        for _ in 0..2 {
            bank.money.sync_prices(&bank.system(), &[]).await.unwrap();
        }
        // Ended once, whatever is started again.
        let ended = [(INPUT, OUTPUT, false), (INPUT, OUTPUT, true)];
        assert_eq!(bank.price_history().await, ended);
        let (_, admin) = bank.member(&[Role::Admin]).await;
        assert!(bank.money.prices(&admin, vec![MODEL.to_owned()]).await.unwrap().is_empty());
        let what = Calculate { model: MODEL.into(), prompt_tokens: 1, completion_tokens: 1 };
        let refused = [
            code(bank.money.check(&ctx, check(None, 1, None)).await),
            code(bank.money.calculate(&ctx, what).await),
            code(bank.money.record(&bank.ctx(), record(account, 1, 1)).await),
        ];
        assert_eq!(refused, [codes::MODEL_WITHOUT_PRICE; 3]);
        assert_eq!(bank.settle(run, Some((1_000, 0))).await.charged, micros(1_000));
        assert_eq!(bank.has(account).await, (10_000 - 40 - 1_000, 0));
        let used = bank.money.stats(&ctx, StatsQuery::default()).await.unwrap();
        assert_eq!(used.totals.credits, micros(1_040), "what was booked stays");

        // A node that still has it in its configuration begins it anew, and so does the next start.
        bank.clock.advance(Duration::from_secs(60));
        let configured = ModelPrice { model: MODEL.into(), input: micros(INPUT), output: micros(OUTPUT) };
        let args = (bank.money.clone(), configured);
        let price = bank
            .store
            .write(&bank.ctx(), Durability::Fast, args, |uow, (money, configured)| {
                Box::pin(money.price_of(uow, configured))
            })
            .await
            .unwrap();
        assert_eq!((price.input, price.effective_from), (micros(INPUT), bank.clock.now()));
        bank.set_price(INPUT, OUTPUT).await;
        assert_eq!(bank.newest_price().await, price);
        assert_eq!(bank.price_history().await, [&ended[..], &ended[..1]].concat());
        bank.verified().await;
    }

    /// A free model needs no credits and leaves no entry.
    async fn what_costs_nothing_is_not_refused(bank: bare()) {
        let account = bank.user(0).await;
        let mut request = bank.request(account, 10, None);
        (request.price.input, request.price.output) = (Credits::ZERO, Credits::ZERO);
        let run = request.run;
        let hold = bank.hold(request).await.unwrap();
        assert_eq!((hold.amount, hold.output_tokens), (Credits::ZERO, 256));
        assert_eq!(bank.money.extend(&bank.ctx(), hold.id).await.unwrap().output_tokens, 512);
        assert!(bank.settle(run, Some((10, 400))).await.charged.is_zero());
        assert_eq!(bank.verified().await.transfers, 0);
    }
}
