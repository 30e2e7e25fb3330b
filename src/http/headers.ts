import type { ServerResponse } from "node:http";

/**
 * Headers of every answer, whoever asks for whatever (identity.md §10). What a registry serves is data: no browser is to run,
 * frame, sniff or embed it. A door that shows pages sets a policy of its own over this one.
 */
const ALWAYS = {
  // What depends on who asks is kept by nobody, errors least of all; a door whose content never changes says so itself.
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
} as const;

/** Two years, as browsers' preload lists want it. */
const STRICT_TRANSPORT = "max-age=63072000; includeSubDomains";

/** What is known about the connection that an answer goes out on. */
export interface Edge {
  readonly requestId: string;
  /** Clients reach the registry by https, so that they may insist on it. */
  readonly secure: boolean;
  /** The server is about to stop, and keeps no connection open. */
  readonly closing: boolean;
}

/** The headers of every answer as name → value. */
export function edgeHeaders({ requestId, secure, closing }: Edge): Readonly<Record<string, string>> {
  return {
    ...ALWAYS,
    ...(secure && { "Strict-Transport-Security": STRICT_TRANSPORT }),
    ...(closing && { Connection: "close" }),
    "X-Request-Id": requestId,
  };
}

/**
 * Sets headers on the socket's answer itself: doors which stream past Hono carry them as well, and Hono makes an object of its own of more
 * than one, which costs as much as a look-up. They stay whatever the answer becomes, so that a door sets its own when nothing can fail any more.
 */
export function setHeaders(outgoing: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value);
}
