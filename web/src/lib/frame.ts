// Work that is to be seen: at most once for each picture the browser draws.

/** Runs the newest of what it is given with the next frame; at once where nothing is drawn. */
export class PerFrame {
  #work: (() => void) | null = null;
  #frame = 0;

  next(work: () => void): void {
    this.#work = work;
    if (document.visibilityState !== 'visible') this.now();
    else if (!this.#frame) this.#frame = requestAnimationFrame(() => this.now());
  }

  /** Does what is waiting. */
  now(): void {
    const work = this.#work;
    this.stop();
    work?.();
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#work = null;
  }
}

/** The next task: what is waiting (keys, within a frame its layout and painting) goes first. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** When what was changed has been drawn, and nothing more urgent is waiting. */
export function drawn(): Promise<void> {
  return new Promise((resolve) => {
    if (document.visibilityState !== 'visible') setTimeout(resolve);
    else requestAnimationFrame(() => setTimeout(resolve));
  });
}

/** Milliseconds that have to be left before a frame to begin something that may wait. */
const SPARE = 4;
let line: Promise<unknown> = Promise.resolve();
let until: IdleDeadline | null = null;

/** Work that may wait: one after another, when what changed has been drawn and the next frame is not due. */
export function unhurried<T>(work: () => T): Promise<T> {
  const done = line.then(async () => {
    if ((until?.timeRemaining() ?? 0) < SPARE) {
      if (typeof requestIdleCallback !== 'function') await drawn();
      else until = await new Promise((resolve) => requestIdleCallback(resolve, { timeout: 400 }));
    }
    return work();
  });
  line = done.catch(() => {});
  return done;
}

/** When there is nothing else to do; soon in any case. */
export function idle(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof requestIdleCallback === 'function') requestIdleCallback(() => resolve(), { timeout: 3000 });
    else setTimeout(resolve, 300);
  });
}
