//! Many at once: nobody overspends, nobody is refused what will come back.

use std::{sync::Arc, time::Duration};

use kernel::codes;

use super::*;

fn patient() -> Options {
    Options {
        hold_wait: Duration::from_secs(20),
        ..bare()
    }
}

/// 10 tokens of prompt and 10 of the answer.
const ONE: i64 = 40;

on_both! {
    /// What three cost is there: three pay, and those who wait get what comes back.
    async fn sixty_four_share_what_three_cost(bank: patient()) {
        let account = bank.user(3 * ONE).await;
        let bank = Arc::new(bank);
        let tasks: Vec<_> = (0..64)
            .map(|n: u64| {
                let bank = bank.clone();
                tokio::task::spawn(async move {
                    let request = bank.request(account, 10, Some(10));
                    let run = request.run;
                    let Err(error) = bank.hold(request).await else {
                        let (balance, held) = bank.has(account).await;
                        assert!(balance >= 0 && balance + held <= 3 * ONE);
                        tokio::time::sleep(Duration::from_millis(n % 5)).await;
                        // Half of them fail, and cost nothing.
                        let used = n.is_multiple_of(2).then_some((10, 10));
                        return Ok(bank.settle(run, used).await);
                    };
                    Err(error)
                })
            })
            .collect();
        let (mut paid, mut free, mut refused) = (0, 0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(settled) => {
                    assert!(settled.shortfall.is_zero());
                    if settled.charged.is_zero() { free += 1 } else { paid += 1 }
                }
                Err(error) => {
                    assert!(error.is(codes::INSUFFICIENT_CREDITS), "{error:?}");
                    refused += 1;
                }
            }
        }
        // Holds may cover less than 10 tokens when little is left; what they use above is paid too.
        assert!(paid >= 3 && paid + free + refused == 64, "{paid} {free} {refused}");
        let report = bank.verified().await;
        assert_eq!((report.open_holds, report.balance + report.consumed), (0, 3 * i128::from(ONE)));
        // Refused only once everything was spent but what pays no prompt and token.
        assert!(refused == 0 || report.balance < 13, "{report:?}");
    }

    /// The same with whole holds: exactly three settle what they used.
    async fn exactly_three_of_sixty_four_can_be_paid(bank: patient()) {
        let account = bank.user(3 * ONE).await;
        let bank = Arc::new(bank);
        let barrier = Arc::new(tokio::sync::Barrier::new(64));
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (bank, barrier) = (bank.clone(), barrier.clone());
                tokio::task::spawn(async move {
                    // The prompt is nearly everything: fewer tokens do not fit in between.
                    let request = bank.request(account, 37, Some(1));
                    let run = request.run;
                    barrier.wait().await;
                    bank.hold(request).await?;
                    Ok::<_, kernel::Error>(bank.settle(run, Some((37, 1))).await)
                })
            })
            .collect();
        let mut paid = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(settled) => {
                    assert_eq!((settled.charged, settled.shortfall), (micros(ONE), micros(0)));
                    paid += 1;
                }
                Err(error) => assert!(error.is(codes::INSUFFICIENT_CREDITS), "{error:?}"),
            }
        }
        assert_eq!(paid, 3);
        assert_eq!(bank.has(account).await, (0, 0));
        bank.verified().await;
    }

    /// All but three wait for holds that are released whole: none is refused.
    async fn none_is_refused_while_holds_come_back(bank: patient()) {
        let account = bank.user(3 * ONE).await;
        let bank = Arc::new(bank);
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let bank = bank.clone();
                tokio::task::spawn(async move {
                    let request = bank.request(account, 37, Some(1));
                    let run = request.run;
                    bank.hold(request).await.unwrap();
                    bank.settle(run, None).await
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap().charged.is_zero());
        }
        assert_eq!(bank.has(account).await, (3 * ONE, 0));
        bank.verified().await;
    }

    async fn a_release_wakes_who_waits_at_once(bank: patient()) {
        let account = bank.user(ONE).await;
        let first = bank.request(account, 37, Some(1));
        let run = first.run;
        bank.hold(first).await.unwrap();
        let bank = Arc::new(bank);
        let waits = tokio::task::spawn({
            let (bank, request) = (bank.clone(), bank.request(account, 37, Some(1)));
            async move { bank.hold(request).await }
        });
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!waits.is_finished());
        bank.settle(run, None).await;
        tokio::time::timeout(Duration::from_secs(5), waits).await.unwrap().unwrap().unwrap();
    }

    async fn an_extension_waits_for_other_holds(bank: Options {
        extension_tokens: 1,
        first_output_tokens: 1,
        ..patient()
    }) {
        let account = bank.user(8).await;
        let one = bank.request(account, 1, None);
        let other = bank.request(account, 1, None);
        let run = other.run;
        let one = bank.hold(one).await.unwrap();
        bank.hold(other).await.unwrap();
        let bank = Arc::new(bank);
        let waits = tokio::task::spawn({
            let bank = bank.clone();
            async move { bank.money.extend(&bank.ctx(), one.id).await }
        });
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!waits.is_finished());
        bank.settle(run, Some((1, 0))).await;
        let extension = waits.await.unwrap().unwrap();
        assert_eq!((extension.output_tokens, extension.exhausted), (2, false));
        // Nobody else holds anything now, so there is nothing to wait for.
        let extension = bank.money.extend(&bank.ctx(), one.id).await.unwrap();
        assert_eq!((extension.output_tokens, extension.exhausted), (2, true));
        bank.verified().await;
    }

    async fn one_signup_grant_whatever_comes_first(bank: Options::default()) {
        let (account, ctx) = bank.member(&[Role::User]).await;
        let bank = Arc::new(bank);
        let tasks: Vec<_> = (0..32)
            .map(|n| {
                let (bank, ctx) = (bank.clone(), ctx.clone());
                tokio::task::spawn(async move {
                    match n % 3 {
                        0 => drop(bank.money.balance(&ctx, None).await.unwrap()),
                        1 => bank.give(account, 1, None).await,
                        _ => {
                            let request = bank.request(account, 1, Some(1));
                            let run = request.run;
                            bank.hold(request).await.unwrap();
                            bank.settle(run, None).await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(bank.has(account).await, (1_000_000_000 + 11, 0));
        let grants = "SELECT COUNT(*) FROM transfers WHERE tenant_id = $1 AND note = 'signup grant'";
        assert_eq!(bank.number(grants).await, 1);
        assert_eq!(bank.verified().await.wallets, 1);
    }

    async fn a_run_is_settled_once_however_many_try(bank: patient()) {
        let account = bank.user(1_000).await;
        let request = bank.request(account, 10, None);
        let run = request.run;
        bank.hold(request).await.unwrap();
        let bank = Arc::new(bank);
        let tasks: Vec<_> = (0..16)
            .map(|n: u64| {
                let bank = bank.clone();
                tokio::task::spawn(async move { bank.settle(run, Some((n, n))).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
        let events = "SELECT COUNT(*) FROM outbox WHERE tenant_id = $1 AND kind = 'usage.settled'";
        assert_eq!(bank.number(events).await, 1);
        bank.verified().await;
    }
}
