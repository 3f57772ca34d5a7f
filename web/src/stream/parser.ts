// Reads `text/event-stream` (WHATWG HTML, "Server-sent events") from any chunks:
// they may end anywhere, also within a character or between CR and LF.

export interface StreamEvent {
  /** Empty for events without a name. */
  kind: string;
  data: string;
  /** The event's own id; null when it had none. */
  id: string | null;
}

export class EventParser {
  readonly #decoder = new TextDecoder('utf-8');
  #rest = '';
  #kind = '';
  #data: string[] = [];
  #id: string | null = null;
  #begun = false;
  /** The last chunk ended with CR: a LF that follows belongs to it. */
  #afterCr = false;

  /** Calls `emit` for each event that this chunk completes. */
  push(chunk: Uint8Array | string, emit: (event: StreamEvent) => void): void {
    let text = typeof chunk === 'string' ? chunk : this.#decoder.decode(chunk, { stream: true });
    if (text === '') return;
    if (!this.#begun) {
      this.#begun = true;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    if (this.#afterCr && text.startsWith('\n')) text = text.slice(1);
    this.#afterCr = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line, emit);
  }

  #line(line: string, emit: (event: StreamEvent) => void): void {
    if (line === '') {
      if (this.#data.length > 0) emit({ kind: this.#kind, data: this.#data.join('\n'), id: this.#id });
      this.#kind = '';
      this.#data = [];
      this.#id = null;
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#kind = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
  }
}

/** The events of a response, until it ends; `alive` is called for every chunk, comments too. */
export async function* read(response: Response, alive: () => void = () => {}): AsyncGenerator<StreamEvent[]> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      const events: StreamEvent[] = [];
      parser.push(value, (event) => events.push(event));
      if (events.length > 0) yield events;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
