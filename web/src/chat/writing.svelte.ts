// An answer that is being written, and where it hangs. What arrives is shown once
// a frame, however many pieces it comes in.
import { PerFrame } from '../lib/frame';
import type { Answer } from '../stream/answer';

let keys = 0;

export class Writing {
  /** The message after which it stands; null at the beginning of the conversation. */
  after = $state<string | null>(null);
  /** The prompt that was just sent; null when a stored one is answered. */
  readonly prompt: { key: string; text: string } | null;
  /** Its place in the page, before and after its id is known. */
  readonly key = `a${++keys}`;
  readonly model: string | null;
  answer: Answer = $state.raw() as Answer;
  connected = $state(true);
  stopping = $state(false);
  #newest: Answer;
  #frame = new PerFrame();

  constructor(after: string | null, prompt: string | null, model: string | null, answer: Answer) {
    this.after = after;
    this.prompt = prompt === null ? null : { key: `p${keys}`, text: prompt };
    this.model = model;
    this.answer = this.#newest = answer;
  }

  /** What has arrived, though it may not be shown yet. */
  get newest(): Answer {
    return this.#newest;
  }

  show(answer: Answer): void {
    this.#newest = answer;
    // A prompt that is stored already was only guessed at.
    if (answer.promptId && !this.prompt) this.after = answer.promptId;
    this.#frame.next(() => (this.answer = this.#newest));
    if (answer.end) this.#frame.now();
  }
}
