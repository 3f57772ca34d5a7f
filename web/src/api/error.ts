// What a failed request is to the rest of the page.

export interface FieldProblem {
  field: string;
  message: string;
}

interface Problem {
  code?: string;
  detail?: string;
  errors?: FieldProblem[];
  request_id?: string;
  status?: number;
}

/** A refusal by the server, or a request that never reached it (`code` "network"). */
export class ApiError extends Error {
  constructor(
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** Stable name of what went wrong, as in docs/errors. */
    readonly code: string,
    /** A sentence by the server for the person who reads it. */
    readonly detail: string,
    readonly fields: FieldProblem[] = [],
    /** Seconds to wait before another try. */
    readonly retryAfter: number | null = null,
    readonly requestId: string | null = null,
  ) {
    super(detail || code);
    this.name = 'ApiError';
  }

  /** The server was not reached, or could not answer now; another try may succeed. */
  get transient(): boolean {
    return this.status === 0 || this.code === 'shutting_down' || this.code === 'database_unavailable';
  }

  field(name: string): string | undefined {
    return this.fields.find((problem) => problem.field === name)?.message;
  }
}

/** Seconds of a Retry-After header, which may be a number or a date. */
export function retryAfter(header: string | null, now: number): number | null {
  if (!header) return null;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : null;
}

export async function problemOf(response: Response): Promise<ApiError> {
  let problem: Problem = {};
  try {
    problem = (await response.json()) as Problem;
  } catch {
    // A proxy's page or nothing at all: the status has to do.
  }
  const after = retryAfter(response.headers.get('retry-after'), Date.now());
  return new ApiError(
    response.status,
    problem.code ?? `http_${response.status}`,
    problem.detail ?? '',
    problem.errors ?? [],
    after,
    problem.request_id ?? response.headers.get('x-request-id'),
  );
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof TypeError) return new ApiError(0, 'network', '');
  return new ApiError(0, 'unexpected', error instanceof Error ? error.message : String(error));
}
