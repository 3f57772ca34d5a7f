//! What admins do: lists, roles, accounts, passwords; and what they cannot.

use kernel::Page;

use super::{accounts::join, *};

const USER: &[Role] = &[Role::User];
const ADMIN: &[Role] = &[Role::User, Role::Admin];

impl Bench {
    async fn create(&self, ctx: &Context, email: &str, roles: &[Role]) -> Result<User> {
        let input = CreateUser {
            email: email.to_owned(),
            username: None,
            password: Secret::new(PASSWORD),
            display_name: None,
            roles: Roles::of(roles),
        };
        self.security.create_user(ctx, input).await
    }

    async fn set(&self, ctx: &Context, user: &User, roles: &[Role]) -> Result<User> {
        self.security
            .set_roles(ctx, user.id, Roles::of(roles))
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_see_their_own_tenant_and_nobody_else_does() {
    for bench in benches().await {
        let admin = bench.admin().await;
        let (_, stranger) = bench.elsewhere("bob@example.org").await;
        let (_, plain) = bench.signed_in("ann@example.org").await;
        let ann = plain.account().unwrap();

        let list = bench
            .security
            .users(&admin, UsersQuery::default())
            .await
            .unwrap();
        let emails: Vec<_> = list.data.iter().map(|user| user.email.as_str()).collect();
        assert_eq!(
            (emails, list.meta.total),
            (vec!["admin@localhost", "ann@example.org"], 2)
        );
        let list = bench
            .security
            .users(
                &admin,
                UsersQuery {
                    text: None,
                    page: Page::new(Some(2), Some(1)),
                },
            )
            .await
            .unwrap();
        assert_eq!((list.data[0].id, list.meta.pages), (ann, 2));
        let list = bench
            .security
            .users(&stranger, UsersQuery::default())
            .await
            .unwrap();
        assert_eq!(list.meta.total, 1);

        assert_eq!(bench.security.user(&admin, ann).await.unwrap().id, ann);
        assert_eq!(bench.security.user(&plain, ann).await.unwrap().id, ann);
        assert_eq!(
            bench
                .security
                .user_by_email(&admin, "ANN@example.org")
                .await
                .unwrap()
                .id,
            ann
        );
        let foreign = stranger.account().unwrap();
        assert_eq!(
            code(bench.security.user(&admin, foreign).await),
            "not_found"
        );
        assert_eq!(code(bench.security.user(&stranger, ann).await), "not_found");
        assert_eq!(
            code(
                bench
                    .security
                    .user_by_email(&admin, "bob@example.org")
                    .await
            ),
            "not_found"
        );
        assert_eq!(
            code(bench.security.user(&plain, admin.account().unwrap()).await),
            "forbidden"
        );
        assert_eq!(
            code(bench.security.users(&plain, UsersQuery::default()).await),
            "forbidden"
        );
        assert_eq!(
            code(
                bench
                    .security
                    .users(&bench.anonymous(), UsersQuery::default())
                    .await
            ),
            "not_authenticated"
        );
        for (ctx, found) in [(&admin, true), (&stranger, false), (&bench.system(), true)] {
            let read = bench
                .store
                .read(ctx, ann, |reads, ann| Box::pin(member(reads, *ann)));
            assert_eq!(read.await.unwrap().is_some(), found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_change_at_once_here_and_within_five_seconds_elsewhere() {
    for bench in benches().await {
        let admin = bench.admin().await;
        let (tokens, plain) = bench.signed_in("ann@example.org").await;
        let node = bench.another().await;
        let there = || node.authenticate(&tokens.access_token, bench.store.env().ids.next());
        assert!(!there().await.unwrap().roles().has(Role::Supervisor));
        let roles = Roles::of(&[Role::User, Role::Supervisor]);
        let user = bench
            .security
            .set_roles(&admin, plain.account().unwrap(), roles)
            .await
            .unwrap();
        assert_eq!(user.roles, roles);
        assert_eq!(bench.caller(&tokens).await.unwrap().roles(), roles);
        assert!(!there().await.unwrap().roles().has(Role::Supervisor));
        bench.clock.advance(Duration::from_secs(5));
        assert_eq!(there().await.unwrap().roles(), roles);
        let event = bench
            .events()
            .await
            .into_iter()
            .find(|e| e.kind == "roles.changed")
            .unwrap();
        assert_eq!(event.key, user.id.to_string());
        assert_eq!(
            event.payload["after"],
            serde_json::json!(["user", "supervisor"])
        );
        let refreshed = bench
            .security
            .refresh(&bench.anonymous(), &tokens.refresh_token)
            .await;
        assert_eq!(refreshed.unwrap().user.roles, roles);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_only_by_those_who_may() {
    for bench in benches().await {
        let operator = bench.admin().await;
        let root = bench.security.me(&operator).await.unwrap();
        bench
            .create(&operator, "chief@example.org", ADMIN)
            .await
            .unwrap();
        let tokens = bench.login("chief@example.org", PASSWORD).await.unwrap();
        let chief = bench.caller(&tokens).await.unwrap();
        let ann = bench.register("ann@example.org").await;
        let (_, stranger) = bench.elsewhere("bob@example.org").await;
        let (_, plain) = bench.signed_in("eve@example.org").await;
        let all = [Role::User, Role::Admin, Role::Operator];

        assert_eq!(code(bench.set(&plain, &ann, USER).await), "forbidden");
        assert_eq!(code(bench.set(&stranger, &ann, ADMIN).await), "not_found");
        assert_eq!(code(bench.set(&chief, &ann, &all).await), "forbidden");
        assert_eq!(code(bench.set(&chief, &root, ADMIN).await), "forbidden");
        // Nor take from the operator what else they are.
        assert_eq!(
            code(bench.set(&chief, &root, &[Role::Operator]).await),
            "forbidden"
        );
        assert_eq!(
            code(bench.create(&chief, "x@example.org", &all).await),
            "forbidden"
        );
        assert_eq!(
            code(bench.create(&plain, "x@example.org", USER).await),
            "forbidden"
        );
        for wrong in [&[][..], &[Role::Guest], &[Role::User, Role::Service]] {
            assert_eq!(
                code(bench.set(&operator, &ann, wrong).await),
                "validation_failed"
            );
            let made = bench.create(&operator, "x@example.org", wrong).await;
            assert_eq!(code(made), "validation_failed");
        }
        assert_eq!(
            code(bench.create(&operator, "ANN@example.org", USER).await),
            "email_already_exists"
        );
        // An admin may not unmake the operator, and the operator not themselves as the last one.
        assert_eq!(code(bench.set(&operator, &root, ADMIN).await), "last_admin");
        assert_eq!(
            bench.set(&operator, &ann, &all).await.unwrap().roles,
            Roles::of(&all)
        );
        assert_eq!(
            bench.set(&operator, &root, ADMIN).await.unwrap().roles,
            Roles::of(ADMIN)
        );
        // What this context still says does not help to take it back.
        assert!(operator.roles().has(Role::Operator));
        assert_eq!(code(bench.set(&operator, &root, &all).await), "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn admins_who_demote_each_other_leave_one() {
    for bench in benches().await {
        let (tenant, one) = bench.elsewhere("bob@example.org").await;
        let system = Context::system("test", tenant, bench.store.env().ids.next());
        let two = bench
            .create(&system, "two@example.org", ADMIN)
            .await
            .unwrap();
        for _ in 0..5 {
            let ids = [one.account().unwrap(), two.id];
            let results = join(ids.into_iter().map(|id| {
                let (security, system) = (bench.security.clone(), system.clone());
                async move { security.set_roles(&system, id, Roles::of(USER)).await }
            }));
            let won: Vec<_> = results.await.into_iter().filter_map(Result::ok).collect();
            assert_eq!(won.len(), 1);
            bench.set(&system, &won[0], ADMIN).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_every_session_and_unlocks() {
    for bench in benches().await {
        let operator = bench.admin().await;
        let (tokens, plain) = bench.signed_in("ann@example.org").await;
        bench.login("ann@example.org", PASSWORD).await.unwrap();
        let (_, stranger) = bench.elsewhere("bob@example.org").await;
        let reset = |ctx: Context, password: Option<&'static str>| {
            let security = bench.security.clone();
            async move {
                security
                    .reset_password(&ctx, "Ann@example.org", password.map(Secret::new))
                    .await
            }
        };
        for ctx in [&plain, &stranger] {
            assert_eq!(code(reset(ctx.clone(), None).await), "forbidden");
        }
        assert_eq!(
            code(reset(operator.clone(), Some("short")).await),
            "validation_failed"
        );
        let nobody = bench
            .security
            .reset_password(&operator, "nobody@example.org", None)
            .await;
        assert_eq!(code(nobody), "not_found");
        for _ in 0..11 {
            let _ = bench.login("ann@example.org", "wrong password").await;
        }
        let outcome = reset(bench.system(), None).await.unwrap();
        assert_eq!(outcome.sessions_revoked, 2);
        assert_eq!(code(bench.caller(&tokens).await), "token_revoked");
        let refreshed = bench
            .security
            .refresh(&bench.anonymous(), &tokens.refresh_token)
            .await;
        assert_eq!(code(refreshed), "token_revoked");
        assert_eq!(
            code(bench.login("ann@example.org", PASSWORD).await),
            "invalid_credentials"
        );
        let password = outcome.generated_password.unwrap();
        assert!(bench.login("ann@example.org", &password).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_name_signs_in_too_and_is_unique() {
    for bench in benches().await {
        let admin = bench.admin().await;
        let input = |email: &str, username: &str| CreateUser {
            email: email.to_owned(),
            username: Some(username.to_owned()),
            password: Secret::new(PASSWORD),
            display_name: Some("Ann".to_owned()),
            roles: Roles::of(USER),
        };
        let ann = bench
            .security
            .create_user(&admin, input("ann@example.org", "Ann.Lee"))
            .await;
        assert_eq!(ann.unwrap().username.as_deref(), Some("ann.lee"));
        let tokens = bench.login("ANN.lee", PASSWORD).await.unwrap();
        assert_eq!(tokens.user.email, "ann@example.org");
        let taken = bench
            .security
            .create_user(&admin, input("b@example.org", "ann.lee"))
            .await;
        assert_eq!(code(taken), "conflict");
        let wrong = bench
            .security
            .create_user(&admin, input("b@example.org", "a@b"))
            .await;
        assert_eq!(code(wrong), "validation_failed");
    }
}
