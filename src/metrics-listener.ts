import { createHash, timingSafeEqual } from "node:crypto";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { EXPOSITION_TYPE, exposition } from "./metrics/exposition.ts";
import type { Snapshot } from "./metrics/metric-set.ts";
import { listen } from "./listening.ts";
import type { Logger } from "./log.ts";
import type { Address } from "./settings.ts";

/** What the listener shows, and to whom. */
export interface MetricsParts {
  readonly address: Address;
  /** A socket that listens there already; undefined: it is to be opened. */
  readonly descriptor: number | undefined;
  /** What a caller has to show as a bearer token; undefined: nothing. */
  readonly token: string | undefined;
  readonly collect: () => Promise<Snapshot>;
  readonly log: Logger;
}

/** A listener of its own that answers `GET /metrics` and nothing else, apart from clients and their limits. */
export interface MetricsListener {
  readonly port: number;
  close(): void;
}

/** Of a request; whoever scrapes sends little and at once. Milliseconds. */
const PATIENCE = 10_000;
const MAX_CONNECTIONS = 100;

/** Listens for whoever collects metrics; rejects when it cannot. */
export async function listenForMetrics(parts: MetricsParts): Promise<MetricsListener> {
  const server = createServer({ requestTimeout: PATIENCE, headersTimeout: PATIENCE }, (incoming, outgoing) => {
    incoming.resume();
    answer(parts, incoming, outgoing).catch((error: unknown) => {
      parts.log.error({ err: error }, "metrics could not be collected");
      refuse(outgoing, 503);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const { host, port } = parts.address;
  await listen(server, host, { port, descriptor: parts.descriptor }, "REGISTRY_METRICS_ADDR").catch((error: unknown) => {
    // It may listen by now, where it must not.
    server.close();
    throw error;
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer({ token, collect }: MetricsParts, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  if (incoming.url?.split("?", 1)[0] !== "/metrics") return refuse(outgoing, 404);
  if (incoming.method !== "GET" && incoming.method !== "HEAD") return refuse(outgoing, 405, { Allow: "GET, HEAD" });
  if (token !== undefined && !isSame(incoming.headers.authorization ?? "", `Bearer ${token}`)) {
    return refuse(outgoing, 401, { "WWW-Authenticate": "Bearer" });
  }
  const body = exposition(await collect());
  outgoing
    .writeHead(200, { "Content-Type": EXPOSITION_TYPE, "Cache-Control": "no-store", "Content-Length": Buffer.byteLength(body) })
    .end(body);
}

function refuse(outgoing: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  if (!outgoing.headersSent) outgoing.writeHead(status, { ...headers, "Content-Length": 0 });
  outgoing.end();
}

/** By digests of the same length, so that the time tells nothing. */
function isSame(given: string, wanted: string): boolean {
  return timingSafeEqual(digestOf(given), digestOf(wanted));
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
