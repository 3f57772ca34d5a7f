// One open conversation: its messages, the answer that is being written, and
// what a person can do. It follows the server; nothing here is the truth for long.
import { api, data, once, stream, type Conversation, type MessageView } from '../api/client';
import { ApiError, asApiError } from '../api/error';
import { idempotencyKey } from '../api/send';
import { refreshLists } from '../conversations/list.svelte';
import { loadWallet, setBalance } from '../lib/account.svelte';
import { draft, dropDraft } from '../lib/drafts';
import { onLive, type Live } from '../lib/live';
import { begin, type Answer } from '../stream/answer';
import { follow } from '../stream/follow';
import type { Failed, Outgoing, Refusal } from './outcome';
import { Reading } from './reading.svelte';
import { before, unanswered, upTo, type Rows } from './thread';
import { Writing } from './writing.svelte';

export class Chat {
  readonly id: string;
  readonly reading: Reading;
  conversation = $state.raw<Conversation | null>(null);
  /** The model that was picked, until the server has heard of it. */
  picked = $state.raw<string | null>(null);
  problem = $state.raw<ApiError | null>(null);
  writing = $state.raw<Writing | null>(null);
  refusal = $state.raw<Refusal | null>(null);
  failed = $state.raw<Failed | null>(null);
  /** Called with a text that was not taken, to be typed again. */
  onReturned: (outgoing: Outgoing) => void = () => {};
  /** Called when an answer that was asked for here takes its place. */
  onBegun: () => void = () => {};

  #keys = new Map<string, string>();
  /** Answers of which something was taken back while they were read here, and why. */
  #resets = new Map<string, string>();
  #closing = new AbortController();
  /** A prompt is on its way, and nobody knows yet whether the server has taken it. */
  #sending = false;
  #closed = false;
  /** A prompt waits until the newest messages are there. */
  #turning = false;
  #follower: AbortController | null = null;
  #offLive: () => void;
  #syncing: Promise<void> | null = null;

  /** `begun`: a conversation that was just made, with nothing in it to be fetched. */
  constructor(id: string, begun: Conversation | null = null) {
    this.id = id;
    this.conversation = begun;
    const params = { path: { id } };
    const { signal } = this.#closing;
    this.reading = new Reading((query) =>
      data(api.GET('/sessions/{id}/messages', { params: { ...params, query }, signal })),
    );
    this.reading.loaded = begun !== null;
    this.#offLive = onLive((event) => this.#live(event));
  }

  close(): void {
    this.#offLive();
    this.#closed = true;
    // What was sent goes on until the server has it.
    if (!this.#sending) this.#leave();
  }

  #leave(): void {
    this.#closing.abort();
    this.#follower?.abort();
  }

  /** Keeps a message's place in the page while its id becomes known. */
  keyOf(message: MessageView): string {
    return this.#keys.get(message.id) ?? message.id;
  }

  /** Why what was read of an answer was taken back, if it was. */
  resetOf(message: MessageView): string | null {
    return this.#resets.get(message.id) ?? null;
  }

  /** Who answers the next prompt. */
  get model(): string | null {
    return this.picked ?? this.conversation?.model_id ?? null;
  }

  get rows(): Rows {
    return this.reading.rows;
  }

  get loaded(): boolean {
    return this.reading.loaded;
  }

  /** The answer that is being written, where that is what is being read. */
  get shownWriting(): Writing | null {
    const { writing, reading } = this;
    if (!writing || !reading.detached) return writing;
    const here = writing.after === null ? !reading.hasOlder : reading.has(writing.after);
    return here ? writing : null;
  }

  /** What is shown above it. */
  get shown(): Rows {
    const writing = this.shownWriting;
    return writing ? upTo(this.rows, writing.after) : this.rows;
  }

  /** The prompt that has no answer, when none is being written. */
  get waiting(): MessageView | null {
    return this.writing || !this.loaded || this.reading.detached ? null : unanswered(this.rows);
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

  async #fetch(leave = false): Promise<void> {
    const [conversation, page] = await Promise.all([this.#head(), this.reading.newest()]);
    this.conversation = conversation;
    this.reading.take(page, leave);
    this.problem = null;
    this.#joinAny();
  }

  #head(change?: { head: string }): Promise<Conversation> {
    const params = { path: { id: this.id } };
    return data(
      change
        ? api.PATCH('/sessions/{id}', { params, body: change })
        : api.GET('/sessions/{id}', { params, signal: this.#closing.signal }),
    );
  }

  /** Leaves what stands further up for the newest messages. */
  async toNewest(): Promise<void> {
    if (this.reading.detached) await this.#fetch(true);
  }

  /** Loads what stands around a message, on its branch, which becomes the current one. */
  async reveal(id: string): Promise<void> {
    if (this.reading.has(id)) return;
    const known = this.conversation ?? this.#head();
    const [{ depth, rows }, conversation] = await Promise.all([this.reading.above(id), known]);
    this.conversation = conversation;
    if (!(await this.reading.around(id, depth, rows))) {
      this.conversation = await this.#head({ head: id });
      this.failed = null;
      await this.reading.around(id, depth, rows);
    }
    this.#joinAny();
  }

  /** Goes to another version of a message and stays at its place. */
  async choose(message: MessageView, sibling: string): Promise<void> {
    // What stands above is on both branches. The other one may be there before the answer is.
    const above = before(this.rows, message.id);
    this.conversation = await this.#head({ head: sibling });
    this.failed = null;
    this.#keys.set(sibling, this.keyOf(message));
    await this.reading.around(sibling, message.depth, above);
  }

  #live(event: Live): void {
    if (event.kind === 'ready') {
      if (this.loaded || this.problem) void this.open();
    } else if (event.kind === 'session' && event.id === this.id) {
      if (event.change === 'deleted') this.problem = new ApiError(404, 'not_found', '');
      else if (!this.writing && this.loaded) void this.open();
    } else if (event.kind === 'run' && event.session_id === this.id) {
      if (!this.writing && this.loaded) void this.open();
    }
  }

  // Writing

  /** Sends a prompt, or an earlier one in other words. */
  async send(outgoing: Outgoing): Promise<void> {
    if (this.writing || this.#turning) return this.onReturned(outgoing);
    const edited = outgoing.edits ? this.rows.find((row) => row.id === outgoing.edits) : undefined;
    // On another branch by now: it must not become a new prompt of this one.
    if (outgoing.edits && !edited) return this.#refused(new ApiError(404, 'not_found', ''), outgoing);
    if (!edited && this.reading.detached) {
      this.#turning = true;
      try {
        await this.toNewest();
      } catch (error) {
        return this.#refused(asApiError(error), outgoing);
      } finally {
        this.#turning = false;
      }
    }
    const after = edited ? (edited.parent_id ?? null) : (this.rows.at(-1)?.id ?? null);
    const path = edited
      ? `/sessions/${this.id}/messages/${edited.id}`
      : `/sessions/${this.id}/messages/stream`;
    return this.#write(after, outgoing, (key, signal, asked) =>
      stream(edited ? 'PATCH' : 'POST', path, {
        body: { prompt: outgoing.text, ...asked },
        headers: once(key),
        signal,
      }),
    );
  }

  /** Another answer to the same prompt; `message` is the answer or the prompt. */
  regenerate(message: MessageView): Promise<void> {
    const after = message.role === 'user' ? message.id : (message.parent_id ?? null);
    const path = `/sessions/${this.id}/messages/${message.id}/regenerate`;
    return this.#write(after, null, (key, signal, body) =>
      stream('POST', path, { body, headers: once(key), signal }),
    );
  }

  async stop(): Promise<void> {
    const writing = this.writing;
    if (!writing || writing.stopping) return;
    writing.stopping = true;
    const { runId } = writing.newest;
    // One that the server has not taken yet is stopped as soon as it has (#follow).
    if (runId) await this.#cancel(writing, runId);
    else if (!writing.connected) this.#follower?.abort();
  }

  async #cancel(writing: Writing, id: string): Promise<void> {
    try {
      await data(api.POST('/runs/{id}/cancel', { params: { path: { id } } }));
    } catch {
      writing.stopping = false;
    }
  }

  dismiss(): void {
    this.refusal = null;
  }

  async #write(
    after: string | null,
    outgoing: Outgoing | null,
    open: (key: string, signal: AbortSignal, asked: { model_id?: string }) => Promise<Response>,
  ): Promise<void> {
    if (this.writing) return;
    const key = idempotencyKey();
    const { model } = this;
    const asked = model ? { model_id: model } : {};
    this.refusal = null;
    this.failed = null;
    this.writing = new Writing(after, outgoing?.text ?? null, model, begin());
    this.onBegun();
    this.#sending = true;
    const taken = (): void => {
      this.#sending = false;
      // What was typed meanwhile stays.
      const kept = outgoing?.edits ? `edit:${outgoing.edits}` : this.id;
      if (outgoing && draft(kept) === outgoing.text) dropDraft(kept);
      refreshLists();
      if (this.#closed) this.#leave();
    };
    await this.#follow(
      (signal) => open(key, signal, asked),
      begin(),
      taken,
      (error) => {
        this.#sending = false;
        if (!this.#closed) this.#refused(error, outgoing);
      },
    );
  }

  #joinAny(): void {
    const run = this.conversation?.active_run;
    if (run && !this.writing && !this.reading.detached) void this.#join(run);
  }

  /** Follows an answer that was begun elsewhere, or before the page was loaded. */
  async #join(run: string): Promise<void> {
    const last = this.rows.at(-1);
    const after = last?.role === 'assistant' ? (last.parent_id ?? null) : (last?.id ?? null);
    this.writing = new Writing(after, null, this.conversation?.model_id ?? null, begin(run));
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
          if (this.writing) this.writing.connected = connected;
        },
        onAnswer: (now) => {
          if (first && now.runId) {
            first = false;
            taken();
            if (this.writing?.stopping) void this.#cancel(this.writing, now.runId);
          }
          this.writing?.show(now);
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
    if (writing) this.#settle(writing, answer);
    if (failure && !end?.message) this.failed = { failure, text: answer.text };
    this.writing = null;
    if (this.conversation?.active_run) void this.open();
  }

  async #fetchEnd(): Promise<void> {
    const [conversation, page] = await Promise.all([this.#head(), this.reading.newest()]);
    this.conversation = conversation;
    this.reading.take(page);
  }

  /** What was shown while it was written keeps its place in the page. */
  #settle(writing: Writing, { end, promptId, reset }: Answer): void {
    if (end?.message) this.#keys.set(end.message.id, writing.key);
    if (end?.message && reset) this.#resets.set(end.message.id, reset);
    if (writing.prompt && promptId) this.#keys.set(promptId, writing.prompt.key);
  }
}
