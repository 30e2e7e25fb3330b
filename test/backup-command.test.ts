import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { digestOf } from "../src/oci/digest.ts";
import { COMPILED } from "./support/compiled.ts";
import { type Program, basicOf, runProgram, urlOf } from "./support/program.ts";
import { imageOf } from "./support/transitions.ts";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const PASSPHRASE = "correct horse battery staple".replaceAll(" ", "-") + "-0123456789";

let folder: string;
let passphrase: string;
const programs: Program[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-backup-"));
  passphrase = at("passphrase");
  await writeFile(passphrase, PASSPHRASE, { mode: 0o600 });
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  await rm(folder, { recursive: true, force: true });
});

const at = (...path: string[]): string => join(folder, ...path);

function serve(directory: string): Program {
  const program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "2" });
  programs.push(program);
  return program;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The program's own command over a data directory. */
function commandWith(directory: string, args: readonly string[], input = ""): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { REGISTRY_DIR: directory, ...COMPILED };
    const file = new URL("../src/main.ts", import.meta.url).pathname;
    const child = execFile(process.execPath, [file, ...args], { env }, (error, out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err });
    });
    child.stdin?.on("error", () => undefined).end(input);
  });
}

/** The same with the file of the passphrase. */
function command(directory: string, ...args: readonly string[]): Promise<Ran> {
  return commandWith(directory, [...args, "--passphrase-file", passphrase]);
}

/** A client of a registry, by the key in one of its credential files. */
class Client {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  private constructor(url: string, headers: Record<string, string>) {
    this.#url = url;
    this.#headers = headers;
  }

  static async of(url: string, directory: string, name: string): Promise<Client> {
    return new Client(url, await basicOf(directory, name));
  }

  async ask(method: string, path: string, body?: string, type = "application/json"): Promise<Response> {
    const headers = { ...this.#headers, ...(body === undefined ? {} : { "Content-Type": type }) };
    return fetch(this.#url + path, { method, headers, ...(body === undefined ? {} : { body }) });
  }

  async must(status: number, ...asked: Parameters<Client["ask"]>): Promise<string> {
    const answer = await this.ask(...asked);
    const text = await answer.text();
    if (answer.status !== status) throw new Error(`${asked[0]} ${asked[1]} was answered by ${answer.status}: ${text}`);
    return text;
  }

  /** Pushes an image with one layer under a tag; its path below `/v1/artifacts` by digest. */
  async push(layer: string, tag: string): Promise<string> {
    for (const blob of ["{}", layer])
      await this.must(201, "POST", `/v2/models/m/blobs/uploads/?digest=${digestOf(blob)}`, blob, "application/octet-stream");
    const manifest = JSON.stringify(imageOf([layer]));
    await this.must(201, "PUT", `/v2/models/m/manifests/${tag}`, manifest, "application/vnd.oci.image.manifest.v1+json");
    return `models/m@${digestOf(manifest)}`;
  }

  async transition(ref: string, event: string): Promise<void> {
    await this.must(200, "POST", `/v1/artifacts/${ref}/${event}`, '{"reason":"test"}');
  }
}

/** Pushes one artifact after another until told to end; how many were acknowledged, which is told each time. */
async function pushOn(client: Client, signal: AbortSignal, acknowledged: (count: number) => void): Promise<void> {
  for (let count = 1; !signal.aborted; count += 1) {
    await client.push(`pushed meanwhile ${count}`, `meanwhile-${count}`);
    acknowledged(count);
  }
}

test("a registry that is backed up while it serves is restored elsewhere with all that was acknowledged before", async () => {
  const [data, restored] = [at("data"), at("restored")];
  const first = serve(data);
  const url = await urlOf(first);
  const [publisher, operator] = [await Client.of(url, data, "publisher"), await Client.of(url, data, "operator")];
  const [trusted, revoked] = [await publisher.push("weights", "good"), await publisher.push("poison", "bad")];
  for (const ref of [trusted, revoked]) await operator.transition(ref, "promote");
  await operator.transition(revoked, "revoke");
  const ending = new AbortController();
  let acknowledged = 0;
  const pushing = pushOn(publisher, ending.signal, (count) => (acknowledged = count));
  await vi.waitUntil(() => acknowledged > 0, 60_000);
  const before = acknowledged;
  const made = await command(data, "backup", at("backup"));
  expect([made.code, made.err]).toEqual([0, ""]);
  ending.abort();
  await pushing;
  expect(await first.stop()).toBe(0);

  const checked = await command(data, "check-backup", at("backup"));
  expect([checked.code, checked.out]).toEqual([0, made.out.replace("The backup holds", "The backup is whole and holds")]);
  const done = await command(restored, "restore", at("backup"));
  expect([done.code, done.err]).toEqual([0, ""]);
  const second = serve(restored);
  const there = await urlOf(second);
  const runtime = await Client.of(there, restored, "runtime");
  await runtime.must(200, "GET", `/v2/models/m/manifests/good`);
  expect(await runtime.must(200, "GET", `/v2/models/m/blobs/${digestOf("weights")}`)).toBe("weights");
  await runtime.must(403, "GET", `/v2/models/m/manifests/bad`);
  await runtime.must(404, "GET", `/v2/models/m/manifests/meanwhile-1`);
  const pushed = await Client.of(there, restored, "publisher");
  for (let count = 1; count <= before; count += 1) {
    await pushed.must(200, "GET", `/v2/models/m/manifests/meanwhile-${count}`);
    await pushed.must(200, "GET", `/v2/models/m/blobs/${digestOf(`pushed meanwhile ${count}`)}`);
  }
  // Folders of trusted/ are in no backup; the start made those of what is trusted.
  const folders = await readdir(join(restored, "trusted/models/m"));
  expect(folders).toEqual([trusted.split("@")[1]?.replace(":", "-")]);
  expect(await readFile(join(restored, "trusted/models/m", folders[0] ?? "", `sha256-${digestOf("weights").slice(7)}`), "utf8")).toBe(
    "weights",
  );
  const again = await Client.of(there, restored, "operator");
  expect(JSON.parse(await again.must(200, "GET", "/v1/audit?type=registry.restore"))).toMatchObject({
    events: [{ type: "registry.restore" }],
  });
  // It goes on: what signs, and the chain of the artifact.
  await again.transition(trusted, "revoke");
  await runtime.must(403, "GET", `/v2/models/m/manifests/good`);
  expect(await second.stop()).toBe(0);
});

test("the passphrase is taken from standard input where no file of it may lie, and over the roots of volumes", async () => {
  const [data, restored] = [at("data"), at("restored")];
  const program = serve(data);
  await urlOf(program);
  // What mke2fs makes in each volume.
  for (const volume of ["backup", "restored"]) await mkdir(at(volume, "lost+found"), { recursive: true, mode: 0o700 });
  const given = (verb: string, input: string): Promise<Ran> =>
    commandWith(verb === "restore" ? restored : data, [verb, at("backup"), "--passphrase-file", "-"], input);
  const short = await given("backup", "too short\n");
  expect([short.code, short.err]).toEqual([1, expect.stringContaining("standard input must hold one secret of at least 32 characters")]);
  for (const one of ["backup", "check-backup", "restore"]) {
    const { code, err } = await given(one, `${PASSPHRASE}\n`);
    expect([one, code, err]).toEqual([one, 0, ""]);
  }
  // It is the same passphrase as that of a file.
  expect((await command(data, "check-backup", at("backup"))).code).toBe(0);
  expect(await program.stop()).toBe(0);
});

test("a limit of address space, under which the metadata store would crash, is refused in words", async () => {
  const program = new URL("../src/main.ts", import.meta.url).pathname;
  const env = { REGISTRY_DIR: at("data"), BIND_ADDR: "127.0.0.1:0" };
  const { code, err } = await new Promise<Omit<Ran, "out">>((resolve) => {
    execFile("/bin/sh", ["-c", `ulimit -v ${100 * 1024 ** 2} && exec "$@"`, "sh", process.execPath, program], { env }, (error, _, said) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, err: said });
    });
  });
  expect([code, err]).toEqual([1, expect.stringContaining("RLIMIT_AS")]);
});

test("what cannot be a backup, or a place for one, is refused in words and changed in nothing", async () => {
  const data = at("data");
  const refusal = async (...asked: Parameters<typeof command>): Promise<string> => {
    const { code, err } = await command(...asked);
    expect(code).toBe(1);
    return err;
  };
  expect(await refusal(data, "backup", at("backup"))).toContain("holds no registry");
  const program = serve(data);
  await urlOf(program);
  expect(await refusal(data, "backup", folder)).toContain("holds something else");
  await chmod(passphrase, 0o644);
  expect(await refusal(data, "backup", at("backup"))).toContain("others can read");
  await chmod(passphrase, 0o600);
  expect((await command(data, "backup", at("backup"))).code).toBe(0);
  expect((await stat(at("backup"))).mode & 0o777).toBe(0o700);
  expect(await refusal(data, "restore", at("backup"))).toContain("is not empty");
  expect(await refusal(at("new"), "restore", data)).toContain("holds no backup");
  const late = await refusal(at("new"), "restore", at("backup"), "--at-least", "9999");
  expect(late).toContain("revocations between the two would be forgotten");
  expect((await command(data, "backup")).code).toBe(2);
  // Nobody makes a folder there, whoever runs this.
  const denied = await refusal("/sys/registry", "restore", at("backup"));
  expect(denied).toContain("this user may not do that here");
  expect(denied).toContain("run it as the registry's user");
  expect(denied).not.toMatch(/the disk failed|make room|see to the disk/);
  expect(await program.stop()).toBe(0);
});
