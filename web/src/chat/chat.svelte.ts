// One open conversation: its messages, the answer that is being written, and
// what a person can do. It follows the server; nothing here is the truth for long.
import { api, data, once, stream, type Conversation, type MessageView } from '../api/client';
import { ApiError, asApiError } from '../api/error';
import { idempotencyKey } from '../api/send';
import { refreshLists } from '../conversations/list.svelte';
import { loadWallet, setBalance } from '../lib/account.svelte';
import { draft, dropDraft } from '../lib/drafts';
import { onLive, type Live } from '../lib/live';
import { load, save } from '../lib/storage';
import { begin, type Answer, type AnswerFailure } from '../stream/answer';
import { follow } from '../stream/follow';
import { hasOlder, pagesTo, unanswered, upTo, withNewest, withOlder, type Rows } from './thread';

/** Messages that are there at first: a screenful or two, so that it is there at once. */
const FIRST = 20;
const PAGE = 50;
/** Messages that are put above in one go. */
const OLDER = 30;
/** So many messages are fetched at most to stay at the place where branches were switched. */
const REACH = 1000;

/** An answer that is being written, and where it hangs. */
export interface Writing {
  /** The message after which it stands; null at the beginning of the conversation. */
  after: string | null;
  /** The prompt that was just sent; null when a stored one is answered. */
  prompt: { key: string; text: string } | null;
  key: string;
  model: string | null;
  answer: Answer;
  connected: boolean;
  stopping: boolean;
}

/** Why a prompt was not taken. Its text is back in the composer. */
export interface Refusal {
  error: ApiError;
  /** When trying again makes sense, in milliseconds since 1970. */
  until: number | null;
}

/** An answer that failed after it had begun. */
export interface Failed {
  failure: AnswerFailure;
  /** What had arrived; it is not kept. */
  text: string;
}

export interface Outgoing {
  text: string;
  /** The prompt that is said in other words. */
  edits?: string;
}

let keys = 0;

export class Chat {
  readonly id: string;
  conversation = $state.raw<Conversation | null>(null);
  rows = $state.raw<Rows>([]);
  loaded = $state(false);
  loadingOlder = $state(false);
  problem = $state.raw<ApiError | null>(null);
  writing = $state.raw<Writing | null>(null);
  refusal = $state.raw<Refusal | null>(null);
  failed = $state.raw<Failed | null>(null);
  /** Called with a text that was not taken, to be typed again. */
  onReturned: (outgoing: Outgoing) => void = () => {};

  #keys = new Map<string, string>();
  #closing = new AbortController();
  #follower: AbortController | null = null;
  #offLive: () => void;
  #syncing: Promise<void> | null = null;

  constructor(id: string, known: Conversation | null = null) {
    this.id = id;
    this.conversation = known;
    this.#offLive = onLive((event) => this.#live(event));
  }

  close(): void {
    this.#offLive();
    this.#closing.abort();
    this.#follower?.abort();
  }

  /** Keeps a message's place in the page while its id becomes known. */
  keyOf(message: MessageView): string {
    return this.#keys.get(message.id) ?? message.id;
  }

  /** What is shown above the answer that is being written. */
  get shown(): Rows {
    return this.writing ? upTo(this.rows, this.writing.after) : this.rows;
  }

  get hasOlder(): boolean {
    return hasOlder(this.rows);
  }

  /** The prompt that has no answer, when none is being written. */
  get waiting(): MessageView | null {
    return this.writing || !this.loaded ? null : unanswered(this.rows);
  }

  // Reading

  async open(): Promise<void> {
    try {
      await this.#sync();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.problem = asApiError(error);
    }
  }

  /** Fetches the conversation and its newest messages, and follows an answer that is being written. */
  #sync(): Promise<void> {
    this.#syncing ??= this.#fetch().finally(() => (this.#syncing = null));
    return this.#syncing;
  }

  async #fetch(): Promise<void> {
    const path = { id: this.id };
    const signal = this.#closing.signal;
    const size = this.loaded ? PAGE : FIRST;
    const [conversation, page] = await Promise.all([
      data(api.GET('/sessions/{id}', { params: { path }, signal })),
      data(api.GET('/sessions/{id}/messages', { params: { path, query: { per_page: size } }, signal })),
    ]);
    this.conversation = conversation;
    this.rows = withNewest(this.rows, page.data);
    this.loaded = true;
    this.problem = null;
    const run = conversation.active_run;
    if (run && !this.writing) void this.#join(run);
  }

  async loadOlder(): Promise<void> {
    const first = this.rows[0];
    if (this.loadingOlder || !first || !this.hasOlder) return;
    this.loadingOlder = true;
    try {
      const query = { before: first.id, per_page: OLDER };
      const page = await data(
        api.GET('/sessions/{id}/messages', {
          params: { path: { id: this.id }, query },
          signal: this.#closing.signal,
        }),
      );
      this.rows = withOlder(this.rows, page.data);
    } catch {
      // Scrolling up again tries again.
    } finally {
      this.loadingOlder = false;
    }
  }

  /** Goes to another version of a message and stays at its place. */
  async choose(message: MessageView, sibling: string): Promise<void> {
    const path = { id: this.id };
    this.conversation = await data(
      api.PATCH('/sessions/{id}', { params: { path }, body: { head: sibling } }),
    );
    this.failed = null;
    const size = 100;
    const get = (page: number) =>
      data(api.GET('/sessions/{id}/messages', { params: { path, query: { page, per_page: size } } }));
    const newest = await get(1);
    const more = Math.min(pagesTo(message.depth, newest.meta.total, size), REACH / size);
    const older = await Promise.all(Array.from({ length: more - 1 }, (_, n) => get(n + 2)));
    const rows = [...older.reverse().flatMap((page) => page.data), ...newest.data];
    // What stands above is on both branches; it stays.
    const above = this.rows.slice(
      0,
      this.rows.findIndex((row) => row.id === message.id),
    );
    this.rows = withNewest(above, rows);
    this.#keys.set(sibling, this.keyOf(message));
  }

  #live(event: Live): void {
    if (event.kind === 'ready') {
      if (this.loaded) void this.open();
    } else if (event.kind === 'session' && event.id === this.id) {
      if (event.change === 'deleted') this.problem = new ApiError(404, 'not_found', '');
      else if (!this.writing && this.loaded) void this.open();
    } else if (event.kind === 'run' && event.session_id === this.id) {
      if (!this.writing && this.loaded) void this.open();
    }
  }

  // Writing

  /** Sends a prompt, or an earlier one in other words. */
  send(outgoing: Outgoing, model: string | null = null): Promise<void> {
    const edited = outgoing.edits ? this.rows.find((row) => row.id === outgoing.edits) : undefined;
    const after = edited ? (edited.parent_id ?? null) : (this.rows.at(-1)?.id ?? null);
    const path = edited
      ? `/sessions/${this.id}/messages/${edited.id}`
      : `/sessions/${this.id}/messages/stream`;
    return this.#write(after, outgoing, model, (key, signal) =>
      stream(edited ? 'PATCH' : 'POST', path, {
        body: { prompt: outgoing.text, ...(model ? { model_id: model } : {}) },
        headers: once(key),
        signal,
      }),
    );
  }

  /** Another answer to the same prompt; `message` is the answer or the prompt. */
  regenerate(message: MessageView, model: string | null = null): Promise<void> {
    const after = message.role === 'user' ? message.id : (message.parent_id ?? null);
    const path = `/sessions/${this.id}/messages/${message.id}/regenerate`;
    return this.#write(after, null, model, (key, signal) =>
      stream('POST', path, { body: model ? { model_id: model } : {}, headers: once(key), signal }),
    );
  }

  async stop(): Promise<void> {
    const writing = this.writing;
    if (!writing || writing.stopping) return;
    this.writing = { ...writing, stopping: true };
    if (!writing.answer.runId && !writing.connected) {
      // It has not reached the server yet; whether it ever did is found out below.
      this.#follower?.abort();
    }
    try {
      await data(api.POST('/sessions/{id}/stop', { params: { path: { id: this.id } } }));
    } catch {
      if (this.writing) this.writing = { ...this.writing, stopping: false };
    }
  }

  dismiss(): void {
    this.refusal = null;
  }

  async #write(
    after: string | null,
    outgoing: Outgoing | null,
    model: string | null,
    open: (key: string, signal: AbortSignal) => Promise<Response>,
  ): Promise<void> {
    if (this.writing) return;
    const key = idempotencyKey();
    this.refusal = null;
    this.failed = null;
    const prompt = outgoing ? { key: `p${++keys}`, text: outgoing.text } : null;
    this.writing = {
      after,
      prompt,
      key: `a${++keys}`,
      model: model ?? this.conversation?.model_id ?? null,
      answer: begin(),
      connected: true,
      stopping: false,
    };
    const taken = (): void => {
      // What was typed meanwhile stays.
      if (outgoing && draft(this.id) === outgoing.text) dropDraft(this.id);
      refreshLists();
    };
    await this.#follow(
      (signal) => open(key, signal),
      begin(),
      taken,
      (error) => this.#refused(error, outgoing),
    );
  }

  /** Follows an answer that was begun elsewhere, or before the page was loaded. */
  async #join(run: string): Promise<void> {
    const last = this.rows.at(-1);
    // A new answer to an earlier prompt does not move the head before it is done.
    const noted = load(`run:${this.id}`)?.split(' ') ?? [];
    const known = noted[0] === run ? noted[1] : undefined;
    const guess = last?.role === 'assistant' ? (last.parent_id ?? null) : (last?.id ?? null);
    this.writing = {
      after: known ? known : guess,
      prompt: null,
      key: `a${++keys}`,
      model: this.conversation?.model_id ?? null,
      answer: begin(run),
      connected: true,
      stopping: false,
    };
    const open = (signal: AbortSignal) => stream('GET', `/runs/${run}/events`, { signal });
    await this.#follow(
      open,
      begin(run),
      () => {},
      () => {
        this.writing = null;
      },
    );
  }

  async #follow(
    open: (signal: AbortSignal) => Promise<Response>,
    answer: Answer,
    taken: () => void,
    refused: (error: ApiError) => void,
  ): Promise<void> {
    const follower = new AbortController();
    this.#follower = follower;
    let first = true;
    try {
      const end = await follow({
        open,
        resume: (run, after, signal) =>
          stream('GET', `/runs/${run}/events`, {
            headers: after ? { 'Last-Event-ID': after } : {},
            signal,
          }),
        answer,
        signal: follower.signal,
        onConnected: (connected) => {
          if (this.writing) this.writing = { ...this.writing, connected };
        },
        onAnswer: (now) => {
          if (first && now.runId) {
            first = false;
            taken();
            this.#note(now.runId);
          }
          if (this.writing) this.writing = { ...this.writing, answer: now };
        },
      });
      await this.#ended(end);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      if (first) {
        refused(follower.signal.aborted ? new ApiError(0, 'stopped', '') : asApiError(error));
        if (follower.signal.aborted) await this.open();
      } else {
        // The run cannot be read any more: what is stored is what there is.
        this.writing = null;
        await this.open();
      }
    }
  }

  /** A new prompt is the head as soon as it is sent; where another answer hangs is not told by the server. */
  #note(run: string): void {
    const writing = this.writing;
    if (writing && !writing.prompt) save(`run:${this.id}`, `${run} ${writing.after ?? ''}`);
  }

  #refused(error: ApiError, outgoing: Outgoing | null): void {
    this.writing = null;
    const until = error.retryAfter === null ? null : Date.now() + error.retryAfter * 1000;
    if (error.code !== 'stopped') this.refusal = { error, until };
    if (outgoing) this.onReturned(outgoing);
    // Somebody else is writing here: show that.
    if (error.code === 'conversation_busy' || error.code === 'conflict') void this.open();
  }

  async #ended(answer: Answer): Promise<void> {
    const { end, failure } = answer;
    save(`run:${this.id}`, null);
    if (end?.balance !== null && end?.balance !== undefined) setBalance(end.balance);
    void loadWallet();
    refreshLists();
    const writing = this.writing;
    for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
      try {
        await this.#fetchEnd();
        break;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (!asApiError(error).transient) break;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    if (writing) this.#settle(writing, end?.message?.id ?? null, end?.message?.parent_id ?? null);
    if (failure && !end?.message) this.failed = { failure, text: answer.text };
    this.writing = null;
    if (this.conversation?.active_run) void this.open();
  }

  async #fetchEnd(): Promise<void> {
    const path = { id: this.id };
    const [conversation, page] = await Promise.all([
      data(api.GET('/sessions/{id}', { params: { path } })),
      data(api.GET('/sessions/{id}/messages', { params: { path, query: { per_page: PAGE } } })),
    ]);
    this.conversation = conversation;
    this.rows = withNewest(this.rows, page.data);
  }

  /** What was shown while it was written keeps its place in the page. */
  #settle(writing: Writing, answer: string | null, prompt: string | null): void {
    if (answer) this.#keys.set(answer, writing.key);
    const sent = writing.prompt;
    if (!sent) return;
    const id = prompt ?? unanswered(this.rows)?.id;
    if (id) this.#keys.set(id, sent.key);
  }
}
