import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { type Answering, startAnswering } from "../support/answering.ts";
import { type Program, runProgram, urlOf } from "../support/program.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";

// A whole server is started, which takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const RIGHT = encodedOf(digestOf("right"));
let folder: string;
let program: Program;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-verify-"));
  await mkdir(join(folder, "data"));
  await writeFile(join(folder, "data/right.gguf"), "right");
  await writeFile(join(folder, "data/safe.gguf"), "safe");
  const settings = { BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: join(folder, "data"), WORKERS: "1" };
  program = runProgram(settings);
  url = await urlOf(program);
  for (const name of ["right", "safe"]) await done(["acquire", name, `${name}.gguf`]);
  await done(["promote", "safe"]);
});
afterAll(async () => {
  await program.stop();
  await rm(folder, { recursive: true, force: true });
});

function securectl(args: readonly string[], options: { readonly typed?: string; readonly at?: string } = {}): Promise<Ran> {
  return runSecurectl(args, { HOME: folder, REGISTRY_URL: options.at ?? url, REGISTRY_DIR: join(folder, "data") }, options);
}

async function done(args: readonly string[]): Promise<Ran> {
  const ran = await securectl(args);
  if (ran.exit !== 0) throw new Error(`securectl ${args.join(" ")} exited with ${ran.exit}: ${ran.err}`);
  return ran;
}

/** Puts other bytes where the registry keeps an artifact's. */
async function damage(sha256: string): Promise<() => Promise<void>> {
  const blobs = join(folder, "data/blobs");
  const file = (await readdir(blobs, { recursive: true })).find((each) => each.endsWith(sha256));
  if (file === undefined) throw new Error("there are no such bytes");
  const path = join(blobs, file);
  const { mode } = await stat(path);
  await rm(path);
  await writeFile(path, "wrong", { mode });
  return () => rm(path);
}

test("verify tells whether the bytes are right and the artifact safe, in the predecessor's lines", async () => {
  const sha256 = encodedOf(digestOf("safe"));
  expect(await securectl(["verify", "safe"])).toMatchObject({ exit: 0, out: `VERIFIED: safe (sha256=${sha256}, state=trusted)\n` });
  const warned = `VERIFIED: right (sha256=${RIGHT}, state=acquired)\n  WARNING: model is not safe to use (state=acquired)\n`;
  expect(await securectl(["verify", "right"])).toMatchObject({ exit: 1, out: warned });
  const { exit, out } = await securectl(["verify", "safe", "--json"]);
  expect([exit, JSON.parse(out)]).toEqual([0, { name: "safe", safe_to_use: "true", sha256, state: "trusted", status: "verified" }]);
});

test("verify-manifest says of a model without one that there was nothing to compare", async () => {
  const ran = await securectl(["verify-manifest", "safe"]);
  expect(ran).toMatchObject({ exit: 0, out: "SKIPPED: safe (no gguf-guard manifest available)\n" });
});

test("verify-all checks everything, and can be started, looked at and ended without waiting", async () => {
  const all = await securectl(["verify-all"]);
  expect(all).toMatchObject({ exit: 0, out: "Checked: 2 (verified 2, failed 0, skipped 0)\n" });
  expect((await done(["verify-all", "--status"])).out).toMatch(/^No check is under way\.\nLast check: ok at \d{4}-\S+Z\n$/);
  expect((await done(["verify-all", "--cancel"])).out).toBe("No check is under way.\n");
  expect((await done(["verify-all", "--detach"])).out).toContain("verify-all --status");
  expect(JSON.parse((await done(["verify-all", "--json"])).out)).toMatchObject({ checked: 2, status: "ok" });
  expect((await securectl(["verify-all", "--detach", "--cancel"])).exit).toBe(2);
});

test("bytes that were changed are a failure of verify and verify-all, with what was expected and what is there", async () => {
  const remove = await damage(RIGHT);
  const lines = `FAILED: right\n  expected: ${RIGHT}\n  actual:   ${encodedOf(digestOf("wrong"))}\n`;
  const one = await securectl(["verify", "right"]);
  expect(one).toMatchObject({ exit: 6, out: lines });
  expect(one.err).toContain("hash mismatch");
  expect(await securectl(["verify-all"])).toMatchObject({ exit: 6, out: `${lines}Checked: 2 (verified 1, failed 1, skipped 0)\n` });
  const { exit, out } = await securectl(["verify-all", "--json"]);
  expect([exit, JSON.parse(out)]).toMatchObject([6, { status: "failed", models: [{ name: "right", status: "failed" }, { name: "safe" }] }]);
  await remove();
  expect(await securectl(["verify", "right"])).toMatchObject({ exit: 6, out: `FAILED: right\n  expected: ${RIGHT}\n  actual:   \n` });
});

let other: Answering | undefined;
afterEach(async () => {
  await other?.close();
  other = undefined;
});

async function answering(listener: RequestListener): Promise<string> {
  other = await startAnswering(listener);
  return other.url;
}

test("on a terminal a check that takes its time shows how far it is, and nothing of it stays", async () => {
  const looked = Promise.withResolvers<void>();
  const at = await answering((request, response) => {
    if (request.method === "GET") {
      const current = { progress: 0.437, blobs_checked: 12, bytes_checked: 2048 };
      response.end(JSON.stringify({ current, last: null }), () => looked.resolve());
    } else void looked.promise.then(() => response.end(JSON.stringify({ checked: 0, status: "ok", models: [] })));
  });
  const { exit, out, err } = await securectl(["verify-all"], { at, typed: "" });
  expect([exit, out]).toEqual([0, "Checked: 0 (verified 0, failed 0, skipped 0)\n"]);
  expect(err).toContain("verifying: 43%, 12 blobs, 2.0 KB");
  expect(err.endsWith("\r\u001b[K")).toBe(true);
});

test("a failed comparison with a tensor manifest is told line by line, without what a terminal would obey", async () => {
  const body = { error: "FAIL: 1 mismatches\n  blk.0\u001b[2J: digest", name: "x", status: "failed" };
  const at = await answering((_, response) => response.writeHead(409).end(JSON.stringify(body)));
  const ran = await securectl(["verify-manifest", "x"], { at });
  expect(ran).toMatchObject({ exit: 6, out: "FAILED: x\n  FAIL: 1 mismatches\n    blk.0\\u{1b}[2J: digest\n" });
});

test("bytes or a manifest that cannot be compared are an integrity failure in the registry's words", async () => {
  const at = await answering((_, response) => response.writeHead(409).end("model integrity verification failed\n"));
  const ran = await securectl(["verify-manifest", "x"], { at });
  expect([ran.exit, ran.out]).toEqual([6, ""]);
  expect(ran.err).toContain("error: model integrity verification failed (HTTP 409)");
});
