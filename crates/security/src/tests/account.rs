//! One's own account, and who is kept out.

use std::time::Duration;

use super::{accounts::join, *};

const SUSPENDED: MemberPatch = MemberPatch {
    roles: None,
    status: Some(MemberStatus::Suspended),
};
const ACTIVE: MemberPatch = MemberPatch {
    roles: None,
    status: Some(MemberStatus::Active),
};

impl Bench {
    async fn join_tenant(&self, tenant: TenantId, account: kernel::AccountId) {
        self.execute(move |uow| {
            Box::pin(async move {
                let now = uow.now();
                uow.execute(
                    "INSERT INTO memberships (tenant_id, account_id, roles, created_at)
                     VALUES ($1, $2, 'user', $3)",
                    params![tenant, account, now],
                )
                .await
            })
        })
        .await;
    }
}

#[tokio::test]
async fn a_suspension_is_one_tenant_s_and_reaches_other_nodes() {
    for bench in benches().await {
        let admin = bench.admin().await;
        let (elsewhere, _) = bench.elsewhere("eve@example.org").await;
        let (_, ana) = bench.signed_in("ana@example.org").await;
        let id = ana.account().unwrap();
        bench.join_tenant(elsewhere, id).await;
        let there = Login {
            tenant: Some("elsewhere".to_owned()),
            ..bench.login_as("ana@example.org", PASSWORD)
        };
        let there = bench
            .security
            .login(&bench.anonymous(), there)
            .await
            .unwrap();
        let there = bench.caller(&there).await.unwrap();
        let other = bench.another().await;
        other.recheck(&ana).await.unwrap();

        let user = bench
            .security
            .patch_member(&admin, id, SUSPENDED)
            .await
            .unwrap();
        assert_eq!(user.status, MemberStatus::Suspended);
        assert_eq!(code(bench.security.recheck(&ana).await), "token_revoked");
        // The other node may know it from before, for two seconds.
        bench.clock.advance(Duration::from_secs(2));
        assert_eq!(code(other.recheck(&ana).await), "token_revoked");
        other.recheck(&there).await.unwrap();
        // Without a tenant it is the one where they may come in.
        let tokens = bench.login("ana@example.org", PASSWORD).await.unwrap();
        assert_eq!(tokens.user.tenant.id, elsewhere);
        let here = Login {
            tenant: Some("default".to_owned()),
            ..bench.login_as("ana@example.org", PASSWORD)
        };
        let refused = bench.security.login(&bench.anonymous(), here.clone()).await;
        assert_eq!(code(refused), "account_suspended");
        let wrong = Login {
            password: Secret::new("not her password"),
            ..here.clone()
        };
        let refused = bench.security.login(&bench.anonymous(), wrong).await;
        assert_eq!(code(refused), "invalid_credentials");
        bench
            .security
            .patch_member(&admin, id, ACTIVE)
            .await
            .unwrap();
        bench
            .security
            .login(&bench.anonymous(), here)
            .await
            .unwrap();
        assert_eq!(code(other.recheck(&ana).await), "token_revoked");
        let kinds = bench.event_kinds().await;
        for kind in ["account.suspended", "account.resumed"] {
            assert_eq!(
                kinds.iter().filter(|told| *told == kind).count(),
                1,
                "{kind}"
            );
        }
    }
}

#[tokio::test]
async fn admins_who_suspend_each_other_at_once_do_not_both_succeed() {
    for bench in benches().await {
        let (tenant, eve) = bench.elsewhere("eve@example.org").await;
        let there = Context::system("test", tenant, bench.store.env().ids.next());
        let input = CreateUser {
            email: "fay@example.org".to_owned(),
            username: None,
            password: Secret::new(PASSWORD),
            display_name: None,
            roles: Roles::of(&[Role::Admin]),
        };
        bench.security.create_user(&there, input).await.unwrap();
        let fay = bench.login("fay@example.org", PASSWORD).await.unwrap();
        let fay = bench.caller(&fay).await.unwrap();
        let pairs = [(eve.clone(), fay.clone()), (fay, eve)];
        let outcomes = join(pairs.into_iter().map(|(by, whom)| {
            let security = bench.security.clone();
            async move {
                security
                    .patch_member(&by, whom.account().unwrap(), SUSPENDED)
                    .await
            }
        }))
        .await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            1,
            "{outcomes:?}"
        );
        let left = "SELECT COUNT(*) FROM memberships WHERE suspended_at IS NULL";
        assert_eq!(bench.count(left).await, 1);
    }
}

#[tokio::test]
async fn a_closed_account_is_nobody_s() {
    for bench in benches().await {
        let (elsewhere, _) = bench.elsewhere("eve@example.org").await;
        let (tokens, ana) = bench.signed_in("ana@example.org").await;
        let id = ana.account().unwrap();
        bench.join_tenant(elsewhere, id).await;
        let patch = PatchMe {
            display_name: Some("Ana of the sea".to_owned()),
            username: Some(Some("Ana".to_owned())),
        };
        bench.security.patch_me(&ana, patch).await.unwrap();
        let wrong = Secret::new("not her password");
        assert_eq!(
            code(bench.security.close_account(&ana, &wrong).await),
            "wrong_password"
        );
        bench.security.recheck(&ana).await.unwrap();

        let right = Secret::new(PASSWORD);
        let mut left = bench.security.close_account(&ana, &right).await.unwrap();
        left.sort_by_key(|erased| erased.tenant);
        let mut tenants = [ana.tenant(), elsewhere];
        tenants.sort();
        assert_eq!(
            left.iter().map(|erased| erased.tenant).collect::<Vec<_>>(),
            tenants
        );
        assert_eq!(
            bench
                .security
                .erased_lately(&bench.system())
                .await
                .unwrap()
                .len(),
            2
        );
        assert_eq!(code(bench.security.erased_lately(&ana).await), "forbidden");
        assert_eq!(code(bench.caller(&tokens).await), "token_revoked");
        assert!(bench.security.close_account(&ana, &right).await.is_err());
        let refreshed = bench
            .security
            .refresh(&bench.anonymous(), &tokens.refresh_token)
            .await;
        assert_eq!(code(refreshed), "invalid_token");
        let nobody = format!("erased-{}@invalid", id.hex());
        for name in ["ana@example.org", "ana", nobody.as_str()] {
            assert_eq!(
                code(bench.login(name, PASSWORD).await),
                "invalid_credentials",
                "{name}"
            );
        }
        bench.register("ana@example.org").await;
        // After two days nothing of it is looked for any more.
        bench.clock.advance(Duration::from_secs(3 * 24 * 3600));
        assert!(
            bench
                .security
                .erased_lately(&bench.system())
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(bench.count("SELECT COUNT(*) FROM erasures").await, 0);
    }
}

#[tokio::test]
async fn the_last_administrators_stay() {
    for bench in benches().await {
        let (_, eve) = bench.elsewhere("eve@example.org").await;
        let admin = bench.admin().await;
        for last in [&eve, &admin] {
            let refused = bench
                .security
                .close_account(last, &Secret::new(PASSWORD))
                .await;
            assert_eq!(code(refused), "last_admin");
            bench.security.recheck(last).await.unwrap();
        }
        assert_eq!(bench.count("SELECT COUNT(*) FROM erasures").await, 0);
    }
}
