export interface Challenge {
  /** Where tokens are had. */
  readonly realm: string;
  readonly service: string;
  readonly scope?: string | undefined;
  readonly error?: "invalid_token" | "insufficient_scope" | undefined;
}

/** Clients search the whole header for the name of a scheme, so that a repository called like one would mislead them (protocol.md 5.3). */
const SCHEME_NAME = /bearer|basic/i;

/**
 * The value of `WWW-Authenticate` (RFC 6750 §3): Bearer alone, since some clients never get beyond Basic when both are offered.
 * A scope that holds the name of a scheme is left out: every client then asks for the scope that it needs by itself.
 */
export function formatChallenge({ realm, service, scope, error }: Challenge): string {
  const told = scope === undefined || SCHEME_NAME.test(scope) ? undefined : scope;
  const parameters = Object.entries({ realm, service, scope: told, error }).filter(([, value]) => value !== undefined);
  return `Bearer ${parameters.map(([name, value]) => `${name}="${quotable(value ?? "")}"`).join(",")}`;
}

/** What may stand between quotes: control characters and all beyond ASCII could end the header, and go (RFC 9110 §5.6.4). */
function quotable(value: string): string {
  return value.replace(/[^\u0020-\u007e]/g, "").replace(/["\\]/g, "\\$&");
}
