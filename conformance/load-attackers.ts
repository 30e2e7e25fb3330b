import { type ClientRequest, request } from "node:http";
import { type Socket, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Where and as whom those who misbehave come. */
export interface Target {
  readonly port: number;
  /** Of a publisher and of an operator, for what strangers do not get to. */
  readonly authorization: string;
  readonly operator: string;
}

/** What became of connections: how many by the status that they were answered, `open` for those that were let be, `cut` for the rest. */
export type Fates = Readonly<Record<string, number>>;

/** The namespace that they push to. */
export const ATTACKED = "attacked";
const HOST = "127.0.0.1";
/** All of loopback's addresses are this machine's, so that those who misbehave come from others than the rest. */
const OWN_ADDRESS = "127.0.0.2";
/** So many idle connections are more than one address may have. */
export const IDLE_ADDRESSES = [OWN_ADDRESS, "127.0.0.3", "127.0.0.4", "127.0.0.5"];
/** Wants more connections than it may have. */
export const GREEDY_ADDRESS = "127.0.0.6";
/** Connections that are opened at a time. */
const BATCH = 200;
const DRIP_MS = 500;

/** Connections on which nothing is asked, some of them after a first request. */
export class IdleConnections {
  readonly #sockets: Watched[] = [];
  readonly #addresses: readonly string[];
  /** One in so many asks something at first. */
  readonly #asking: number;

  constructor(addresses: readonly string[], asking: number) {
    this.#addresses = addresses;
    this.#asking = asking;
  }

  async open({ port }: Target, count: number): Promise<void> {
    while (this.#sockets.length < count) {
      const batch = Array.from(
        { length: Math.min(BATCH, count - this.#sockets.length) },
        (_, at) => new Watched(port, this.#addresses[at % this.#addresses.length]),
      );
      await Promise.all(batch.map((socket) => socket.connected));
      const asking = batch.filter((_, at) => at % this.#asking === 0);
      for (const socket of asking) socket.write(`GET /livez HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      // One that waits to be taken in looks like one that was.
      await Promise.all(asking.map((socket) => socket.heard));
      this.#sockets.push(...batch);
    }
  }

  /** How many were taken in, whether they are open still or were told that they waited too long. */
  get takenIn(): number {
    return this.#sockets.filter(({ fate }) => fate !== "cut").length;
  }

  close(): Fates {
    const fates = countOf(this.#sockets.map((socket) => socket.fate));
    for (const socket of this.#sockets) socket.close();
    return fates;
  }
}

/** Headers that never end: a line now and then. */
export async function sendSlowHeaders({ port }: Target, count: number, until: AbortSignal): Promise<Fates> {
  const sockets = Array.from({ length: count }, () => new Watched(port));
  for (const socket of sockets) socket.write(`GET /v2/ HTTP/1.1\r\nHost: ${HOST}\r\n`);
  while (!until.aborted && sockets.some(({ isOpen }) => isOpen)) {
    for (const socket of sockets) if (socket.isOpen) socket.write("X-Slow: 1\r\n");
    await sleep(DRIP_MS);
  }
  const fates = countOf(sockets.map((socket) => socket.fate));
  for (const socket of sockets) socket.close();
  return fates;
}

/** Bodies of uploads that were admitted, a few bytes now and then. */
export async function sendSlowBodies(target: Target, count: number, until: AbortSignal): Promise<Fates> {
  const locations: string[] = [];
  // Before any of them arrives: an identity that has too many under way begins no more.
  while (locations.length < count) locations.push(await begunUpload(target));
  const bodies = locations.map((location) => new Sent(target, "PATCH", location, {}));
  while (!until.aborted && bodies.some(({ fate }) => fate === "open")) {
    for (const body of bodies) body.write(Buffer.alloc(8));
    await sleep(DRIP_MS);
  }
  const fates = countOf(bodies.map(({ fate }) => fate));
  for (const body of bodies) body.end();
  return fates;
}

/** Bodies that are larger than they may be, where a client could send one; how each was answered, by place. */
export async function sendHugeBodies(target: Target, until: AbortSignal): Promise<Readonly<Record<string, Fates>>> {
  const { authorization, operator } = target;
  const places: readonly (readonly [name: string, Omit<Huge, "isChunked">])[] = [
    [
      "manifest",
      { method: "PUT", path: `/v2/${ATTACKED}/huge/manifests/v1`, type: "application/vnd.oci.image.manifest.v1+json", authorization },
    ],
    ["token request", { method: "POST", path: "/auth/token", type: "application/x-www-form-urlencoded", authorization }],
    ["JSON", { method: "POST", path: "/v1/namespaces", type: "application/json", authorization: operator }],
  ];
  const fates = new Map<string, string[]>(places.map(([name]) => [name, []]));
  while (!until.aborted) {
    for (const [name, place] of places) {
      for (const isChunked of [false, true]) fates.get(name)?.push(await sendHuge(target, { ...place, isChunked }));
    }
    await sleep(DRIP_MS);
  }
  return Object.fromEntries([...fates].map(([name, found]) => [name, countOf(found)]));
}

const HUGE = 16 * 1024 * 1024;
const PIECE = Buffer.alloc(64 * 1024, "x");

interface Huge {
  readonly method: string;
  readonly path: string;
  readonly type: string;
  readonly authorization: string;
  readonly isChunked: boolean;
}

async function sendHuge({ port }: Target, { method, path, type, authorization, isChunked }: Huge): Promise<string> {
  const length = isChunked ? {} : { "content-length": String(HUGE) };
  const sent = new Sent({ port, authorization }, method, path, { "content-type": type, ...length });
  for (let size = 0; size < HUGE && sent.fate === "open"; size += PIECE.length) await sent.writeAll(PIECE);
  sent.end();
  return sent.answered;
}

async function begunUpload({ port, authorization }: Target): Promise<string> {
  const answer = await fetch(`http://${HOST}:${port}/v2/${ATTACKED}/slow/blobs/uploads/`, { method: "POST", headers: { authorization } });
  if (answer.status !== 202) throw new Error(`an upload was refused: ${answer.status}`);
  return answer.headers.get("location") ?? "";
}

/** A connection, and what it was told. */
class Watched {
  readonly connected: Promise<void>;
  /** Resolves when something came, or nothing will any more. */
  readonly heard: Promise<void>;
  readonly #socket: Socket;
  #received = "";
  isOpen = true;

  constructor(port: number, localAddress = OWN_ADDRESS) {
    this.#socket = connect({ port, host: HOST, localAddress });
    this.connected = new Promise((resolve) => this.#socket.once("connect", resolve).once("close", () => resolve()));
    this.heard = new Promise((resolve) => this.#socket.once("data", () => resolve()).once("close", () => resolve()));
    this.#socket
      .setEncoding("latin1")
      .on("data", (text: string) => void (this.#received += text))
      .on("error", () => undefined)
      .on("end", () => void (this.isOpen = false))
      .on("close", () => void (this.isOpen = false));
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  get fate(): string {
    if (this.isOpen) return "open";
    return /HTTP\/1\.1 (4\d\d)/.exec(this.#received)?.[1] ?? "cut";
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A request with a body of its own, and how it was answered. */
class Sent {
  readonly #request: ClientRequest;
  /** Resolves when it was answered or cut. */
  readonly answered: Promise<string>;
  fate = "open";

  constructor(
    { port, authorization }: Pick<Target, "port" | "authorization">,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
  ) {
    this.#request = request({
      host: HOST,
      port,
      localAddress: OWN_ADDRESS,
      method,
      path,
      agent: false,
      headers: { authorization, ...headers },
    });
    this.answered = new Promise((resolve) => {
      const settle = (fate: string): void => {
        if (this.fate === "open") this.fate = fate;
        resolve(this.fate);
      };
      this.#request
        .once("response", (answer) => {
          settle(String(answer.statusCode));
          answer.resume();
        })
        .on("error", () => settle("cut"))
        .once("close", () => settle("cut"));
    });
  }

  write(bytes: Uint8Array): void {
    if (this.fate === "open") this.#request.write(bytes);
  }

  /** Writes, and waits for room to write more. */
  async writeAll(bytes: Uint8Array): Promise<void> {
    if (this.#request.write(bytes) || this.fate !== "open") return sleep(0);
    const drained = new Promise<void>((resolve) => this.#request.once("drain", resolve));
    await Promise.race([drained, this.answered]);
  }

  end(): void {
    if (this.fate === "open") this.#request.end();
    else this.#request.destroy();
  }
}

function countOf(fates: readonly string[]): Fates {
  const counts: Record<string, number> = {};
  for (const fate of fates) counts[fate] = (counts[fate] ?? 0) + 1;
  return counts;
}
