import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { TrustedProxies } from "../../src/http/client-address.ts";
import { type ConnectionParts, Connections } from "../../src/http/connections.ts";
import type { Door } from "../../src/http/route.ts";
import type { ConnectionCaps } from "../../src/limits/connections.ts";
import { DEFAULT_BOUNDS, LimitKeeper } from "../../src/limits/keeper.ts";
import { selfSigned } from "../support/certificate.ts";
import { type Edge, type EdgeOptions, RawClient, startEdge } from "../support/edge.ts";
import { limitsOf } from "../support/limits.ts";

const PROCESSES = 3;

function keeperOf(connections: ConnectionCaps): LimitKeeper {
  return new LimitKeeper({ ...DEFAULT_BOUNDS, connections }, () => 0, PROCESSES);
}

function processOf(keeper: LimitKeeper, caps: ConnectionCaps, number: number): Connections {
  return new Connections({ caps, processes: PROCESSES, limits: keeper.of(number) });
}

const ADDRESSES = ["10.0.0.1", "10.0.0.2"] as const;
interface Step {
  readonly act: "enter" | "leave" | "end";
  readonly process: number;
  readonly address: (typeof ADDRESSES)[number];
}
const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom("enter", "enter", "enter", "leave", "end"),
  process: fc.integer({ min: 0, max: PROCESSES - 1 }),
  address: fc.constantFrom(...ADDRESSES),
});

/** Processes of one registry, with the connections that are open. */
class Processes {
  readonly #caps: ConnectionCaps;
  readonly #keeper: LimitKeeper;
  readonly #processes: Connections[];
  #open: Omit<Step, "act">[] = [];

  constructor(perAddress: number) {
    this.#caps = { perAddress, inAll: 1000 };
    this.#keeper = keeperOf(this.#caps);
    this.#processes = Array.from({ length: PROCESSES }, (_, number) => processOf(this.#keeper, this.#caps, number));
  }

  async take({ act, process, address }: Step): Promise<void> {
    if (act === "enter" && (await this.#processes[process]?.enter(address))) this.#open.push({ process, address });
    if (act === "leave") this.#leave(process, address);
    if (act !== "end") return;
    this.#keeper.left(process);
    this.#processes[process] = processOf(this.#keeper, this.#caps, process);
    this.#open = this.#open.filter((one) => one.process !== process);
  }

  openFrom(address: string): number {
    return this.#open.filter((one) => one.address === address).length;
  }

  /** Closes all; how many an address may have then. */
  async againFrom(address: string): Promise<number> {
    for (let one = this.#open[0]; one !== undefined; one = this.#open[0]) this.#leave(one.process, one.address);
    let again = 0;
    for (const connections of this.#processes) while (await connections.enter(address)) again += 1;
    return again;
  }

  #leave(process: number, address: string): void {
    const at = this.#open.findIndex((one) => one.process === process && one.address === address);
    if (at < 0) return;
    this.#processes[process]?.leave(address);
    this.#open.splice(at, 1);
  }
}

describe("connections of several processes", () => {
  test("are never more than an address may have, whichever process they come to, and all of it is there again when they are gone", async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 150 }), fc.integer({ min: 1, max: 20 }), async (steps, perAddress) => {
      const processes = new Processes(perAddress);
      for (const one of steps) {
        await processes.take(one);
        for (const address of ADDRESSES) expect(processes.openFrom(address)).toBeLessThanOrEqual(perAddress);
      }
      expect(await processes.againFrom("10.0.0.1")).toBe(perAddress);
    });
    await expect(fc.assert(property)).resolves.toBeUndefined();
  });

  test("which all ask at once get no more than there are", async () => {
    const caps = { perAddress: 7, inAll: 1000 };
    const keeper = keeperOf(caps);
    const processes = [0, 1, 2].map((number) => processOf(keeper, caps, number));
    const asked = Array.from({ length: 60 }, (_, at) => Promise.resolve(processes[at % PROCESSES]?.enter("10.0.0.1")));
    expect((await Promise.all(asked)).filter((isIn) => isIn)).toHaveLength(7);
  });

  test("go on with one process's share of all while nobody answers, and what was taken before is not taken twice", async () => {
    const caps = { perAddress: 12, inAll: 1000 };
    const keeper = keeperOf(caps);
    const { connect, disconnect } = keeper.of(0);
    let isSilent = false;
    const connections = new Connections({
      caps,
      processes: PROCESSES,
      limits: { connect: async (counted: string | null) => (isSilent ? undefined : connect(counted)), disconnect },
    });
    const enter = async (count: number): Promise<number> => {
      let entered = 0;
      for (let at = 0; at < count; at += 1) if (await connections.enter("a")) entered += 1;
      return entered;
    };
    expect(await enter(3)).toBe(3);
    isSilent = true;
    expect(await enter(9)).toBe(1);
    for (let at = 0; at < 4; at += 1) connections.leave("a");
    isSilent = false;
    expect(await enter(20)).toBe(8);
  });

  test("that end while another one is asked for leave none taken", async () => {
    const caps = { perAddress: 2, inAll: 1000 };
    const keeper = new LimitKeeper({ ...DEFAULT_BOUNDS, connections: caps }, () => 0);
    const { connect, disconnect } = keeper.of(0);
    const asking = Promise.withResolvers<void>();
    const slow = { connect: async (counted: string | null) => (await asking.promise, connect(counted)), disconnect };
    const connections = new Connections({ caps, processes: 1, limits: slow });
    expect(connections.enter("a")).toBe(true);
    const second = connections.enter("a");
    connections.leave("a");
    asking.resolve();
    expect(await second).toBe(true);
    expect([await connections.enter("a"), await connections.enter("a")]).toEqual([true, false]);
  });
});

/** A request that lasts until it is let go. */
class Held {
  readonly begun = Promise.withResolvers<void>();
  readonly end = Promise.withResolvers<void>();
}
const held = new Map<string, Held>();

function holding(method: Door["method"]): Door {
  return {
    method,
    path: "/v1/held/:key",
    action: "open",
    handle: async (c) => {
      const here = held.get(c.req.param("key") ?? "");
      here?.begun.resolve();
      await here?.end.promise;
      return c.text("done");
    },
  };
}
const doors = [holding("GET"), holding("PATCH")];

let edge: Edge | undefined;
afterEach(async () => {
  for (const { end } of held.values()) end.resolve();
  held.clear();
  await edge?.stop();
  edge = undefined;
});

async function start(parts: Partial<ConnectionParts>, options: Partial<EdgeOptions> = {}): Promise<Edge> {
  const caps = { perAddress: 2, inAll: 5, ...parts.caps };
  const connections = new Connections({ processes: 1, limits: limitsOf({ connections: caps }), ...parts, caps });
  edge = await startEdge({ doors, connections, ...(parts.proxies && { proxies: parts.proxies }), ...options });
  return edge;
}

const ASK = "GET /v1/held/none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/** A connection that was answered, and stays open. */
async function answered(port: number, from?: string): Promise<RawClient> {
  const client = new RawClient(port, from);
  client.send(ASK);
  await client.until(/done$/);
  return client;
}

/** Connects until it is answered: the registry learns of a connection that has ended when it does. */
async function answeredSoon(port: number, from?: string): Promise<string> {
  let received = "";
  while (received === "") {
    const next = new RawClient(port, from);
    next.send(ASK);
    received = await Promise.race([next.until(/done$/).catch(() => ""), next.closed]);
  }
  return received;
}

describe("a connection", () => {
  test("over the bound of its address is closed at once; others are let in, and so is one more when one has gone", async () => {
    const { port } = await start({});
    const [first] = await Promise.all([answered(port), answered(port)]);
    expect(await new RawClient(port).closed).toBe("");
    await answered(port, "127.0.0.2");
    first.destroy();
    expect(await answeredSoon(port)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("over the bound of all is closed at once, wherever it is from", async () => {
    const { port } = await start({ caps: { perAddress: 2, inAll: 3 } });
    const [first] = await Promise.all([answered(port), answered(port, "127.0.0.2"), answered(port, "127.0.0.3")]);
    // Those that are refused take nothing of what their address may have.
    for (let tries = 0; tries < 3; tries += 1) expect(await new RawClient(port, "127.0.0.4").closed).toBe("");
    first.destroy();
    expect(await answeredSoon(port, "127.0.0.4")).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("that waits for what its address may have takes nothing from others meanwhile", async () => {
    const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<boolean>()];
    const connect = async (counted: string | null): Promise<boolean> => {
      if (counted === null) return false;
      asked.resolve();
      return answer.promise;
    };
    // Each address has one without asking, and all together two.
    const { port } = await start({ caps: { perAddress: 2, inAll: 4 }, limits: { connect, disconnect: () => undefined } });
    await answered(port);
    const waiting = new RawClient(port);
    await asked.promise;
    await answered(port, "127.0.0.2");
    answer.resolve(false);
    expect(await waiting.closed).toBe("");
  });

  test("over the bound is closed before TLS is spoken", async () => {
    const { port } = await start({ caps: { perAddress: 1, inAll: 3 } }, { tls: selfSigned("127.0.0.1") });
    const first = new RawClient(port);
    const second = new RawClient(port);
    expect(await second.closed).toBe("");
    first.destroy();
  });
});

/** Asks for a client that the proxy speaks for; resolves when the request is under way, or to what it was answered before. */
async function ask(url: string, client: string, method = "GET"): Promise<Response | undefined> {
  const [key, here] = [`${held.size}`, new Held()];
  held.set(key, here);
  const answer = fetch(`${url}/v1/held/${key}`, { method, headers: { "x-forwarded-for": client } });
  return Promise.race([answer, here.begun.promise.then(() => undefined)]);
}

describe("a trusted proxy", () => {
  const proxies = new TrustedProxies([{ address: "127.0.0.1", prefix: 32 }]);

  test("has any number of connections, and each of its clients so many requests under way, of which a PATCH is never refused", async () => {
    const { url } = await start({ proxies, caps: { perAddress: 2, inAll: 100 } });
    for (const client of ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"]) expect(await ask(url, client)).toBeUndefined();
    const refused = await ask(url, "10.0.0.1");
    expect([refused?.status, refused?.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(await ask(url, "10.0.0.1", "PATCH")).toBeUndefined();
    expect(await ask(url, "10.0.0.3")).toBeUndefined();
    held.get("0")?.end.resolve();
    let answer = await ask(url, "10.0.0.1");
    // The registry has seen the end of an answer a moment after its client.
    while (answer?.status === 429) answer = await ask(url, "10.0.0.1");
    expect(answer).toBeUndefined();
  });
});
