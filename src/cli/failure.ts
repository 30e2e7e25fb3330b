/** The exit codes that scripts may rely on. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  authentication: 3,
  denied: 4,
  notFound: 5,
  integrity: 6,
  conflict: 7,
  unavailable: 8,
} as const;
export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** What ends a command: `main.ts` alone prints it, on stderr, and exits with its code. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exit: Exit;
  /** What the registry said, when it was the registry that refused. */
  readonly answer: RefusedAnswer | undefined;

  constructor(exit: Exit, message: string, extra: { readonly cause?: unknown; readonly answer?: RefusedAnswer } = {}) {
    super(message, { cause: extra.cause });
    this.exit = exit;
    this.answer = extra.answer;
  }
}

/** An answer that was not what was asked for. */
export interface RefusedAnswer {
  readonly status: number;
  /** The stable code of RFC 9457 problems and of OCI errors, in lower case. */
  readonly code: string | undefined;
  /** The body, when it was JSON. */
  readonly body: unknown;
  /** Seconds after which the registry asks to be tried again. */
  readonly retryAfter: number | undefined;
}

const BY_STATUS: ReadonlyMap<number, Exit> = new Map([
  [401, EXIT.authentication],
  [403, EXIT.denied],
  [404, EXIT.notFound],
  [408, EXIT.unavailable],
  [409, EXIT.conflict],
  [412, EXIT.conflict],
  [422, EXIT.denied],
  [429, EXIT.unavailable],
  [502, EXIT.unavailable],
  [503, EXIT.unavailable],
  [504, EXIT.unavailable],
  [507, EXIT.unavailable],
]);

/** The exit code that stands for an HTTP status. */
export function exitOf(status: number): Exit {
  return BY_STATUS.get(status) ?? EXIT.failure;
}
