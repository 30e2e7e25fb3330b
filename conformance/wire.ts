import { Agent, type IncomingHttpHeaders, request } from "node:http";

/** The connection broke before the whole answer was there: whether the request was carried out, nobody knows. */
export class CutError extends Error {
  override readonly name = "CutError";
  /** The port of this end of the connection, when there was one. */
  readonly port: number | undefined;

  constructor(message: string, port?: number) {
    super(message);
    this.port = port;
  }
}

/** A whole answer. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A request; a body in pieces is written one by one, each in a turn of its own. */
export interface WireRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly pieces?: number;
}

/** No answer takes so long (ms), however busy the machine is. */
const LIMIT = 120_000;

/** One client's connections to a registry, over which it speaks as whoever holds a key. */
export class Wire {
  readonly #url: string;
  readonly #keys: Readonly<Record<string, string>>;
  readonly #agent = new Agent({ keepAlive: true });

  /** `keys` by the names of their holders. */
  constructor(url: string, keys: Readonly<Record<string, string>>) {
    this.#url = url;
    this.#keys = keys;
  }

  /** Rejects with `CutError` when the connection breaks. */
  ask(who: string, method: string, path: string, asked: WireRequest = {}): Promise<WireAnswer> {
    const body = asked.body === undefined ? undefined : Buffer.from(asked.body);
    const length = body === undefined && method === "GET" ? {} : { "content-length": String(body?.length ?? 0) };
    const authorization = `Basic ${Buffer.from(`${who}:${this.#keys[who] ?? ""}`).toString("base64")}`;
    const headers = { authorization, ...length, ...asked.headers };
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, this.#url), { method, agent: this.#agent, headers, timeout: LIMIT });
      let port: number | undefined;
      outgoing.once("socket", (socket) => {
        port = socket.localPort;
      });
      const cut = (error: Error): void => reject(new CutError(`${method} ${path}: ${error.message}`, port));
      outgoing.once("timeout", () => outgoing.destroy(new Error(`nothing was heard for ${LIMIT / 1000} s`)));
      outgoing.once("error", cut);
      outgoing.once("response", (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.once("error", cut);
        incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }));
      });
      void write(outgoing, body, asked.pieces ?? 1);
    });
  }

  /** The ports of this end of its connections. */
  get ports(): readonly number[] {
    const sockets = [...Object.values(this.#agent.sockets), ...Object.values(this.#agent.freeSockets)].flatMap((list) => list ?? []);
    return sockets.flatMap(({ localPort }) => localPort ?? []);
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function write(outgoing: ReturnType<typeof request>, body: Buffer | undefined, pieces: number): Promise<void> {
  let left = body ?? Buffer.alloc(0);
  const size = Math.ceil(left.length / pieces);
  while (left.length > 0 && !outgoing.destroyed) {
    outgoing.write(left.subarray(0, size));
    left = left.subarray(size);
    if (pieces > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  if (!outgoing.destroyed) outgoing.end();
}

/** An answer for who has to understand why it is not another one. */
export function wordsOf({ status, body }: WireAnswer): string {
  return `${status} ${body.toString().slice(0, 500)}`;
}
