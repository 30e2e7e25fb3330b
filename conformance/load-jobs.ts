import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { digestOf } from "../src/oci/digest.ts";
import { Pusher } from "./load-pusher.ts";
import { type RunningRegistry, startRegistry } from "./registry-process.ts";

/** How much of what. */
export interface JobsOptions {
  readonly rounds: number;
  /** Of each measurement, in seconds. */
  readonly seconds: number;
  /** Requests a second. */
  readonly rate: number;
  /** Bytes of the large blob. */
  readonly size: number;
  /** Bytes a second that are pushed at most; zero: any. */
  readonly pushRate: number;
  /** Small blobs that a collection finds in use, and that it takes away each round. */
  readonly blobs: number;
  /** Where to write the figures as JSON. */
  readonly json: string | undefined;
}

const REPOSITORY = "models/small";
const LARGE = "models/large";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const LAYER_TYPE = "application/octet-stream";
const PULLED = Buffer.alloc(100_000, "p");
const CONFIG = "{}";
/** As many connections as there may be workers twice over, so that each worker has some of them. */
const CONNECTIONS = 8;
const PER_MANIFEST = 100;
const AT_ONCE = 8;
/** Jobs begin only when they are asked for. */
const QUIET = { REGISTRY_GC_INTERVAL: "365d" };
/** Collects again and again; the grace is what the garbage takes to be pushed. */
const COLLECTING = { REGISTRY_GC_INTERVAL: "1s", REGISTRY_GC_GRACE: "10s" };
const WARM_UP_SECONDS = 2;

/** Waits in milliseconds, by what was asked for. */
type Waits = Readonly<Record<string, readonly number[]>>;

/** A client of one registry, as the publisher and as the operator. */
class Client {
  readonly #registry: RunningRegistry;
  readonly #authorization: Readonly<Record<"publisher" | "operator", string>>;
  readonly #agents = Array.from({ length: CONNECTIONS }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  #asked = 0;

  private constructor(registry: RunningRegistry, authorization: Readonly<Record<"publisher" | "operator", string>>) {
    this.#registry = registry;
    this.#authorization = authorization;
  }

  static async of(registry: RunningRegistry): Promise<Client> {
    const [publisher, operator] = await Promise.all(["publisher", "operator"].map((name) => registry.key(name)));
    return new Client(registry, { publisher: `Bearer ${publisher}`, operator: `Bearer ${operator}` });
  }

  async blob(repository: string, bytes: Uint8Array | string): Promise<string> {
    const digest = digestOf(bytes);
    await this.#ask("POST", `/v2/${repository}/blobs/uploads/?digest=${digest}`, 201, { body: Buffer.from(bytes) });
    return digest;
  }

  /** Names blobs that are there, so that no collection takes them. */
  async manifest(repository: string, layers: readonly { readonly digest: string; readonly size: number }[]): Promise<string> {
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(CONFIG), size: CONFIG.length },
      layers: layers.map((layer) => ({ mediaType: LAYER_TYPE, ...layer })),
    });
    const path = `/v2/${repository}/manifests/${digestOf(body)}`;
    await this.#ask("PUT", path, 201, { body: Buffer.from(body), type: MANIFEST_TYPE });
    return path;
  }

  /** Asks for a manifest and for a blob by turns, so many times a second, over all connections by turns; how long each took. */
  async measure(manifest: string, { seconds, rate }: Pick<JobsOptions, "seconds" | "rate">): Promise<Waits> {
    const waits = { manifest: [] as number[], "blob of 100 kB": [] as number[] };
    const blob = `/v2/${REPOSITORY}/blobs/${digestOf(PULLED)}`;
    const began = performance.now();
    const asking: Promise<void>[] = [];
    for (let asked = 0; asked < seconds * rate; asked += 1) {
      const due = began + (asked * 1000) / rate;
      await sleep(Math.max(0, due - performance.now()));
      const [name, path] = asked % 2 === 0 ? (["manifest", manifest] as const) : (["blob of 100 kB", blob] as const);
      const since = performance.now();
      asking.push(this.#ask("GET", path, 200).then(() => void waits[name].push(performance.now() - since)));
    }
    await Promise.all(asking);
    return waits;
  }

  /** Has all blobs checked again and again until told to end. */
  async verifyOn(until: AbortSignal): Promise<number> {
    let checks = 0;
    for (; !until.aborted; checks += 1) await this.#ask("POST", "/v1/models/verify-all", 200, { as: "operator" });
    return checks;
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }

  async #ask(
    method: string,
    path: string,
    status: number,
    {
      body,
      type = LAYER_TYPE,
      as = "publisher",
    }: { readonly body?: Buffer; readonly type?: string; readonly as?: "publisher" | "operator" } = {},
  ): Promise<void> {
    const authorization = this.#authorization[as];
    const headers = { authorization, ...(body !== undefined && { "content-type": type, "content-length": String(body.length) }) };
    const agent = as === "operator" ? false : this.#agents[(this.#asked += 1) % CONNECTIONS];
    const asking = request(`${this.#registry.url}${path}`, { method, headers, agent });
    const answered = new Promise<number>((resolve, reject) => {
      asking.once("error", reject).once("response", (answer) => answer.resume().once("end", () => resolve(answer.statusCode ?? 0)));
    });
    asking.end(body);
    const found = await answered;
    if (found !== status) throw new Error(`${method} ${path} was answered ${found} instead of ${status}`);
  }
}

/** Waits by what was under way beside, each measurement by itself. */
type Measured = Record<string, Waits[]>;

/** Measures small pulls alone and beside each kind of work of the registry's own, by turns; prints the figures. */
export async function measureBesideJobs(options: JobsOptions): Promise<number> {
  let registry = await startRegistry(QUIET);
  const measured: Measured = { alone: [], "verify-all": [], "large push": [], "large push elsewhere": [], collection: [] };
  try {
    const manifest = await fill(registry, options);
    for (let round = 1; round <= options.rounds; round += 1) {
      await measureQuiet(registry, manifest, options, measured);
      registry = await restarted(registry, COLLECTING);
      measured["collection"]?.push(await measureCollecting(registry, manifest, options, round));
      registry = await restarted(registry, QUIET);
      process.stdout.write(`round ${round} of ${options.rounds}\n`);
    }
  } finally {
    await registry.dispose();
  }
  const figures = figuresOf(measured);
  for (const [name, rows] of Object.entries(figures)) {
    for (const { what, p50, p99, p50Ratio, p99Ratio } of rows) {
      const times = name === "alone" ? "" : `; ${p50Ratio.toFixed(2)} and ${p99Ratio.toFixed(2)} times what it is alone`;
      process.stdout.write(`${what}, ${name}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms${times}\n`);
    }
  }
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify({ options, figures }, null, 2)}\n`);
  return 0;
}

async function restarted(registry: RunningRegistry, settings: Readonly<Record<string, string>>): Promise<RunningRegistry> {
  await registry.stop();
  return startRegistry(settings, registry.dataDirectory);
}

/** Beside collections that walk over all blobs each second, and take away what was pushed a moment ago. */
async function measureCollecting(registry: RunningRegistry, manifest: string, options: JobsOptions, round: number): Promise<Waits> {
  const client = await Client.of(registry);
  await client.measure(manifest, { ...options, seconds: WARM_UP_SECONDS });
  await pushMany(client, options.blobs, `garbage ${round}`);
  const waits = await client.measure(manifest, options);
  client.close();
  return waits;
}

/** Alone, beside a check of all blobs, alone again, beside a large push, and beside the same push to a process that forgets it. */
async function measureQuiet(registry: RunningRegistry, manifest: string, options: JobsOptions, into: Measured): Promise<void> {
  const client = await Client.of(registry);
  const pushed = { size: options.size, rate: options.pushRate };
  const pusher = await Pusher.start(registry, LARGE, pushed);
  await client.measure(manifest, { ...options, seconds: WARM_UP_SECONDS });
  into["alone"]?.push(await client.measure(manifest, options));
  const ending = new AbortController();
  const verifying = client.verifyOn(ending.signal);
  into["verify-all"]?.push(await client.measure(manifest, options));
  ending.abort();
  const checks = await verifying;
  into["alone"]?.push(await client.measure(manifest, options));
  await pusher.begin();
  into["large push"]?.push(await client.measure(manifest, options));
  const sent = await pusher.end();
  const sink = await startSink();
  const elsewhere = await Pusher.start({ url: sink.url, key: (name) => registry.key(name) }, LARGE, pushed);
  await elsewhere.begin();
  into["large push elsewhere"]?.push(await client.measure(manifest, options));
  const forgotten = await elsewhere.end();
  sink.end();
  process.stdout.write(`${checks} checks of all blobs, ${megabytes(sent)} MB pushed, ${megabytes(forgotten)} MB elsewhere\n`);
  client.close();
}

/** Starts what takes pushes and forgets them (`load-sink.ts`). */
async function startSink(): Promise<{ readonly url: string; end(): void }> {
  const child = fork(fileURLToPath(new URL("load-sink.ts", import.meta.url)));
  const [{ port }] = z.tuple([z.object({ port: z.number() }), z.unknown()]).parse(await once(child, "message"));
  return { url: `http://127.0.0.1:${port}`, end: () => child.disconnect() };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}

/** What is asked for, what a collection has to look at, and the large blob; the path of the manifest that is asked for. */
async function fill(registry: RunningRegistry, { blobs, size }: JobsOptions): Promise<string> {
  const client = await Client.of(registry);
  for (const repository of [REPOSITORY, LARGE]) await client.blob(repository, CONFIG);
  for (let at = 0; at < blobs; at += PER_MANIFEST) {
    const layers = await pushMany(client, PER_MANIFEST, `kept ${at}`);
    await client.manifest(REPOSITORY, layers);
  }
  const pusher = await Pusher.start(registry, LARGE, { size, rate: 0 });
  const { digest } = pusher;
  await pusher.begin();
  while (!(await isThere(registry, digest))) await sleep(500);
  await pusher.end();
  await client.manifest(LARGE, [{ digest, size }]);
  const path = await client.manifest(REPOSITORY, [{ digest: await client.blob(REPOSITORY, PULLED), size: PULLED.length }]);
  client.close();
  return path;
}

async function isThere(registry: RunningRegistry, digest: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${await registry.key("publisher")}` };
  return (await fetch(`${registry.url}/v2/${LARGE}/blobs/${digest}`, { method: "HEAD", headers })).status === 200;
}

async function pushMany(
  client: Client,
  count: number,
  name: string,
): Promise<readonly { readonly digest: string; readonly size: number }[]> {
  const layers: { readonly digest: string; readonly size: number }[] = [];
  for (let at = 0; at < count; at += AT_ONCE) {
    const texts = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, more) => `${name}, ${at + more}`);
    const digests = await Promise.all(texts.map((text) => client.blob(REPOSITORY, text)));
    layers.push(...texts.map((text, index) => ({ digest: digests[index] ?? "", size: text.length })));
  }
  return layers;
}

interface Figure {
  readonly what: string;
  readonly p50: number;
  readonly p99: number;
  readonly p50Ratio: number;
  readonly p99Ratio: number;
  /** Of each measurement, so that one which the machine spoilt shows. */
  readonly p99s: readonly number[];
}

/** Of all measurements of a kind the median p50 and p99. */
function figuresOf(measured: Measured): Readonly<Record<string, readonly Figure[]>> {
  const alone = measured["alone"] ?? [];
  return Object.fromEntries(
    Object.entries(measured).map(([name, waits]) => {
      const rows = Object.keys(waits[0] ?? {}).map((what) => {
        const [p50, p99] = [middleOf(quantiles(waits, what, 0.5)), middleOf(quantiles(waits, what, 0.99))];
        const [p50Ratio, p99Ratio] = [p50 / middleOf(quantiles(alone, what, 0.5)), p99 / middleOf(quantiles(alone, what, 0.99))];
        return { what, p50, p99, p50Ratio, p99Ratio, p99s: quantiles(waits, what, 0.99) };
      });
      return [name, rows] as const;
    }),
  );
}

function quantiles(waits: readonly Waits[], what: string, share: number): readonly number[] {
  return waits.map((one) => quantile(one[what] ?? [], share));
}

function middleOf(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((left, right) => left - right)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}
