//! Refresh tokens: rotation, replay, grace, many at once.

use super::{accounts::join, *};

impl Bench {
    async fn refresh(&self, token: &str) -> Result<Tokens> {
        self.security.refresh(&self.anonymous(), token).await
    }

    async fn living_branches(&self) -> i64 {
        self.count(
            "SELECT CAST(COUNT(*) AS bigint) FROM refresh_tokens r
             JOIN auth_sessions s ON s.id = r.session_id
             WHERE r.consumed_at IS NULL AND s.revoked_at IS NULL",
        )
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_rotate_and_an_old_one_ends_the_session() {
    for bench in benches().await {
        let (first, ctx) = bench.signed_in("ann@example.org").await;
        let second = bench.refresh(&first.refresh_token).await.unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
        assert_ne!(second.access_token, first.access_token);
        assert_eq!(second.user, first.user);
        let third = bench.refresh(&second.refresh_token).await.unwrap();
        assert!(bench.caller(&third).await.is_ok());
        // Its successor has been used: also within the grace period this is a thief or a victim.
        assert_eq!(
            code(bench.refresh(&first.refresh_token).await),
            "token_revoked"
        );
        assert_eq!(
            code(bench.refresh(&third.refresh_token).await),
            "token_revoked"
        );
        for tokens in [&first, &second, &third] {
            assert_eq!(code(bench.caller(tokens).await), "token_revoked");
        }
        assert_eq!(code(bench.security.recheck(&ctx).await), "token_revoked");
        assert_eq!(bench.living_branches().await, 0);
        let kinds = bench.event_kinds().await;
        assert_eq!(
            kinds
                .iter()
                .filter(|kind| *kind == "session.revoked")
                .count(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_grace_period_a_lost_answer_can_be_asked_for_again() {
    for bench in benches().await {
        let (first, _) = bench.signed_in("ann@example.org").await;
        let second = bench.refresh(&first.refresh_token).await.unwrap();
        bench.clock.advance(Duration::from_secs(9));
        let again = bench.refresh(&first.refresh_token).await.unwrap();
        assert_eq!(again.refresh_token, second.refresh_token);
        assert!(bench.caller(&again).await.is_ok());
        assert_eq!(bench.living_branches().await, 1);
        let third = bench.refresh(&again.refresh_token).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(
            code(bench.refresh(&first.refresh_token).await),
            "token_revoked"
        );
        assert_eq!(
            code(bench.refresh(&third.refresh_token).await),
            "token_revoked"
        );

        // After it, also when the successor is unused.
        let other = bench.login("ann@example.org", PASSWORD).await.unwrap();
        let next = bench.refresh(&other.refresh_token).await.unwrap();
        bench.clock.advance(Duration::from_secs(10));
        assert_eq!(
            code(bench.refresh(&other.refresh_token).await),
            "token_revoked"
        );
        assert_eq!(
            code(bench.refresh(&next.refresh_token).await),
            "token_revoked"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_refreshes_at_once_one_branch_lives() {
    for bench in benches().await {
        let (tokens, _) = bench.signed_in("ann@example.org").await;
        let other = bench.another().await;
        let attempts = (0..32).map(|n| {
            let node = if n % 2 == 0 {
                bench.security.clone()
            } else {
                other.clone()
            };
            let (ctx, token) = (bench.anonymous(), tokens.refresh_token.clone());
            async move { node.refresh(&ctx, &token).await }
        });
        let answers: Vec<_> = join(attempts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let successors: std::collections::HashSet<_> = answers
            .iter()
            .map(|tokens| tokens.refresh_token.clone())
            .collect();
        assert_eq!(successors.len(), 1, "everybody is given the same successor");
        assert_eq!(bench.living_branches().await, 1);
        assert!(bench.refresh(&answers[31].refresh_token).await.is_ok());
        assert_eq!(bench.living_branches().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_grace_many_at_once_leave_at_most_one_branch() {
    let options = Options {
        refresh_grace: Duration::ZERO,
        ..Options::default()
    };
    for bench in benches_with(options).await {
        let (tokens, _) = bench.signed_in("ann@example.org").await;
        let attempts = (0..32).map(|_| {
            let (node, ctx) = (bench.security.clone(), bench.anonymous());
            let token = tokens.refresh_token.clone();
            async move { node.refresh(&ctx, &token).await }
        });
        let won = join(attempts)
            .await
            .into_iter()
            .filter(Result::is_ok)
            .count();
        assert_eq!(won, 1);
        assert_eq!(
            bench.living_branches().await,
            0,
            "the replay ended the session"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_expire_are_unknown_or_garbage() {
    for bench in benches().await {
        let (tokens, _) = bench.signed_in("ann@example.org").await;
        let unknown = crate::refresh::fresh(&Random::system());
        for token in [
            "",
            "rt_",
            "rt_\0",
            "x",
            &tokens.access_token,
            &unknown,
            &"x".repeat(10_000),
            &unknown[3..],
        ] {
            assert_eq!(code(bench.refresh(token).await), "invalid_token");
        }
        bench.clock.advance(Duration::from_secs(30 * 24 * 3600));
        assert_eq!(
            code(bench.refresh(&tokens.refresh_token).await),
            "token_expired"
        );
        bench.clock.advance(Duration::from_secs(1));
        let kept = bench.login("ann@example.org", PASSWORD).await.unwrap();
        assert_eq!(
            code(bench.security.sweep(&bench.anonymous()).await),
            "forbidden"
        );
        assert_eq!(bench.security.sweep(&bench.system()).await.unwrap(), 1);
        assert!(bench.refresh(&kept.refresh_token).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stored_is_a_token() {
    for bench in benches().await {
        let (tokens, _) = bench.signed_in("ann@example.org").await;
        let second = bench.refresh(&tokens.refresh_token).await.unwrap();
        bench.refresh(&second.refresh_token).await.unwrap();
        // Once a successor has been used, what it was made with is gone.
        let salts =
            "SELECT CAST(COUNT(*) AS bigint) FROM refresh_tokens WHERE successor_salt IS NOT NULL";
        assert_eq!(bench.count(salts).await, 1);
        let plain = "SELECT CAST(COUNT(*) AS bigint) FROM refresh_tokens WHERE LENGTH(hash) <> 32";
        assert_eq!(bench.count(plain).await, 0);
    }
}
