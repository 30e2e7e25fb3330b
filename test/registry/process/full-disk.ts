import { execFile } from "node:child_process";
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { digestOf } from "../../../src/oci/digest.ts";
import { type Program, basicOf, runProgram, urlOf } from "../../support/program.ts";
import { imageOf } from "../../support/transitions.ts";

/** `full-disk.ts <folder on a small file system>`: a registry whose disk is full, has room again, is backed up and restored; what came of it. */
const [, , folder = ""] = process.argv;
const [data, backup, restored, filler, passphrase] = ["data", "backup", "restored", "filler", "passphrase"].map((name) =>
  join(folder, name),
);
const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const LARGE = 8 * 1024 * 1024;

function serve(directory = ""): Program {
  const program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "2" });
  // Whatever happens here: it would hold the file system.
  process.once("exit", () => program.process.kill("SIGKILL"));
  return program;
}

/** By a connection of its own, so that all workers are asked. */
async function ask(url: string, method: string, headers: Readonly<Record<string, string>>, body?: string | Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers, agent: new Agent({ keepAlive: false }) }, (answer) => {
      answer.resume().once("end", () => resolve(answer.statusCode ?? 0));
    });
    asking.once("error", reject).end(body);
  });
}

class Client {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  /** Tags whose manifest was acknowledged. */
  readonly acknowledged: string[] = [];

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    [this.#url, this.#headers] = [url, headers];
  }

  async blob(bytes: string | Buffer): Promise<number> {
    return ask(`${this.#url}/v2/models/m/blobs/uploads/?digest=${digestOf(bytes)}`, "POST", this.#headers, bytes);
  }

  async manifest(tag: string): Promise<number> {
    const headers = { ...this.#headers, "content-type": "application/vnd.oci.image.manifest.v1+json" };
    const body = JSON.stringify({ ...imageOf(["layer"]), annotations: { tag } });
    const status = await ask(`${this.#url}/v2/models/m/manifests/${tag}`, "PUT", headers, body);
    if (status === 201) this.acknowledged.push(tag);
    return status;
  }

  /** What a read of everything that was acknowledged is answered, each status once. */
  async readAll(tags = this.acknowledged): Promise<readonly number[]> {
    const statuses = new Set<number>();
    for (const tag of tags) statuses.add(await ask(`${this.#url}/v2/models/m/manifests/${tag}`, "GET", this.#headers));
    statuses.add(await ask(`${this.#url}/v2/models/m/blobs/${digestOf("layer")}`, "GET", this.#headers));
    return [...statuses];
  }
}

/** Fills the disk, and frees so many bytes again. */
function fill(left: number): void {
  const file = openSync(filler ?? "", "a");
  let [size, piece] = [0, 1024 * 1024];
  while (piece >= 1024) {
    try {
      size += writeSync(file, Buffer.alloc(piece));
    } catch {
      piece /= 4;
    }
  }
  closeSync(file);
  if (left > 0) writeFileSync(filler ?? "", Buffer.alloc(Math.max(0, size - left)));
}

function free(): void {
  rmSync(filler ?? "", { force: true });
}

async function command(
  directory: string | undefined,
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly err: string }> {
  return new Promise((resolve) => {
    const env = { REGISTRY_DIR: directory ?? "" };
    execFile(process.execPath, [MAIN, ...args, "--passphrase-file", passphrase ?? ""], { env }, (error, _, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, err });
    });
  });
}

async function whileFull(client: Client): Promise<object> {
  for (const blob of ["{}", "layer"]) await client.blob(blob);
  for (let at = 0; at < 10; at += 1) await client.manifest(`before-${at}`);
  fill(0);
  const refused = new Set<number>();
  for (let at = 0; at < 40; at += 1) {
    for (const status of [await client.manifest(`full-${at}`), await client.blob(`full ${at}`)]) if (status !== 201) refused.add(status);
  }
  const reads = await client.readAll();
  free();
  const again: number[] = [];
  for (let at = 0; at < 10; at += 1) again.push(await client.manifest(`after-${at}`), await client.blob(`after ${at}`));
  return { refused: [...refused], reads, again: [...new Set(again)] };
}

const program = serve(data);
const url = await urlOf(program);
const headers = await basicOf(data ?? "", "publisher");
const client = new Client(url, headers);
const full = await whileFull(client);
const workers = program.log().filter(({ msg }) => msg === "worker serves").length;
await client.blob(Buffer.alloc(LARGE, "a"));

writeFileSync(passphrase ?? "", "a-passphrase-of-the-test-that-is-long-enough", { mode: 0o600 });
fill(LARGE / 2);
const firstBackup = await command(data, "backup", backup ?? "");
const noBackup = await command(data, "check-backup", backup ?? "");
free();
const secondBackup = await command(data, "backup", backup ?? "");
await client.blob(Buffer.alloc(LARGE, "b"));
fill(LARGE / 2);
const thirdBackup = await command(data, "backup", backup ?? "");
const earlier = await command(data, "check-backup", backup ?? "");
const halfRestored = await command(restored, "restore", backup ?? "");
free();
const refusedStart = await serve(restored).ended;
rmSync(restored ?? "", { recursive: true, force: true });
const wholeRestored = await command(restored, "restore", backup ?? "");
const stillServes = await client.readAll();
await program.stop();
const other = serve(restored);
const restoredReads = await new Client(await urlOf(other), headers).readAll(client.acknowledged);
await other.stop();
process.stdout.write(
  JSON.stringify({
    ...full,
    workers,
    commands: { firstBackup, noBackup, secondBackup, thirdBackup, earlier, halfRestored, wholeRestored },
    refusedStart,
    stillServes,
    restoredReads,
  }),
);
