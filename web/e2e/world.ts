// The real server on data of its own, and the scripted upstream that answers for
// its models. Both end with this process at the latest.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** `make page-bench` measures what is installed, not what is developed with. */
const programs =
  process.env.TERTULIA_PROGRAMS ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug');
/** Where `make test` keeps the local model. */
export const localModels = process.env.TERTULIA_TEST_MODELS_DIR ?? join(root, 'target/models');

export const ADMIN = { email: 'admin@example.org', password: 'an admin password' };
export const MODEL = 'scripted';
export const DEAR_MODEL = 'scripted-large';

export interface Settings {
  /** How long an access token is good for. */
  accessTtl?: string;
  /** Credits of a new account. */
  grant?: number;
  /** The local model is there, too. */
  local?: boolean;
  /** How many earlier messages a model is shown; 400 without it. */
  history?: number;
  /** Other names for the models, and for who serves them: where they are looked at. */
  names?: { model: string; dearModel: string; provider: string };
  /** Sign-ins within a minute; very many without it. */
  signIns?: number;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function hasLocalModel(): boolean {
  return existsSync(localModels) && readdirSync(localModels).some((name) => name.endsWith('.gguf'));
}

function program(name: string): string {
  const path = join(programs, name);
  if (!existsSync(path)) {
    throw new Error(`${path} is not built: cargo build --workspace --bin tertulia --bin upstream`);
  }
  return path;
}

function config(upstream: string, settings: Settings): string {
  const { accessTtl, grant = 1000, history = 400, signIns = 1_000_000 } = settings;
  const names = settings.names ?? { model: MODEL, dearModel: DEAR_MODEL, provider: 'upstream' };
  const model = (id: string, window: number, input: number, output: number): string => `
[[models]]
id = "${id}"
context_window = ${window}
input_price = ${input}
output_price = ${output}
deployments = [{ provider = "${names.provider}" }]
`;
  return `
[[providers]]
name = "${names.provider}"
kind = "openai"
base_url = "${upstream}/v1"
api_key = "test-key"
${model(names.model, 32_000, 1, 2)}${model(names.dearModel, 128_000, 10, 30)}
[server]
drain = "1s"
[accounting]
signup_grant = ${grant}
[chat]
history_messages = ${history}
[security]
${accessTtl ? `access_ttl = "${accessTtl}"` : ''}
[security.rate_limit]
chat = { requests = 1000000, window = "1m" }
reads = { requests = 1000000, window = "1m" }
sign_in = { requests = ${signIns}, window = "1m" }
`;
}

/** Starts a program and answers the address that it prints. */
function start(
  path: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  said: (text: string) => void,
): Promise<{ child: ChildProcess; url: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let output = '';
    let heard = false;
    child.stderr.on('data', (bytes: Buffer) => said(bytes.toString()));
    child.stdout.on('data', (bytes: Buffer) => {
      const text = bytes.toString();
      said(text);
      if (heard) return;
      output += text;
      const found = /listening on (http:\/\/\S+)/.exec(output)?.[1];
      if (!found) return;
      heard = true;
      resolve({ child, url: found });
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      running.delete(child);
      reject(new Error(`${path} ended with ${code}:\n${output}`));
    });
  });
}

const surroundings = (home: string): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: home,
  TMPDIR: home,
});

export class World {
  url = '';
  log = '';
  readonly data: string;
  #server: ChildProcess | null = null;

  private constructor(
    readonly home: string,
    private readonly upstream: ChildProcess,
    private readonly settings: Settings,
  ) {
    this.data = join(home, 'data');
  }

  static async start(settings: Settings): Promise<World> {
    const home = mkdtempSync(join(tmpdir(), 'tertulia-e2e.'));
    const upstream = await start(
      program('upstream'),
      ['--listen', '127.0.0.1:0'],
      surroundings(home),
      () => {},
    );
    writeFileSync(join(home, 'tertulia.toml'), config(upstream.url, settings));
    mkdirSync(join(home, 'models'));
    const world = new World(home, upstream.child, settings);
    await world.launch();
    return world;
  }

  get serving(): boolean {
    return this.#server !== null && this.#server.exitCode === null && this.#server.signalCode === null;
  }

  /** Starts the server, again at the address it had. `fault`: where it is to die (crates/kernel/src/fault.rs). */
  async launch(fault = ''): Promise<void> {
    const listen = this.url === '' ? '127.0.0.1:0' : new URL(this.url).host;
    const file = join(this.home, 'tertulia.toml');
    const env = {
      ...surroundings(this.home),
      TERTULIA__MODELS__DIR: this.settings.local ? localModels : join(this.home, 'models'),
      TERTULIA_ADMIN_EMAIL: ADMIN.email,
      TERTULIA_ADMIN_PASSWORD: ADMIN.password,
      TERTULIA_FAULT: fault,
      NO_COLOR: '1',
    };
    const args = ['serve', '--listen', listen, '--config', file, '--data-dir', this.data];
    const { child, url } = await start(program('tertulia'), args, env, (text) => {
      this.log = (this.log + text).slice(-20_000);
    });
    this.#server = child;
    this.url = url;
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    await end(this.#server);
    this.#server = null;
  }

  async stop(): Promise<void> {
    await this.kill();
    await end(this.upstream);
    rmSync(this.home, { recursive: true, force: true });
  }
}

async function end(child: ChildProcess | null): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
