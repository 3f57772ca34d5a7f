// What the page's main thread does, from the browser's own trace: tasks, and how
// much of them falls on each frame. The time between frames says nothing of that:
// it is the screen's.
import type { Browser, CDPSession, Page } from '@playwright/test';

/** Milliseconds there are for a frame. */
export const FRAME = 16;

const FRAME_BEGINS = 'BeginMainThreadFrame';

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  ph: string;
  /** Microseconds. */
  ts: number;
  dur?: number;
  /** Of them, on a processor. */
  tdur?: number;
}

export interface Span {
  from: number;
  to: number;
  /** Of its time, on a processor: less where others had it. */
  busy: number;
}

export interface Traced<T> {
  value: T;
  /** Milliseconds of every task. */
  tasks: number[];
  /** Milliseconds of tasks between the begin of a frame and that of the next. */
  frames: number[];
  /** The same, but only what was spent on a processor. */
  busy: number[];
}

const CATEGORIES = ['disabled-by-default-devtools.timeline', 'disabled-by-default-devtools.timeline.frame'];

async function collect(session: CDPSession, work: () => Promise<void>): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: CATEGORIES },
  });
  await work();
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  return events;
}

/** The thread that drew most frames: the page's. */
function mainThread(events: TraceEvent[]): TraceEvent[] {
  const drawn = new Map<string, number>();
  const thread = (event: TraceEvent): string => `${event.pid} ${event.tid}`;
  for (const event of events) {
    if (event.name === FRAME_BEGINS) drawn.set(thread(event), (drawn.get(thread(event)) ?? 0) + 1);
  }
  const [most] = [...drawn].sort((a, b) => b[1] - a[1]);
  if (!most) throw new Error('the trace has no frames');
  return events.filter((event) => thread(event) === most[0]);
}

/** The tasks, without those within others. */
export function tasksOf(events: TraceEvent[]): Span[] {
  const spans = events
    .filter((event) => event.name === 'RunTask' && event.ph === 'X')
    .map(({ ts, dur = 0, tdur = dur }) => ({ from: ts / 1000, to: (ts + dur) / 1000, busy: tdur / 1000 }))
    .sort((a, b) => a.from - b.from);
  let end = -Infinity;
  return spans.filter((span) => {
    const outer = span.from >= end;
    if (outer) end = span.to;
    return outer;
  });
}

/** How much of the tasks lies within each gap between two times: of their time, and on a processor. */
export function shares(
  tasks: readonly Span[],
  times: readonly number[],
): { frames: number[]; busy: number[] } {
  const frames: number[] = [];
  const busy: number[] = [];
  for (let n = 1; n < times.length; n++) {
    const [from, to] = [times[n - 1] as number, times[n] as number];
    let [sum, own] = [0, 0];
    for (const task of tasks) {
      const part = Math.max(0, Math.min(task.to, to) - Math.max(task.from, from));
      if (part === 0) continue;
      sum += part;
      own += (part / (task.to - task.from)) * task.busy;
    }
    frames.push(sum);
    busy.push(own);
  }
  return { frames, busy };
}

/** Runs something and answers what it cost the page. */
export async function traced<T>(page: Page, work: () => Promise<T>): Promise<Traced<T>> {
  const session = await (page.context().browser() as Browser).newBrowserCDPSession();
  let value: T | undefined;
  const events = mainThread(await collect(session, async () => void (value = await work())));
  await session.detach();
  const tasks = tasksOf(events);
  const times = events.filter((event) => event.name === FRAME_BEGINS).map(({ ts }) => ts / 1000);
  times.sort((a, b) => a - b);
  return { value: value as T, tasks: tasks.map(({ from, to }) => to - from), ...shares(tasks, times) };
}
