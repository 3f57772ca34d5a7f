//! Registration, `me`, the first start.

use kernel::codes;

use super::*;

fn register(email: &str, password: &str) -> Register {
    Register {
        email: email.to_owned(),
        password: Secret::new(password),
        display_name: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_registers_signs_in_and_sees_themselves() {
    for bench in benches().await {
        let user = bench.register(" Ann@Example.ORG ").await;
        assert_eq!(user.email, "ann@example.org");
        assert_eq!(user.display_name, "ann");
        assert_eq!(user.roles, Roles::of(&[Role::User]));
        assert_eq!(user.tenant.slug, "default");
        let tokens = bench.login("ANN@example.org", PASSWORD).await.unwrap();
        assert_eq!((tokens.token_type, tokens.expires_in), ("Bearer", 900));
        let ctx = bench.caller(&tokens).await.unwrap();
        assert_eq!(ctx.account().unwrap(), user.id);
        let me = bench.security.me(&ctx).await.unwrap();
        assert_eq!(
            (user.last_used_at, me.last_used_at),
            (None, Some(bench.clock.now()))
        );
        let user = User {
            last_used_at: me.last_used_at,
            ..user
        };
        assert_eq!(me, user);
        assert_eq!(me.memberships.len(), 1);
        assert_eq!(
            bench.event_kinds().await,
            ["account.registered", "session.created"]
        );
        assert_eq!(
            code(bench.security.me(&bench.anonymous()).await),
            "not_authenticated"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_field_by_field_and_leaves_nothing() {
    for bench in benches().await {
        let mut input = register("not an email", "short");
        input.display_name = Some("x".repeat(101));
        let error = bench
            .security
            .register(&bench.anonymous(), input)
            .await
            .unwrap_err();
        assert!(error.is(codes::VALIDATION_FAILED));
        let fields: Vec<_> = error.fields().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["email", "display_name", "password"]);
        for (email, password) in [
            ("a@b\0", PASSWORD),
            ("a@b", "1234567"),
            ("a@b", &"x".repeat(257)),
            (&"a".repeat(1 << 20), PASSWORD),
        ] {
            let result = bench
                .security
                .register(&bench.anonymous(), register(email, password))
                .await;
            assert_eq!(code(result), "validation_failed");
        }
        // A zero byte in a password is a character like any other.
        let odd = register("odd@example.org", "\0\0\0\0\0\0\0\0");
        bench
            .security
            .register(&bench.anonymous(), odd)
            .await
            .unwrap();
        assert_eq!(
            bench
                .count("SELECT CAST(COUNT(*) AS bigint) FROM accounts")
                .await,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_email_is_one_account_also_at_once() {
    for bench in benches().await {
        let attempts = (0..8).map(|n| {
            let (security, ctx) = (bench.security.clone(), bench.anonymous());
            let email = if n % 2 == 0 {
                "Ann@example.org"
            } else {
                "ann@EXAMPLE.org"
            };
            async move { security.register(&ctx, register(email, PASSWORD)).await }
        });
        let mut made = 0;
        for result in join(attempts).await {
            match result {
                Ok(_) => made += 1,
                Err(error) => assert!(error.is(codes::EMAIL_ALREADY_EXISTS), "{error:?}"),
            }
        }
        assert_eq!(made, 1);
        assert_eq!(
            bench
                .count("SELECT CAST(COUNT(*) AS bigint) FROM memberships")
                .await,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_registers_once_and_belongs_to_its_sender() {
    for bench in benches().await {
        let with_key = |fingerprint: u8, address: &str| {
            let key = "k".to_owned();
            bench
                .anonymous()
                .with_address(Some(address.parse().unwrap()))
                .with_idempotency(Some(Idempotency {
                    key,
                    fingerprint: [fingerprint; 32],
                }))
        };
        let input = || register("ann@example.org", PASSWORD);
        let first = bench
            .security
            .register(&with_key(1, "192.0.2.1"), input())
            .await
            .unwrap();
        let again = bench
            .security
            .register(&with_key(1, "192.0.2.1"), input())
            .await
            .unwrap();
        assert_eq!(first, again);
        let other = bench
            .security
            .register(&with_key(2, "192.0.2.1"), input())
            .await;
        assert_eq!(code(other), "idempotency_key_reused");
        // The password is in no fingerprint, and makes another request all the same.
        let guessed = register("ann@example.org", "another long password");
        let guessed = bench
            .security
            .register(&with_key(1, "192.0.2.1"), guessed)
            .await;
        assert_eq!(code(guessed), "idempotency_key_reused");
        let stranger = bench
            .security
            .register(&with_key(1, "192.0.2.2"), input())
            .await;
        assert_eq!(code(stranger), "email_already_exists");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_one_administrator() {
    for bench in benches().await {
        let refused = bench
            .security
            .bootstrap(&bench.anonymous(), None, None)
            .await;
        assert_eq!(code(refused), "forbidden");
        let short = Some(Secret::new("short"));
        let refused = bench.security.bootstrap(&bench.system(), None, short).await;
        assert_eq!(code(refused), "validation_failed");

        let nodes = [
            bench.security.clone(),
            bench.another().await,
            bench.another().await,
        ];
        assert!(
            nodes
                .iter()
                .all(|n| n.default_tenant() == bench.security.default_tenant())
        );
        assert!(nodes.iter().all(|n| n.jwks() == bench.security.jwks()));
        let starts = nodes.iter().map(|node| {
            let (node, system) = (node.clone(), bench.system());
            async move { node.bootstrap(&system, None, None).await.unwrap() }
        });
        let starts = join(starts).await;
        let made: Vec<_> = starts.iter().filter(|start| start.created).collect();
        assert_eq!(made.len(), 1);
        assert!(starts.iter().all(|start| start.email == "admin@localhost"));
        let password = made[0].generated_password.clone().unwrap();
        assert!(password.len() == 24 && !format!("{:?}", made[0]).contains(&password));
        let tokens = bench.login("admin@localhost", &password).await.unwrap();
        assert_eq!(
            tokens.user.roles,
            Roles::of(&[Role::User, Role::Admin, Role::Operator])
        );
        let email = Some("other@example.org".to_owned());
        let later = bench
            .security
            .bootstrap(&bench.system(), email, None)
            .await
            .unwrap();
        assert!(!later.created && later.email == "admin@localhost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_printed_or_published() {
    for bench in benches().await {
        let (tokens, ctx) = bench.signed_in("ann@example.org").await;
        let _ = bench.login("ann@example.org", "my wrong secret").await;
        let next = bench
            .security
            .refresh(&bench.anonymous(), &tokens.refresh_token)
            .await
            .unwrap();
        bench.security.logout(&ctx).await.unwrap();
        let mut said = format!("{tokens:?} {next:?} {:?}", bench.login_as("ann", PASSWORD));
        said += &format!("{:?} {:?}", register("a", PASSWORD), bench.security);
        for event in bench.events().await {
            said += &event.payload.to_string();
        }
        for secret in [
            PASSWORD,
            "my wrong secret",
            "argon2",
            &tokens.access_token,
            &tokens.refresh_token,
            &next.access_token,
            &next.refresh_token,
        ] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

/// Runs them all at once.
pub(super) async fn join<T: Send + 'static>(
    futures: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut tasks = tokio::task::JoinSet::new();
    for future in futures {
        tasks.spawn(future);
    }
    tasks.join_all().await
}
