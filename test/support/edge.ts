import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { Writable } from "node:stream";
import { pino } from "pino";
import { randomUUIDv7 as v7 } from "node:crypto";
import { type Edges, type Gatekeeper, createApp } from "../../src/http/app.ts";
import { type Bounds, DEFAULT_BOUNDS, createHttpServer } from "../../src/http/server.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { refuseSecrets } from "./log-secrets.ts";
import { limitsOf } from "./limits.ts";

/** The edge of the registry on a real socket, around whatever doors a test is about. */
export interface Edge {
  readonly url: string;
  readonly port: number;
  /** What was logged, parsed. */
  readonly logged: readonly Readonly<Record<string, unknown>>[];
  stop(): Promise<void>;
}

export const CHALLENGE = 'Bearer realm="http://127.0.0.1/auth/token",service="127.0.0.1"';

/** Lets in whoever says `Bearer known` or `Bearer <name>` with a name of letters; the edge is what is tested, not who this is. */
const simpleGatekeeper: Gatekeeper = {
  admit: async (c) => {
    const name = /^Bearer ([a-z]+)$/.exec(c.req.header("authorization") ?? "")?.[1];
    if (name === undefined) throw new RegistryError("UNAUTHORIZED", undefined, { headers: { "WWW-Authenticate": CHALLENGE } });
    return callerNamed(name);
  },
};

function callerNamed(name: string): Caller {
  return {
    principal: {
      name,
      kind: "service",
      bindings: [],
      countsAs: name,
      duties: "standard",
      credential: `credential-of-${name}`,
      access: undefined,
    },
    actor: { principal: name, kind: "service" },
  };
}

export interface EdgeOptions extends Partial<
  Pick<Edges, "gatekeeper" | "limiter" | "pace" | "proxies" | "connections" | "draining" | "showError">
> {
  readonly doors: Edges["doors"];
  readonly bounds?: Partial<Bounds>;
  readonly publicUrl?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Where it listens, beside being called by loopback; that alone by default. */
  readonly host?: string;
}

export async function startEdge({
  doors,
  bounds,
  publicUrl = "http://127.0.0.1",
  tls,
  host = "127.0.0.1",
  ...rest
}: EdgeOptions): Promise<Edge> {
  const logged: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      for (const line of chunk.toString("utf8").split("\n")) if (line !== "") logged.push(JSON.parse(line) as Record<string, unknown>);
      done();
    },
  });
  const services = {
    log: pino({ level: "trace" }, sink),
    newId: v7,
    limits: limitsOf(),
    settings: { publicUrl },
  };
  const app = createApp({ doors, gatekeeper: simpleGatekeeper, services, ...rest });
  const server = createHttpServer(app, { bounds: { ...DEFAULT_BOUNDS, ...bounds }, newId: v7, tls });
  rest.connections?.bound(server);
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const stop = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
    refuseSecrets(logged.map((line) => JSON.stringify(line)));
  };
  return { url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`, port, logged, stop };
}

/** A socket that speaks for itself: sends text, and collects what comes back until the other side closes. */
export class RawClient {
  readonly #socket: Socket;
  #received = "";
  readonly closed: Promise<string>;

  /** `from` is an address of this machine that it comes from. */
  constructor(port: number, from = "127.0.0.1") {
    this.#socket = connect({ port, host: "127.0.0.1", localAddress: from });
    this.#socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
    });
    this.#socket.on("error", () => undefined);
    // Not `once` of events, which rejects for a write that came too late.
    this.closed = new Promise((resolve) => this.#socket.once("close", () => resolve(this.#received)));
  }

  get received(): string {
    return this.#received;
  }

  send(text: string): void {
    if (!this.#socket.destroyed) this.#socket.write(text, "latin1");
  }

  /** Resolves when what was received matches. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#received))
      await Promise.race([once(this.#socket, "data"), this.closed.then(() => this.#mustMatch(pattern))]);
    return this.#received;
  }

  #mustMatch(pattern: RegExp): void {
    if (!pattern.test(this.#received)) throw new Error(`closed without ${String(pattern)}: ${this.#received}`);
  }

  /** Takes nothing of what is sent to it from now on. */
  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
