import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, retryAfter } from './error';
import { markRenewed, send, whenRenewed, whenSignedOut } from './send';

const ok = (): Response => new Response('{}', { status: 200 });
const refused = (status: number, code: string, headers: Record<string, string> = {}): Response =>
  new Response(
    JSON.stringify({ code, detail: `About ${code}.`, errors: [{ field: 'prompt', message: 'is missing' }] }),
    {
      status,
      headers: { 'content-type': 'application/problem+json', ...headers },
    },
  );
const request = (path: string, body?: string): Request =>
  new Request(`http://localhost${path}`, body ? { method: 'POST', body } : {});

/** Answers by path, in order; remembers what was asked. */
function server(answers: Record<string, (() => Response | Promise<Response>)[]>): string[] {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (input: Request | string, init?: RequestInit) => {
    const made = typeof input === 'string' ? new Request(`http://localhost${input}`, init) : input;
    const path = new URL(made.url).pathname;
    asked.push(`${made.method} ${path} ${await made.text()}`.trim());
    const next = answers[path]?.shift();
    if (!next) throw new TypeError('Failed to fetch');
    return next();
  });
  return asked;
}

beforeEach(() => localStorage.clear());
afterEach(() => vi.unstubAllGlobals());

describe('send', () => {
  it('throws problems as they are told', async () => {
    server({ '/x': [() => refused(429, 'rate_limited', { 'retry-after': '7' })] });
    const error = await send(request('/x')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 429,
      code: 'rate_limited',
      detail: 'About rate_limited.',
      retryAfter: 7,
    });
    expect((error as ApiError).field('prompt')).toBe('is missing');
  });

  it('has names for what is no problem document, and for no answer at all', async () => {
    server({ '/x': [() => new Response('<html>', { status: 502 })] });
    await expect(send(request('/x'))).rejects.toMatchObject({ status: 502, code: 'http_502' });
    await expect(send(request('/x'))).rejects.toMatchObject({ status: 0, code: 'network', transient: true });
  });

  it('renews the session once, unseen, and sends the same body again', async () => {
    const asked = server({ '/x': [() => refused(401, 'token_expired'), ok], '/auth/refresh': [ok] });
    expect((await send(request('/x', 'hello'))).ok).toBe(true);
    expect(asked).toEqual(['POST /x hello', 'POST /auth/refresh {}', 'POST /x hello']);
  });

  it('renews once for many requests at the same time', async () => {
    const answers = Array.from({ length: 5 }, () => () => refused(401, 'token_expired'));
    const asked = server({ '/x': [...answers, ok, ok, ok, ok, ok], '/auth/refresh': [ok] });
    await Promise.all(Array.from({ length: 5 }, () => send(request('/x'))));
    expect(asked.filter((line) => line.includes('refresh'))).toHaveLength(1);
  });

  it('does not renew what another tab has renewed meanwhile', async () => {
    const asked = server({
      '/x': [
        async () => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          markRenewed();
          return refused(401, 'token_expired');
        },
        ok,
      ],
    });
    expect((await send(request('/x'))).ok).toBe(true);
    expect(asked).toEqual(['GET /x', 'GET /x']);
  });

  it('tells when the session is over, but not when the server is', async () => {
    let over = 0;
    whenSignedOut(() => (over += 1));
    server({
      '/x': [() => refused(401, 'token_expired')],
      '/auth/refresh': [() => refused(401, 'token_revoked')],
    });
    await expect(send(request('/x'))).rejects.toMatchObject({ status: 401 });
    expect(over).toBe(1);
    server({ '/x': [() => refused(401, 'token_expired')] });
    await expect(send(request('/x'))).rejects.toMatchObject({ status: 0, code: 'network' });
    server({
      '/x': [() => refused(401, 'token_expired')],
      '/auth/refresh': [() => refused(503, 'shutting_down')],
    });
    await expect(send(request('/x'))).rejects.toMatchObject({ status: 503 });
    expect(over).toBe(1);
  });

  it('tells whose session it is when it was renewed', async () => {
    const told = vi.fn();
    whenRenewed(told);
    server({
      '/x': [() => refused(401, 'token_expired'), ok],
      '/auth/refresh': [() => Response.json({ token_type: 'cookie', user: { id: 'somebody' } })],
    });
    await send(request('/x'));
    expect(told).toHaveBeenCalledExactlyOnceWith({ id: 'somebody' });
  });

  it('takes up what was asked for before it was there, once', async () => {
    const asked = server({ '/x': [ok, ok] });
    const early = new Response('early');
    vi.stubGlobal('tertulia', { '/x?page=1': Promise.resolve(early) });
    expect(await send(request('/x?page=1'))).toBe(early);
    expect(asked).toEqual([]);
    await send(request('/x?page=1'));
    expect(asked).toEqual(['GET /x']);
  });

  it('renews for what was asked too early as well, and takes up nothing that is old', async () => {
    const asked = server({ '/x': [ok, ok], '/auth/refresh': [ok] });
    vi.stubGlobal('tertulia', { '/x': Promise.resolve(refused(401, 'token_expired')) });
    expect((await send(request('/x'))).ok).toBe(true);
    expect(asked).toEqual(['POST /auth/refresh {}', 'GET /x']);
    const old = { '/x': Promise.resolve(new Response('old')) };
    vi.stubGlobal('tertulia', old);
    vi.spyOn(performance, 'now').mockReturnValue(20_000);
    expect(await (await send(request('/x'))).text()).toBe('{}');
  });

  it('does not renew for a wrong password', async () => {
    const asked = server({ '/auth/login': [() => refused(401, 'invalid_credentials')] });
    await expect(send(request('/auth/login', '{}'))).rejects.toMatchObject({ code: 'invalid_credentials' });
    expect(asked).toHaveLength(1);
  });
});

it('reads Retry-After as seconds or as a date', () => {
  const now = Date.parse('2026-11-21T10:00:00Z');
  expect(retryAfter('12', now)).toBe(12);
  expect(retryAfter('Sat, 21 Nov 2026 10:00:30 GMT', now)).toBe(30);
  expect(retryAfter('Sat, 21 Nov 2026 09:00:00 GMT', now)).toBe(0);
  expect(retryAfter(null, now)).toBeNull();
  expect(retryAfter('soon', now)).toBeNull();
});
