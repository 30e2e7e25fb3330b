import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { type Answer, ask, beginUpload } from "../../support/blob-registry.ts";
import { type Child, startChild } from "../../support/child.ts";

const SERVER = new URL("../process/serve-blobs.ts", import.meta.url);
const MEBIBYTE = 1024 * 1024;

interface Server {
  readonly child: Child;
  readonly edge: { readonly url: string };
}

let directory: string;
const servers: Server[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-process-"));
});

afterEach(async () => {
  for (const { child } of servers.splice(0)) await child.kill();
  await rm(directory, { recursive: true, force: true });
});

async function start(): Promise<Server> {
  const child = startChild(SERVER, directory);
  await child.said(1);
  const server = { child, edge: { url: `http://127.0.0.1:${child.lines[0]}` } };
  servers.push(server);
  return server;
}

/** The most memory that the server's process ever had, in bytes. */
async function peakOf({ child }: Server): Promise<number> {
  const count = child.lines.length + 1;
  child.process.kill("SIGUSR2");
  await child.said(count);
  return Number(child.lines.at(-1));
}

/** Bytes that are no two mebibytes alike, without holding more than one. */
async function* content(mebibytes: number): AsyncGenerator<Buffer> {
  const piece = Buffer.alloc(MEBIBYTE, "weights");
  for (let at = 0; at < mebibytes; at += 1) {
    // The socket may still hold the last one.
    const copy = Buffer.from(piece);
    copy.writeUInt32LE(at);
    yield copy;
  }
}

async function digestOfContent(mebibytes: number): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of content(mebibytes)) hash.update(piece);
  return `sha256:${hash.digest("hex")}`;
}

async function hashOf(server: Server, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(server.edge.url + path, { headers: { Authorization: "Bearer alice" } }, (incoming) => {
      const hash = createHash("sha256");
      incoming.on("data", (chunk: Buffer) => hash.update(chunk));
      incoming.once("error", reject);
      incoming.once("end", () => resolve(`sha256:${hash.digest("hex")}`));
    }).once("error", reject);
  });
}

test("a blob of any size goes in and out in constant memory", async () => {
  const server = await start();
  const location = await beginUpload(server, "team/m");
  await ask(server, "PATCH", location, { body: Readable.from(content(1)) });
  const before = await peakOf(server);
  const size = 256;
  const digest = await digestOfContent(size);
  const put = await ask(server, "PUT", `${await beginUpload(server, "team/m")}&digest=${digest}`, { body: Readable.from(content(size)) });
  expect(put.status).toBe(201);
  expect(await hashOf(server, `/v2/team/m/blobs/${digest}`)).toBe(digest);
  // Buffers that the collector of garbage has not come to yet: about 60 MiB, whatever the size of the blob.
  expect((await peakOf(server)) - before).toBeLessThan((size / 2) * MEBIBYTE);
}, 120_000);

test("an upload goes on where it was after kill -9 of the server, again and again", async () => {
  let server = await start();
  let location = await beginUpload(server, "team/m");
  const pieces = ["first ", "second ", "third ", "last"].map((text) => Buffer.alloc(3 * MEBIBYTE, text));
  let size = 0;
  for (const piece of pieces) {
    const answered = ask(server, "PATCH", location, { body: piece }).catch(() => undefined);
    const half = await untilGrown(server, location, size);
    await server.child.kill();
    await answered;
    server = await start();
    const state = await ask(server, "GET", location);
    expect(state.status).toBe(204);
    const arrived = sizeOf(state);
    // What was told to have arrived is still there; more may have come since.
    expect(arrived).toBeGreaterThanOrEqual(half);
    const rest = piece.subarray(arrived - size);
    const patch = await ask(server, "PATCH", state.headers.location ?? "", { body: rest });
    expect(patch.status).toBe(202);
    size += piece.length;
    location = patch.headers.location ?? "";
  }
  const digest = digestOf(Buffer.concat(pieces));
  expect((await ask(server, "PUT", `${location}&digest=${digest}`)).status).toBe(201);
  expect(await hashOf(server, `/v2/team/m/blobs/${digest}`)).toBe(digest);
});

test("what was pushed is there after kill -9", async () => {
  const server = await start();
  const body = Buffer.from("weights");
  const digest = digestOf(body);
  expect((await ask(server, "POST", `/v2/team/m/blobs/uploads/?digest=${digest}`, { body })).status).toBe(201);
  await server.child.kill();
  expect((await ask(await start(), "GET", `/v2/team/m/blobs/${digest}`)).body).toEqual(body);
});

function sizeOf(state: Answer): number {
  return Number(new URLSearchParams(state.headers.location?.split("?", 2)[1]).get("_o"));
}

/** Waits until some of a body has arrived; how much of the upload there is then. */
async function untilGrown(server: Server, location: string, size: number): Promise<number> {
  for (;;) {
    const now = sizeOf(await ask(server, "GET", location));
    if (now > size) return now;
  }
}
