import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { contentNamed } from "./crash-content.ts";
import { KillableServer, type Site, siteAt } from "./crash-server.ts";
import { LargeContent } from "./large-content.ts";
import { type Access, OutrunError, receivePart, sendPart } from "./large-transfer.ts";
import { must } from "./must.ts";
import { peakMemory } from "./resident-memory.ts";
import { CutError, Wire } from "./wire.ts";

const REPOSITORY = "models/large";
const CHUNK = 64 * 1024 * 1024;
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
/** No process of the registry may ever have more resident (bytes). */
const MOST_MEMORY = 200 * 1000 * 1000;

/** What is thrown where the client is killed: its connection ends with it. */
class ClientKilledError extends Error {
  override readonly name = "ClientKilledError";
}

/** One large blob, pushed and pulled over many kills of either side. */
export class LargeBlobTrial {
  readonly #folder: string;
  readonly #kills: number;
  readonly #content: LargeContent;
  #site: Site | undefined;
  #server: KillableServer | undefined;
  #wire: Wire | undefined;
  /** Offsets at which something is killed still, the next one first. */
  #moments: number[] = [];
  #killed = 0;
  #peak = 0;
  #sentTwice = 0;
  /** Connections that ended because of what a killed client had still under way. */
  #outrun = 0;
  readonly #seconds: Record<string, number> = {};

  constructor(folder: string, { size, kills }: { readonly size: number; readonly kills: number }) {
    this.#folder = folder;
    this.#kills = kills;
    this.#content = new LargeContent(size);
  }

  async run(): Promise<void> {
    const data = join(this.#folder, "data");
    await mkdir(data);
    this.#site = await siteAt(data);
    try {
      await this.#start();
      const digest = await this.#timed("digest", async () => this.#content.digest());
      await this.#timed("push", () => this.#push(digest));
      await this.#promote(digest);
      await this.#timed("pull", () => this.#pull(digest));
      this.#lookAtMemory();
    } finally {
      this.#wire?.close();
      await this.#server?.kill();
    }
  }

  figures(): string {
    const [gigabytes, twice] = [this.#content.size / 1024 ** 3, Math.round(this.#sentTwice / 1e6)];
    const times = Object.entries(this.#seconds).map(([name, seconds]) => `${name} ${Math.round(seconds)} s`);
    return [
      `${gigabytes} GiB, ${this.#killed} kills: ${times.join(", ")}`,
      `${twice} MB were under way when something was killed and sent again, none of them acknowledged; none received twice`,
      `at most ${Math.round(this.#peak / 1e6)} MB resident in a process`,
    ].join("\n");
  }

  async #push(digest: string): Promise<void> {
    this.#plan();
    const begun = await this.#reached.ask("publisher", "POST", `/v2/${REPOSITORY}/blobs/uploads/`);
    let location = begun.headers.location ?? "";
    let [acknowledged, sent, furthest] = [0, 0, 0];
    while (acknowledged < this.#content.size) {
      const to = Math.min(acknowledged + CHUNK, this.#content.size);
      const passed = async (offset: number): Promise<void> => {
        sent = offset;
        furthest = Math.max(furthest, sent);
        await this.#killAt(offset);
      };
      try {
        location = await sendPart(await this.#access("publisher"), this.#content, { path: location, from: acknowledged, to, passed });
        acknowledged = to;
      } catch (error) {
        await this.#survive(error);
        const answer = await this.#reached.ask("publisher", "GET", location);
        const offset = Number(/^0-(\d+)$/.exec(answer.headers["range"] ?? "")?.[1] ?? -1) + 1;
        // A chunk that was outrun is behind what an earlier one had still in the socket.
        must(
          offset >= acknowledged && offset <= furthest,
          `the upload has ${offset} bytes; ${acknowledged} were acknowledged, ${furthest} sent`,
        );
        this.#sentTwice += sent - offset;
        location = answer.headers.location ?? "";
        acknowledged = offset;
      }
    }
    const closed = await this.#reached.ask("publisher", "PUT", `${location}&digest=${digest}`);
    must(closed.status === 201, `the upload was closed with ${closed.status} ${closed.body.toString()}`);
  }

  async #promote(digest: string): Promise<void> {
    const config = contentNamed("config of the large blob", 100);
    const pushed = await this.#reached.ask("publisher", "POST", `/v2/${REPOSITORY}/blobs/uploads/?digest=${config.digest}`, {
      body: config.bytes,
    });
    must(pushed.status === 201, `the config was answered by ${pushed.status}`);
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: "application/vnd.cncf.model.config.v1+json", digest: config.digest, size: config.bytes.length },
      layers: [{ mediaType: "application/vnd.cncf.model.weight.v1.raw", digest, size: this.#content.size }],
    };
    const asked = { headers: { "content-type": MANIFEST }, body: JSON.stringify(manifest) };
    const put = await this.#reached.ask("publisher", "PUT", `/v2/${REPOSITORY}/manifests/v1`, asked);
    must(put.status === 201, `the manifest was answered by ${put.status} ${put.body.toString()}`);
    const promoted = await this.#reached.ask("operator", "POST", `/v1/artifacts/${REPOSITORY}:v1/promote`, { body: "{}" });
    must(promoted.status === 200, `the promotion was answered by ${promoted.status} ${promoted.body.toString()}`);
  }

  async #pull(digest: string): Promise<void> {
    this.#plan();
    let received = 0;
    while (received < this.#content.size) {
      const passed = async (offset: number): Promise<void> => {
        received = offset;
        await this.#killAt(offset);
      };
      const part = { path: `/v2/${REPOSITORY}/blobs/${digest}`, from: received, to: this.#content.size, passed };
      await receivePart(await this.#access("runtime"), this.#content, part).catch((error: unknown) => this.#survive(error));
    }
  }

  /** Spreads the kills over the content, none at a boundary of chunks. */
  #plan(): void {
    const distance = this.#content.size / (this.#kills + 1);
    this.#moments = Array.from({ length: this.#kills }, (_, at) => Math.floor(distance * (at + 1)) + 12_345);
  }

  /** By turns the registry and the client. */
  async #killAt(offset: number): Promise<void> {
    const [next] = this.#moments;
    if (next === undefined || offset < next) return;
    this.#moments.shift();
    this.#killed += 1;
    this.#lookAtMemory();
    if (this.#moments.length % 2 === 0) throw new ClientKilledError("the client is killed");
    await this.#server?.kill();
  }

  /** Goes on after a kill, and only after one. */
  async #survive(error: unknown): Promise<void> {
    if (error instanceof ClientKilledError || error instanceof OutrunError) return;
    // Who refuses a chunk that was outrun ends the connection, and may do so before the refusal is read.
    if (error instanceof CutError && this.#server?.isRunning === true && this.#outrun < this.#killed) {
      this.#outrun += 1;
      return;
    }
    if (!(error instanceof CutError) || this.#server?.isRunning !== false) throw error;
    await this.#start();
  }

  async #start(): Promise<void> {
    if (this.#site === undefined) throw new Error("the trial has no place");
    this.#wire?.close();
    this.#server = new KillableServer(this.#site);
    await this.#server.untilReady();
    this.#wire = new Wire(this.#server.url, await this.#server.keys());
  }

  get #reached(): Wire {
    if (this.#wire === undefined) throw new Error("the registry does not run");
    return this.#wire;
  }

  async #access(who: string): Promise<Access> {
    const keys = await this.#server?.keys();
    const authorization = `Basic ${Buffer.from(`${who}:${keys?.[who] ?? ""}`).toString("base64")}`;
    return { url: this.#server?.url ?? "", authorization };
  }

  #lookAtMemory(): void {
    for (const pid of [this.#server?.pid ?? 0, ...(this.#server?.workers ?? [])]) this.#peak = Math.max(this.#peak, peakMemory(pid));
    must(this.#peak <= MOST_MEMORY, `a process of the registry had ${Math.round(this.#peak / 1e6)} MB resident`);
  }

  async #timed<T>(name: string, act: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await act();
    this.#seconds[name] = (performance.now() - began) / 1000;
    return result;
  }
}
