//! Signing in and out: one answer for every failure, lock-out, rate limits.

use kernel::codes;

use super::{accounts::join, *};

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_gives_one_answer_and_costs_one_check() {
    for bench in benches().await {
        bench.register("ann@example.org").await;
        bench.elsewhere("bob@example.org").await;
        let passwords = &bench.security.0.passwords;
        let mut answers = std::collections::HashSet::new();
        let long = "x".repeat(1 << 20);
        for (name, password, tenant) in [
            ("ann@example.org", "wrong password", None),
            ("nobody@example.org", PASSWORD, None),
            ("nobody", PASSWORD, None),
            ("", "", None),
            ("ann\0", PASSWORD, None),
            (&long, PASSWORD, None),
            ("ann@example.org", &long, None),
            ("ann@example.org", PASSWORD, Some("elsewhere")),
            ("ann@example.org", PASSWORD, Some("nowhere")),
            ("ann@example.org", PASSWORD, Some("\0")),
        ] {
            let before = passwords.checks();
            let mut login = bench.login_as(name, password);
            login.tenant = tenant.map(str::to_owned);
            let error = bench
                .security
                .login(&bench.anonymous(), login)
                .await
                .unwrap_err();
            assert_eq!(passwords.checks() - before, 1, "{name:.20} {tenant:?}");
            answers.insert(format!(
                "{} {:?} {:?}",
                error,
                error.fields(),
                error.retry()
            ));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        let refusals = bench.events().await;
        assert_eq!(
            refusals
                .iter()
                .filter(|e| e.kind == "session.refused")
                .count(),
            10
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_failures_lock_a_name_existing_or_not() {
    for bench in benches().await {
        bench.register("ann@example.org").await;
        bench.register("bob@example.org").await;
        for name in ["ann@example.org", "nobody@example.org"] {
            for _ in 0..10 {
                assert_eq!(
                    code(bench.login(name, "wrong password").await),
                    "invalid_credentials"
                );
                bench.clock.advance(Duration::from_secs(60));
            }
            let checks = bench.security.0.passwords.checks();
            // The right password does not help, and the case of the name does not matter.
            let error = bench
                .login(&name.to_uppercase(), PASSWORD)
                .await
                .unwrap_err();
            assert!(error.is(codes::TOO_MANY_ATTEMPTS));
            assert_eq!(error.retry(), Some(Duration::from_secs(5 * 60)));
            assert_eq!(
                bench.security.0.passwords.checks(),
                checks,
                "nothing is spent on it"
            );
        }
        assert!(bench.login("bob@example.org", PASSWORD).await.is_ok());
        // 600 s have passed twice: the first failures for ann have left the window.
        assert!(bench.login("ann@example.org", PASSWORD).await.is_ok());
        // Success forgets the failures before it.
        for _ in 0..9 {
            assert_eq!(
                code(bench.login("ann@example.org", "wrong").await),
                "invalid_credentials"
            );
        }
        assert!(bench.login("ann@example.org", PASSWORD).await.is_ok());
        assert_eq!(
            code(bench.login("ann@example.org", "wrong").await),
            "invalid_credentials"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_names_of_an_account_count_towards_one_lock_out() {
    for bench in benches().await {
        let ann = CreateUser {
            email: "ann@example.org".to_owned(),
            username: Some("ann".to_owned()),
            password: Secret::new(PASSWORD),
            display_name: None,
            roles: Roles::of(&[Role::User]),
        };
        let admin = bench.admin().await;
        bench.security.create_user(&admin, ann).await.unwrap();
        let names = ["ann@example.org", "ann"];
        for n in 0..10 {
            let wrong = bench.login(names[n % 2], "wrong password").await;
            assert_eq!(code(wrong), "invalid_credentials");
        }
        for name in names {
            assert_eq!(code(bench.login(name, PASSWORD).await), "too_many_attempts");
        }
        // A name without an account has a count of its own, and locks alike.
        for n in 0..11 {
            let wrong = bench.login("nobody", "wrong password").await;
            let expected = ["invalid_credentials", "too_many_attempts"][n / 10];
            assert_eq!(code(wrong), expected);
        }
        assert_eq!(
            code(bench.login("nobody@example.org", PASSWORD).await),
            "invalid_credentials"
        );
        // A new password opens both.
        let password = Some(Secret::new(PASSWORD));
        let (system, security) = (bench.system(), &bench.security);
        let reset = security.reset_password(&system, names[0], password);
        reset.await.unwrap();
        for name in names {
            assert!(bench.login(name, PASSWORD).await.is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attempts_at_once_do_not_pass_the_lock_out_and_successes_are_not_counted() {
    for bench in benches().await {
        bench.register("ann@example.org").await;
        let attempt = |password: &'static str| {
            let (security, ctx) = (bench.security.clone(), bench.anonymous());
            let login = bench.login_as("ann@example.org", password);
            async move { security.login(&ctx, login).await }
        };
        let good = join((0..24).map(|_| attempt(PASSWORD))).await;
        assert!(good.iter().all(Result::is_ok));
        let before = bench.security.0.passwords.checks();
        let bad = join((0..24).map(|_| attempt("wrong password"))).await;
        let codes: Vec<_> = bad.into_iter().map(code).collect();
        assert_eq!(
            codes
                .iter()
                .filter(|code| **code == "invalid_credentials")
                .count(),
            10
        );
        assert_eq!(
            codes
                .iter()
                .filter(|code| **code == "too_many_attempts")
                .count(),
            14
        );
        assert_eq!(bench.security.0.passwords.checks() - before, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_device_and_only_it() {
    for bench in benches().await {
        let (tokens, ctx) = bench.signed_in("ann@example.org").await;
        let other = bench.login("ann@example.org", PASSWORD).await.unwrap();
        let node = bench.another().await;
        let request = || bench.store.env().ids.next();
        assert!(
            node.authenticate(&tokens.access_token, request())
                .await
                .is_ok()
        );

        bench.security.logout(&ctx).await.unwrap();
        bench.security.logout(&ctx).await.unwrap();
        assert_eq!(code(bench.caller(&tokens).await), "token_revoked");
        assert_eq!(code(bench.security.recheck(&ctx).await), "token_revoked");
        let refreshed = bench
            .security
            .refresh(&bench.anonymous(), &tokens.refresh_token)
            .await;
        assert_eq!(code(refreshed), "token_revoked");
        assert!(bench.caller(&other).await.is_ok());
        let revoked = bench
            .event_kinds()
            .await
            .into_iter()
            .filter(|k| k == "session.revoked");
        assert_eq!(revoked.count(), 1);

        // The other node notices when it looks again.
        assert!(
            node.authenticate(&tokens.access_token, request())
                .await
                .is_ok()
        );
        bench.clock.advance(Duration::from_secs(5));
        assert_eq!(
            code(node.authenticate(&tokens.access_token, request()).await),
            "token_revoked"
        );
        assert_eq!(
            code(bench.security.logout(&bench.anonymous()).await),
            "not_authenticated"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_two_tenants_signs_in_to_either_and_then_the_last() {
    for bench in benches().await {
        let user = bench.register("ann@example.org").await;
        let (elsewhere, _) = bench.elsewhere("bob@example.org").await;
        let account = user.id;
        bench
            .execute(move |uow| {
                Box::pin(async move {
                    uow.execute(
                        "INSERT INTO memberships (tenant_id, account_id, roles, created_at)
                         VALUES ($1, $2, 'user,supervisor', $3)",
                        params![elsewhere, account, uow.now()],
                    )
                    .await
                })
            })
            .await;
        let first = bench.login("ann@example.org", PASSWORD).await.unwrap();
        assert_eq!(first.user.tenant.slug, "default");
        assert_eq!(first.user.memberships.len(), 2);
        bench.clock.advance(Duration::from_secs(1));
        let mut login = bench.login_as("ann@example.org", PASSWORD);
        login.tenant = Some("Elsewhere".to_owned());
        let second = bench
            .security
            .login(&bench.anonymous(), login)
            .await
            .unwrap();
        assert_eq!(second.user.tenant.slug, "elsewhere");
        let there = bench.caller(&second).await.unwrap();
        assert_eq!(there.tenant(), elsewhere);
        assert!(there.roles().has(Role::Supervisor));
        assert!(
            !bench
                .caller(&first)
                .await
                .unwrap()
                .roles()
                .has(Role::Supervisor)
        );
        let third = bench.login("ann@example.org", PASSWORD).await.unwrap();
        assert_eq!(third.user.tenant.slug, "elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_by_account_and_by_address_for_sign_in() {
    for bench in benches().await {
        let (_, ctx) = bench.signed_in("ann@example.org").await;
        let (_, other) = bench.signed_in("bob@example.org").await;
        for n in 1..=60 {
            let rate = bench
                .security
                .check_rate(&ctx, RateClass::Chat)
                .await
                .unwrap();
            assert_eq!((rate.limit, rate.remaining), (60, 60 - n));
        }
        let error = bench
            .security
            .check_rate(&ctx, RateClass::Chat)
            .await
            .unwrap_err();
        assert!(error.is(codes::RATE_LIMITED) && error.retry() == Some(Duration::from_secs(60)));
        assert!(bench.security.rate(&ctx, RateClass::Reads).await.allowed);
        assert!(bench.security.rate(&other, RateClass::Chat).await.allowed);
        bench.clock.advance(Duration::from_secs(60));
        assert!(bench.security.rate(&ctx, RateClass::Chat).await.allowed);
        for _ in 0..10 {
            assert!(
                bench
                    .security
                    .rate(&bench.anonymous(), RateClass::SignIn)
                    .await
                    .allowed
            );
        }
        assert!(
            !bench
                .security
                .rate(&bench.anonymous(), RateClass::SignIn)
                .await
                .allowed
        );
        let elsewhere = bench
            .anonymous()
            .with_address(Some("192.0.2.8".parse().unwrap()));
        assert!(
            bench
                .security
                .rate(&elsewhere, RateClass::SignIn)
                .await
                .allowed
        );
    }
}
