// Made by `npm run generate` from docs/openapi.json; do not edit.

export interface paths {
    "/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What this is, and what to do next; browsers are sent to the page */
        get: operations["root"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/.well-known/jwks.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The public keys that verify access tokens (RFC 7517) */
        get: operations["jwks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/app": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The page */
        get: operations["page"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/app/{*path}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The page's files, and the page itself for every place within it */
        get: operations["page_file"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/assistants": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One's assistants, newest first */
        get: operations["list_assistants"];
        put?: never;
        /** Makes an assistant */
        post: operations["create_assistant"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/assistants/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** An assistant */
        get: operations["get_assistant"];
        put?: never;
        post?: never;
        /** Deletes an assistant; conversations that began with it stay as they are */
        delete: operations["delete_assistant"];
        options?: never;
        head?: never;
        /** Changes an assistant; what is absent stays */
        patch: operations["patch_assistant"];
        trace?: never;
    };
    "/auth/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Signs in; `/login` is the same */
        post: operations["login"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Signs this device out
         * @description The page's cookies are taken away, also when its session is over already.
         */
        post: operations["logout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who one is */
        get: operations["me"];
        put?: never;
        post?: never;
        /**
         * Erases one's own account, for good
         * @description Answers end, sessions end, conversations and all that one kept are removed, and the email address is
         *     free again. The ledger stays, without a name.
         */
        delete: operations["erase_account"];
        options?: never;
        head?: never;
        /** Changes one's own names */
        patch: operations["patch_me"];
        trace?: never;
    };
    "/auth/me/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Everything that is one's own in this tenant, as one JSON document
         * @description `{account, memberships, conversations: [{..., messages: [...]}], assistants, prompts, ledger, usage}`;
         *     conversations that are deleted and could be restored have a `deleted_at`. What is no JSON broke off,
         *     as it does when the session ends meanwhile.
         */
        get: operations["export_account"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Changes one's own password; every other device is signed out */
        post: operations["change_password"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** A new pair of tokens; the refresh token is used up */
        post: operations["refresh"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/register": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes an account */
        post: operations["register"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One's own devices that are signed in, the last used first */
        get: operations["list_devices"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Signs one of one's own devices out */
        delete: operations["sign_out_device"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/conversations/{id}/chat": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sends a message within a plan's conversation and answers when the answer is whole (S4.5) */
        post: operations["plan_chat"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/credits/allocate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Gives credits to somebody; for admins */
        post: operations["allocate_credits"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/credits/balance": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What is available and what is held */
        get: operations["credit_balance"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/credits/calculate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** What so many tokens would cost */
        post: operations["calculate_credits"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/credits/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Whether a request like this could be paid
         * @description A prompt of more than 16 KiB counts against the limit for prompts, too.
         */
        post: operations["check_credits"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/credits/ledger": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Every movement of one's credits, newest first */
        get: operations["credit_ledger"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The API, to read and to try */
        get: operations["docs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs/errors/{code}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What an error code means and what to do */
        get: operations["error_page"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs/viewer.js": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The script of the page at /docs */
        get: operations["docs_viewer"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Changes of one's own conversations, runs and credits, as they happen
         * @description `ready` {} comes first; then `session` {id, change: created, updated or deleted}, `run` {run_id,
         *     run_kind: answer or title, session_id, state: running or ended}, `credits` {balance, held}. There are
         *     no ids: whoever connects again looks at the data again.
         */
        get: operations["events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the server and what it needs are well */
        get: operations["health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics for Prometheus; from other machines for admins only */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The models one may use, in order of preference */
        get: operations["list_models"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/prices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What the models cost; for admins */
        get: operations["prices"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/prompts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One's saved prompts, newest first */
        get: operations["list_prompts"];
        put?: never;
        /** Saves a prompt */
        post: operations["create_prompt"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/prompts/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Deletes a saved prompt; its command is free again */
        delete: operations["delete_prompt"];
        options?: never;
        head?: never;
        /** Changes a saved prompt; what is absent stays */
        patch: operations["patch_prompt"];
        trace?: never;
    };
    "/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether this node takes work: a load balancer asks here */
        get: operations["ready"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/runs/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A run's state, end and usage */
        get: operations["get_run"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/runs/{id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends a run; what it has produced is kept */
        post: operations["cancel_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/runs/{id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A run's events, from the beginning or after an event, until its last one */
        get: operations["run_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Finds conversations by their words */
        get: operations["search"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One's conversations, pinned ones first, then the last changed first */
        get: operations["list_sessions"];
        put?: never;
        /** Begins a conversation */
        post: operations["create_session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A conversation */
        get: operations["get_session"];
        put?: never;
        post?: never;
        /** Deletes a conversation, which can be restored for 30 days; an answer that is being written is stopped */
        delete: operations["delete_session"];
        options?: never;
        head?: never;
        /** Changes a conversation; what is absent stays */
        patch: operations["patch_session"];
        trace?: never;
    };
    "/sessions/{id}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A conversation as a file */
        get: operations["export_session"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The messages of a conversation's current branch, newest page first */
        get: operations["list_messages"];
        put?: never;
        /** Sends a prompt and answers when the answer is whole */
        post: operations["send_message"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/messages/{mid}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Asks again in other words: a sibling of an earlier prompt, with its own answer */
        patch: operations["edit_message"];
        trace?: never;
    };
    "/sessions/{id}/messages/{mid}/regenerate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Answers a prompt once more: a sibling of an earlier answer */
        post: operations["regenerate_message"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/messages/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sends a prompt and streams the answer; `/sessions/{id}/stream` is the same */
        post: operations["stream_message"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Undoes a deletion */
        post: operations["restore_session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/share": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How a conversation is shared */
        get: operations["get_share"];
        put?: never;
        /** Shares the present branch, read-only, up to its head */
        post: operations["share_session"];
        /** Ends the sharing at once; an administrator ends that of others, too */
        delete: operations["unshare_session"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/stop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Stops the answer that is being written; what there is of it is kept */
        post: operations["stop_session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sessions/{id}/update-stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** The newest answer, which the server has stored already; kept for S0's clients */
        post: operations["update_stream"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/shared/{token}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A shared branch, without signing in; its last messages, or those above one of them */
        get: operations["get_shared"];
        put?: never;
        post?: never;
        /** Ends one's own sharing by its link, or as an administrator that of anybody in the tenant */
        delete: operations["revoke_share"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/usage/record": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Usage that another program reports; for services and admins */
        post: operations["record_usage"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/usage/stats": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Usage, summed and grouped */
        get: operations["usage_stats"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The accounts of the tenant; for admins */
        get: operations["list_users"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** An account of the tenant; for admins, and for oneself */
        get: operations["get_user"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Changes what an account may do, and whether it may come in; for admins */
        patch: operations["patch_user"];
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Credits were given. */
        Allocated: {
            balance: components["schemas"]["f64"];
            message: string;
        };
        AllocateInput: {
            /**
             * Format: double
             * @description More than 0, at most six places.
             */
            amount: number;
            /**
             * Format: date-time
             * @description When what is left of them is gone.
             */
            expires_at?: string | null;
            note?: string | null;
            target_user_id: string;
        };
        /** @description A model and its instructions. */
        Assistant: {
            /** Format: date-time */
            created_at: string;
            description?: string | null;
            /** Format: uuid */
            id: string;
            /** @description The model; it may not exist any more. */
            model_id: string;
            name: string;
            /** @description What one might ask it first. */
            questions: string[];
            /** @description What the model is told first. */
            system_prompt: string;
            /** Format: date-time */
            updated_at: string;
        };
        /** @description A page of assistants, newest first. */
        AssistantPage: {
            data: components["schemas"]["Assistant"][];
            meta: components["schemas"]["PageMeta"];
        };
        AssistantPatchInput: {
            /** @description At most 300 characters; null removes it. */
            description?: string | null;
            model_id?: string | null;
            /** @description 1 to 80 characters. */
            name?: string | null;
            /** @description All of them: at most 6 of 1 to 300 characters. */
            questions?: string[] | null;
            /** @description At most 32 KiB. */
            system_prompt?: string | null;
        };
        /** @description What an account has. */
        Balance: {
            /** @description Available. */
            balance: components["schemas"]["f64"];
            /** @description Reserved by answers that are being written. */
            held: components["schemas"]["f64"];
        };
        /** @description The parts of a cost. */
        Breakdown: {
            completion_credits: components["schemas"]["f64"];
            /** Format: int64 */
            completion_tokens: number;
            /** @description Credits for 1,000 tokens of the prompt. */
            input_price: components["schemas"]["f64"];
            /** @description Credits for 1,000 tokens of the answer. */
            output_price: components["schemas"]["f64"];
            prompt_credits: components["schemas"]["f64"];
            /** Format: int64 */
            prompt_tokens: number;
        };
        /** @description A cost and how it comes about. */
        Calculated: {
            breakdown: components["schemas"]["Breakdown"];
            credits: components["schemas"]["f64"];
        };
        CalculateInput: {
            /** Format: int64 */
            completion_tokens: number;
            model_id: string;
            /** Format: int64 */
            prompt_tokens: number;
        };
        /** @description What an answer cost. */
        Charge: {
            balance: components["schemas"]["f64"];
            charged: components["schemas"]["f64"];
        };
        /** @description Whether something could be paid. */
        Checked: {
            allowed: boolean;
            balance: components["schemas"]["f64"];
            /** @description What the request would hold first. */
            required: components["schemas"]["f64"];
        };
        CheckInput: {
            /**
             * Format: int64
             * @description Tokens of the answer at most.
             */
            max_tokens?: number | null;
            model_id: string;
            prompt?: string | null;
            /**
             * Format: int64
             * @description Tokens of the prompt, or the prompt itself.
             */
            prompt_tokens?: number | null;
            /** @description Whose wallet; one's own without it. */
            user_id?: string | null;
        };
        /** @description A thread of messages. */
        Conversation: {
            /**
             * Format: uuid
             * @description Whose it is.
             */
            account_id: string;
            /**
             * Format: uuid
             * @description The run that is writing an answer.
             */
            active_run?: string | null;
            /** @description Out of the usual list. */
            archived: boolean;
            /**
             * Format: uuid
             * @description The assistant it began with, which may be gone.
             */
            assistant_id?: string | null;
            /** Format: date-time */
            created_at: string;
            /**
             * Format: uuid
             * @description The last message of the current branch.
             */
            head?: string | null;
            /** Format: uuid */
            id: string;
            /** @description The model that answers. */
            model_id: string;
            /** @description Shown before all others. */
            pinned: boolean;
            /**
             * @description active or closed
             * @example active
             */
            status: string;
            /** @description What the model is told first. */
            system_prompt?: string | null;
            /** @description Empty before the first prompt. */
            title: string;
            /** @description none, heuristic, model, person */
            title_source: string;
            /** Format: date-time */
            updated_at: string;
            /**
             * Format: int64
             * @description Counts the changes.
             */
            version: number;
        };
        /** @description A page of conversations. */
        ConversationPage: {
            data: components["schemas"]["Conversation"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description What the page gets: its tokens are in cookies. */
        CookieSession: {
            /**
             * Format: int64
             * @description Seconds until the access token expires; `POST /auth/refresh` renews it.
             */
            expires_in: number;
            /** @example cookie */
            token_type: string;
            user: components["schemas"]["User"];
        };
        CreateInput: {
            /** @description One of one's assistants. */
            assistant_id?: string | null;
            /** @description The model; that of the assistant or else the default one without it. */
            model_id?: string | null;
            /** @description What the model is told first; what the assistant tells without it. */
            system_prompt?: string | null;
            title?: string | null;
        };
        /** @description One thing the server needs. */
        Dependency: {
            /** @description Which implementation serves. */
            kind?: string | null;
            /** @description `ok`, `unavailable` or `not configured`. */
            status: string;
        };
        /** @description A device that is signed in. */
        Device: {
            /** Format: date-time */
            created_at: string;
            /** @description Whether it is the one that asks. */
            current: boolean;
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            last_used_at: string;
            /** @description What it calls itself. */
            user_agent?: string | null;
        };
        /** @description A page of one's devices, the last used first. */
        DevicePage: {
            data: components["schemas"]["Device"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description One entry of a ledger. */
        Entry: {
            /** @description What it did to the balance; negative when credits went. */
            amount: components["schemas"]["f64"];
            /** @description The balance right after it. */
            balance_after: components["schemas"]["f64"];
            /** Format: date-time */
            created_at: string;
            /** Format: uuid */
            id: string;
            /** @description allocate, hold, extend, settle, release, expire, record */
            kind: string;
            note?: string | null;
            /** Format: uuid */
            run_id?: string | null;
        };
        /** @description A page of a ledger, newest entry first. */
        EntryPage: {
            data: components["schemas"]["Entry"][];
            meta: components["schemas"]["PageMeta"];
        };
        EraseInput: {
            /** Format: password */
            password: string;
        };
        /** Format: double */
        f64: number;
        /** @description What is wrong with one field. */
        FieldProblem: {
            /** @description The field's name, dotted for nested ones. */
            field: string;
            /** @description What is wrong and what would be right. */
            message: string;
        };
        /** @description Whether the server and what it needs are well. */
        Health: {
            /** @description Runs at work on this node. */
            active_jobs: number;
            bus: components["schemas"]["Dependency"];
            database: components["schemas"]["Dependency"];
            redis: components["schemas"]["Dependency"];
            /** @description `ok`, or `unavailable` when a dependency is down. */
            status: string;
            /** Format: date-time */
            timestamp: string;
            version: string;
        };
        LoginInput: {
            /** @description For the page: the tokens are set as cookies that scripts cannot read, and are not in the body. */
            cookie?: boolean;
            /** @description The same; one of the two is enough. */
            email?: string | null;
            /** Format: password */
            password: string;
            /** @description The tenant's slug; the one used last without it. */
            tenant?: string | null;
            /** @description The email address or the user name. */
            username?: string | null;
        };
        /** @description An account's place in a tenant. */
        Membership: {
            roles: string[];
            tenant: components["schemas"]["Tenant"];
        };
        /** @description A message; never changed once it is there. */
        Message: {
            content: string;
            /** Format: uuid */
            conversation_id: string;
            /** Format: date-time */
            created_at: string;
            credits?: components["schemas"]["f64"] | null;
            /**
             * Format: int64
             * @description How many messages stand above it on its branch.
             */
            depth: number;
            /** @description Why its run ended. */
            end_reason?: string | null;
            /** Format: uuid */
            id: string;
            model_id?: string | null;
            /**
             * Format: uuid
             * @description What it answers or follows.
             */
            parent_id?: string | null;
            /** @description user, assistant, system */
            role: string;
            /** Format: uuid */
            run_id?: string | null;
            /** @description complete, stopped, interrupted, error */
            status: string;
            usage?: components["schemas"]["Usage"] | null;
        };
        /** @description A page of messages, oldest first within the page. */
        MessagePage: {
            data: components["schemas"]["MessageView"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description A message and its place among the versions of the same turn. */
        MessageView: {
            content: string;
            /** Format: uuid */
            conversation_id: string;
            /** Format: date-time */
            created_at: string;
            credits?: components["schemas"]["f64"] | null;
            /**
             * Format: int64
             * @description How many messages stand above it on its branch.
             */
            depth: number;
            /** @description Why its run ended. */
            end_reason?: string | null;
            /** Format: uuid */
            id: string;
            model_id?: string | null;
            /**
             * Format: uuid
             * @description What it answers or follows.
             */
            parent_id?: string | null;
            /** @description user, assistant, system */
            role: string;
            /** Format: uuid */
            run_id?: string | null;
            /** @description complete, stopped, interrupted, error */
            status: string;
            usage?: components["schemas"]["Usage"] | null;
        } & {
            /** @description Every message with the same parent, oldest first. */
            sibling_ids: string[];
            /**
             * Format: int32
             * @description Where this one stands among them, from 0.
             */
            sibling_index: number;
        };
        /** @description A model. */
        Model: {
            /**
             * Format: int32
             * @description Tokens of prompt and answer together.
             */
            context_window: number;
            id: string;
            /**
             * Format: double
             * @description Credits for 1,000 tokens of the prompt; null is free, and for admins only.
             */
            input_price?: number | null;
            /** @description chat or embedding */
            kind: string;
            /**
             * Format: int32
             * @description Tokens of one answer at most.
             */
            max_output_tokens?: number | null;
            /**
             * Format: double
             * @description Credits for 1,000 tokens of the answer.
             */
            output_price?: number | null;
            /** @description Who serves it, the preferred one first. */
            providers: string[];
            state: components["schemas"]["ModelState"];
        };
        /** @description What a model costs. */
        ModelPrice: {
            /** @description Credits for 1,000 tokens of the prompt. */
            input_price: components["schemas"]["f64"];
            model_id: string;
            /** @description Credits for 1,000 tokens of the answer. */
            output_price: components["schemas"]["f64"];
            /**
             * @description file: the configuration says so; table: the table that is shipped.
             * @example file
             */
            source: string;
            /**
             * Format: date-time
             * @description Since when.
             */
            valid_from: string;
        };
        /** @description A page of the models one may use, in order of preference. */
        Models: {
            data: components["schemas"]["Model"][];
            /** @description What to do when there is none. */
            hint?: string | null;
            meta: components["schemas"]["PageMeta"];
        };
        /** @description Whether a model can answer, as far as is known without asking it. */
        ModelState: {
            /** @description The reason as a sentence. */
            detail?: string | null;
            /**
             * @description file_missing, not_loadable, key_refused, overloaded, unreachable, too_slow, unknown_model, failing. A failure is
             *     told for at most two minutes, and until the model answers.
             * @example key_refused
             */
            reason?: string | null;
            /**
             * @description `ready`: in memory; `loading`; `cold`: loaded when it is first asked, which takes a moment; `available`: its
             *     provider was not heard to fail; `unavailable`: it will probably not answer, for the `reason`.
             * @example ready
             */
            status: string;
        };
        NewAssistantInput: {
            /** @description At most 300 characters. */
            description?: string | null;
            model_id: string;
            /** @description 1 to 80 characters. */
            name: string;
            /** @description At most 6 of 1 to 300 characters. */
            questions?: string[] | null;
            /** @description At most 32 KiB. */
            system_prompt?: string | null;
        };
        NewPromptInput: {
            /** @description 1 to 32 of a to z, 0 to 9 and the hyphen; the only one of the account. */
            command: string;
            /** @description 1 byte to 32 KiB, not blank. */
            content: string;
            /** @description 1 to 80 characters. */
            title: string;
        };
        /** @description Where a page stands in its list. */
        PageMeta: {
            /**
             * Format: int32
             * @description This page, from 1.
             */
            page: number;
            /**
             * Format: int64
             * @description Pages in the whole list.
             */
            pages: number;
            /**
             * Format: int32
             * @description Rows a page.
             */
            per_page: number;
            /**
             * Format: int64
             * @description Rows in the whole list.
             */
            total: number;
        };
        PasswordInput: {
            /** Format: password */
            current_password: string;
            /**
             * Format: password
             * @description 8 to 256 characters.
             */
            new_password: string;
        };
        PatchInput: {
            archived?: boolean | null;
            /** @description Goes to the branch of this message. */
            head?: string | null;
            model_id?: string | null;
            pinned?: boolean | null;
            /** @description Null removes it. */
            system_prompt?: string | null;
            /** @description An empty one lets the platform name it again. */
            title?: string | null;
            /**
             * Format: int64
             * @description Only if the conversation still has this version.
             */
            version?: number | null;
        };
        PatchMeInput: {
            /** @description 1 to 100 characters. */
            display_name?: string | null;
            /** @description A second name to sign in with: 2 to 64 of a-z, 0-9, `.`, `_`, `-`; null gives it up. */
            username?: string | null;
        };
        PatchUserInput: {
            /** @description Replaces the roles: user, supervisor, admin, operator. */
            roles?: string[] | null;
            /**
             * @description active or suspended: who is suspended cannot sign in, and is signed out everywhere.
             * @example suspended
             */
            status?: string | null;
        };
        /** @description A page of what the models cost. */
        PricePage: {
            data: components["schemas"]["ModelPrice"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description An error answer (RFC 9457). */
        Problem: {
            /**
             * @description Stable name of what went wrong.
             * @example insufficient_credits
             */
            code: string;
            /** @description The chain of causes, with `errors.debug = true` only. */
            debug?: string | null;
            /** @description What happened here, and what to do. */
            detail: string;
            /** @description The same sentence as `detail` (S1). */
            error: string;
            /** @description What is wrong with which field (422). */
            errors?: components["schemas"]["FieldProblem"][];
            /** @description The path that was asked for. */
            instance: string;
            /** @description Also in the header `X-Request-Id` and in the server's log. */
            request_id: string;
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
            /** @description The same for every occurrence of the code. */
            title: string;
            /**
             * @description The page about this code: what happened, why, what to do.
             * @example /docs/errors/insufficient_credits
             */
            type: string;
        };
        /** @description A prompt, and how it is to be answered. */
        PromptInput: {
            /** @description Only if this is still the last message of the conversation; 409 otherwise. */
            after?: string | null;
            /**
             * Format: int32
             * @description Output tokens at most.
             */
            max_tokens?: number | null;
            /** @description Another model than the conversation's, for this answer. */
            model_id?: string | null;
            /** @description The text; also taken as `content` or `message`. A regeneration needs none. */
            prompt?: string | null;
            /**
             * Format: float
             * @description 1 means none.
             */
            repeat_penalty?: number | null;
            /**
             * Format: int64
             * @description Makes the answer repeatable where the model can.
             */
            seed?: number | null;
            /** @description Texts at which the answer ends. */
            stop?: string[];
            /**
             * Format: float
             * @description 0 to 2; 0 always takes the likeliest token.
             */
            temperature?: number | null;
            /**
             * Format: float
             * @description 0 to 1.
             */
            top_p?: number | null;
        };
        PromptPatchInput: {
            /** @description 1 to 32 of a to z, 0 to 9 and the hyphen. */
            command?: string | null;
            /** @description 1 byte to 32 KiB, not blank. */
            content?: string | null;
            /** @description 1 to 80 characters. */
            title?: string | null;
        };
        /** @description Usage was recorded and paid. */
        Recorded: {
            balance: components["schemas"]["f64"];
            credits: components["schemas"]["f64"];
            /** Format: uuid */
            id: string;
            /** @description What it cost beyond that and could not be paid. */
            shortfall: components["schemas"]["f64"];
        };
        RecordInput: {
            /** Format: int64 */
            completion_tokens: number;
            /** @description Whatever belongs to it. */
            metadata?: unknown;
            model_id: string;
            /** Format: int64 */
            prompt_tokens: number;
            user_id: string;
        };
        RefreshInput: {
            /** @description Not needed by the page, whose browser sends its cookie. */
            refresh_token?: string | null;
        };
        RegisterInput: {
            /** @description The part of the email before the @ without it. */
            display_name?: string | null;
            email: string;
            /**
             * Format: password
             * @description 8 to 256 characters.
             */
            password: string;
        };
        /** @description A piece of work, apart from the connection that asked for it. */
        Run: {
            /** @description Which providers were tried. */
            attempts?: unknown;
            /** Format: date-time */
            created_at: string;
            /**
             * @description Why it ended: stop, length, insufficient_credits, interrupted, error, stopped, taken_over.
             * @example stop
             */
            end_reason?: string | null;
            /** Format: date-time */
            ended_at?: string | null;
            /** Format: uuid */
            id: string;
            /** @description What sort of work: `answer`, or `title` for the title that a model gives a conversation. */
            kind: string;
            /** @description Which way was chosen, and why. */
            routing?: unknown;
            /** @example running */
            state: string;
            /**
             * Format: uuid
             * @description What it works on: the conversation of an answer.
             */
            subject_id?: string | null;
            usage?: unknown;
        };
        /** @description A sentence. */
        Said: {
            message: string;
        };
        /** @description A text under a command. */
        SavedPrompt: {
            /** @description The only one of the account. */
            command: string;
            content: string;
            /** Format: date-time */
            created_at: string;
            /** Format: uuid */
            id: string;
            title: string;
            /** Format: date-time */
            updated_at: string;
        };
        /** @description A page of saved prompts, newest first. */
        SavedPromptPage: {
            data: components["schemas"]["SavedPrompt"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description A conversation in which something was found; it is told without its system prompt. */
        SearchHit: {
            conversation: components["schemas"]["Conversation"];
            /**
             * Format: uuid
             * @description Its newest message with the words; null when they are in its title only.
             */
            message_id?: string | null;
            /** @description A piece of that message, or the title. */
            snippet: string;
        };
        /** @description A page of what was found. */
        SearchPage: {
            data: components["schemas"]["SearchHit"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description One group of a series. */
        Series: {
            /** Format: int64 */
            completion_tokens: number;
            credits: components["schemas"]["f64"];
            /** Format: int64 */
            prompt_tokens: number;
            /** Format: int64 */
            requests: number;
        } & {
            /**
             * Format: uuid
             * @description When grouped by conversation.
             */
            conversation_id?: string | null;
            /** @description When grouped by day. */
            day?: string | null;
            /** @description When grouped by model. */
            model_id?: string | null;
        };
        /** @description A shared branch, for its owner. */
        Share: {
            /** Format: date-time */
            created_at: string;
            /**
             * Format: uuid
             * @description Up to this message.
             */
            head?: string | null;
            /**
             * @description Where the page shows it.
             * @example /app/shared/<token>
             */
            path: string;
            /** @description Whoever knows it can read the branch. */
            token: string;
        };
        /** @description A shared branch, for everybody. */
        SharedConversation: {
            /**
             * Format: date-time
             * @description When the conversation began.
             */
            created_at: string;
            /**
             * Format: uuid
             * @description Not null when there is more above these: to be sent as `before`.
             */
            earlier?: string | null;
            /** @description In order. */
            messages: components["schemas"]["SharedMessage"][];
            /**
             * Format: date-time
             * @description When it was shared up to its last message here.
             */
            shared_at: string;
            title: string;
        };
        /** @description A message of a shared branch. */
        SharedMessage: {
            content: string;
            /** Format: date-time */
            created_at: string;
            /** Format: uuid */
            id: string;
            /** @description The model that wrote it. */
            model_id?: string | null;
            /**
             * @description user, assistant
             * @example assistant
             */
            role: string;
        };
        ShareInput: {
            /** @description Moves what is shared already to the present head; the token stays. */
            refresh?: boolean | null;
        };
        /** @description What a device or the page gets when it has signed in or refreshed. */
        SignedIn: components["schemas"]["Tokens"] | components["schemas"]["CookieSession"];
        /** @description Usage, summed. */
        Stats: {
            series: components["schemas"]["Series"][];
            totals: components["schemas"]["Totals"];
        };
        /** @description What was stopped. */
        Stopped: {
            message: string;
            run?: components["schemas"]["Run"] | null;
        };
        /** @description An organisation. */
        Tenant: {
            /** Format: uuid */
            id: string;
            name: string;
            slug: string;
        };
        /** @description What a device gets when it has signed in or refreshed. */
        Tokens: {
            /** @description For the header `Authorization: Bearer`. */
            access_token: string;
            /**
             * Format: int64
             * @description Seconds until the access token expires.
             */
            expires_in: number;
            /** @description For the next pair; good for one use. */
            refresh_token: string;
            /** @example Bearer */
            token_type: string;
            user: components["schemas"]["User"];
        };
        /** @description Sums over usage. */
        Totals: {
            /** Format: int64 */
            completion_tokens: number;
            credits: components["schemas"]["f64"];
            /** Format: int64 */
            prompt_tokens: number;
            /** Format: int64 */
            requests: number;
        };
        /** @description The tokens a call took. */
        Usage: {
            /** Format: int64 */
            completion_tokens: number;
            /** Format: int64 */
            prompt_tokens: number;
        };
        /** @description An account. */
        User: {
            /** Format: date-time */
            created_at: string;
            display_name: string;
            email: string;
            /** Format: uuid */
            id: string;
            /**
             * Format: date-time
             * @description When it last signed in to the tenant or renewed its tokens.
             */
            last_used_at?: string | null;
            memberships: components["schemas"]["Membership"][];
            /** @description guest, user, supervisor, admin, operator */
            roles: string[];
            /**
             * @description active or suspended
             * @example active
             */
            status: string;
            tenant: components["schemas"]["Tenant"];
            username?: string | null;
        };
        /** @description A page of accounts. */
        UserPage: {
            data: components["schemas"]["User"][];
            meta: components["schemas"]["PageMeta"];
        };
        /** @description What this server is, and where to go on. */
        Welcome: {
            docs: string;
            name: string;
            next: string[];
            openapi: string;
            version: string;
        };
        /** @description A whole answer. */
        WholeAnswer: {
            conversation: components["schemas"]["Conversation"];
            credits: components["schemas"]["Charge"];
            end_reason: string;
            message?: components["schemas"]["Message"] | null;
            /** Format: uuid */
            run_id: string;
            usage?: components["schemas"]["Usage"] | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    root: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Welcome"];
                };
            };
            /** @description To /app, for those who accept text/html */
            303: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    jwks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
        };
    };
    page: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
            /** @description The page is not built */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
        };
    };
    page_file: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A file, or a place within the page */
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
            /** @description Such a file is not part of this page */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description The page is not built */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
        };
    };
    list_assistants: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AssistantPage"];
                };
            };
        };
    };
    create_assistant: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewAssistantInput"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Assistant"];
                };
            };
            /** @description Invalid or unsupported model ID */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description There are 200 already */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_assistant: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Assistant"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_assistant: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patch_assistant: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AssistantPatchInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Assistant"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    login: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["LoginInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignedIn"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    logout: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    me: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    erase_account: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EraseInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            /** @description The password is wrong */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Nobody else administers the tenant */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patch_me: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PatchMeInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description The user name is taken */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description A user name counts like signing in */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    export_account: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file tertulia-export.json */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            /** @description Also while two exports are under way */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_password: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PasswordInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            /** @description The current password is wrong */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    refresh: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefreshInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignedIn"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    register: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RegisterInput"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description The email is taken */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_devices: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DevicePage"];
                };
            };
        };
    };
    sign_out_device: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    plan_chat: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PromptInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WholeAnswer"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    allocate_credits: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AllocateInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Allocated"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    credit_balance: {
        parameters: {
            query?: {
                /** @description Somebody else's, for admins */
                user_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Balance"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    calculate_credits: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CalculateInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Calculated"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    check_credits: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CheckInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Checked"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    credit_ledger: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
                /** @description Somebody else's, for admins */
                user_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EntryPage"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    docs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
        };
    };
    error_page: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The code of a problem
                 * @example not_found
                 */
                code: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/markdown": string;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    docs_viewer: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Always compressed (gzip) */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/javascript": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    events: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All is well */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description A dependency is down */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain; version=0.0.4": string;
                };
            };
        };
    };
    list_models: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Models"];
                };
            };
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The OpenAPI document of this server */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
        };
    };
    prices: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PricePage"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_prompts: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SavedPromptPage"];
                };
            };
        };
    };
    create_prompt: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewPromptInput"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SavedPrompt"];
                };
            };
            /** @description The command is taken, or there are 500 already */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_prompt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patch_prompt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PromptPatchInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SavedPrompt"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    ready: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Send requests here */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description Stopping, or the database is down */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_run: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancel_run: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    run_events: {
        parameters: {
            query?: {
                /**
                 * @description The last event id seen
                 * @example 1-42
                 */
                after?: string;
            };
            header?: {
                /** @description The same, as browsers send it */
                "Last-Event-ID"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Of an answer: as /sessions/{id}/messages/stream; reset {text, reason} gives the text so far anew */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    search: {
        parameters: {
            query: {
                page?: number;
                per_page?: number;
                /** @description All of these words, the last one of two letters or more as a beginning */
                q: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SearchPage"];
                };
            };
        };
    };
    list_sessions: {
        parameters: {
            query?: {
                archived?: boolean;
                page?: number;
                per_page?: number;
                pinned?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConversationPage"];
                };
            };
            /** @description Also while 20 long lists are under way */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_session: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateInput"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Conversation"];
                };
            };
            /** @description Invalid or unsupported model ID */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description The assistant is not there */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description There are as many as there may be */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description No model is configured */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Conversation"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patch_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PatchInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Conversation"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    export_session: {
        parameters: {
            query?: {
                /** @description md or json */
                format?: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Markdown or JSON */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Also while two exports are under way */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_messages: {
        parameters: {
            query?: {
                /** @description Those above this message */
                before?: string;
                page?: number;
                per_page?: number;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MessagePage"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Also while 20 long lists are under way */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    send_message: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PromptInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WholeAnswer"];
                };
            };
            402: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            502: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            504: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    edit_message: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path: {
                id: string;
                mid: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PromptInput"];
            };
        };
        responses: {
            /** @description Streamed instead with `Accept: text/event-stream` */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WholeAnswer"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    regenerate_message: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path: {
                id: string;
                mid: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PromptInput"];
            };
        };
        responses: {
            /** @description Streamed instead with `Accept: text/event-stream` */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WholeAnswer"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stream_message: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PromptInput"];
            };
        };
        responses: {
            /** @description start {run_id, message_id, prompt_id: the prompt that is answered, also by a regeneration}, then unnamed text deltas, then usage and end; reconnect at /runs/{id}/events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            402: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    restore_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Conversation"];
                };
            };
            /** @description It is not deleted, or was deleted too long ago */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_share: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Share"];
                };
            };
            /** @description Also when it is not shared */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    share_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ShareInput"];
            };
        };
        responses: {
            /** @description It was shared already */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Share"];
                };
            };
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Share"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    unshare_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stop_session: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Stopped"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    update_stream: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_shared: {
        parameters: {
            query?: {
                /** @description Those above this message: `earlier` */
                before?: string;
                /** @description At most so many, 100 by default; fewer when they are long */
                per_page?: number;
            };
            header?: never;
            path: {
                token: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SharedConversation"];
                };
            };
            /** @description Unknown, revoked or deleted */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_share: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                token: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Said"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    record_usage: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RecordInput"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Recorded"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    usage_stats: {
        parameters: {
            query?: {
                /** @description Not before this time or day */
                from?: string;
                /** @description day, model or conversation */
                group_by?: string;
                /** @description Before this time or day */
                to?: string;
                /** @description Somebody else's, for admins */
                user_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Stats"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_users: {
        parameters: {
            query?: {
                page?: number;
                per_page?: number;
                /** @description Part of an email address, user name or display name, in any case */
                q?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserPage"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_user: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patch_user: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PatchUserInput"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            /** @description Oneself, or the last of a role that somebody must have */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
