import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Credential } from "../../src/cli/credential.ts";
import { pullBlob } from "../../src/cli/download.ts";
import { EXIT } from "../../src/cli/failure.ts";
import { RegistryClient, type Repository } from "../../src/cli/registry-client.ts";
import { type BlobSource, pushBlob } from "../../src/cli/upload.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../../src/oci/reference.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

const REPOSITORY: RepositoryName = repositoryNameSchema.parse("models/transfer");
const MIB = 1024 * 1024;

// Pauses between tries add up, on a busy machine beyond the usual limit.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let registry: TestRegistry;
let link: Link;
let folder: string;
let repository: Repository;

beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

beforeEach(async () => {
  link = new Link(new URL(registry.url).port);
  folder = await mkdtemp(join(tmpdir(), "securectl-transfer-"));
  const credential: Credential = {
    kind: "password",
    user: "publisher",
    secret: registry.credentials.publisher,
    source: "test",
    found: "given",
  };
  repository = new RegistryClient({ origin: await link.open(), credential }).repository(REPOSITORY);
});
afterEach(async () => {
  repository.client.close();
  await link.close();
  await rm(folder, { recursive: true, force: true });
});

/** The wire between client and registry; it breaks after so many bytes in a direction, a number of times. */
class Link {
  /** Bytes after which each of the next connections breaks. */
  readonly cutUp: number[] = [];
  readonly cutDown: number[] = [];
  readonly #port: string;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((client) => this.#join(client));

  constructor(port: string) {
    this.#port = port;
  }

  async open(): Promise<URL> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: Socket): void {
    const server = connect(Number(this.#port), "127.0.0.1");
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      // Broken on purpose.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    pass(client, server, this.cutUp);
    pass(server, client, this.cutDown);
  }
}

/** Passes bytes on; a connection that gets far enough takes the next cut. */
function pass(from: Socket, to: Socket, cuts: number[]): void {
  let passed = 0;
  from.on("data", (chunk: Buffer) => {
    passed += chunk.length;
    const [cut] = cuts;
    if (cut !== undefined && passed >= cut) {
      cuts.shift();
      to.end(chunk.subarray(0, chunk.length - (passed - cut)));
      from.destroy();
      return;
    }
    if (!to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  });
}

interface Recorded extends BlobSource {
  /** Where each reading began. */
  readonly starts: number[];
}

function blobOf(bytes: Buffer, digest: Digest = digestOf(bytes)): Recorded {
  const starts: number[] = [];
  return {
    digest,
    size: bytes.length,
    starts,
    open: async function* open(start) {
      starts.push(start);
      for (let at = start; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
    },
  };
}

async function stored(digest: Digest): Promise<Buffer> {
  const answer = await registry.fetchAs("publisher", `/v2/${REPOSITORY}/blobs/${digest}`);
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

const layer = (bytes: Buffer) => ({ mediaType: "application/octet-stream", digest: digestOf(bytes), size: bytes.length });

test("a blob is pushed in one go, and not again when it is there", async () => {
  const bytes = randomBytes(MIB);
  const blob = blobOf(bytes);
  let last = 0;
  expect(await pushBlob(repository, blob, { progress: (sent) => (last = sent) })).toBe(true);
  expect(await pushBlob(repository, blob)).toBe(false);
  expect([blob.starts, last]).toEqual([[0], bytes.length]);
  expect(await stored(blob.digest)).toEqual(bytes);
});

test("the empty blob is pushed", async () => {
  const blob = blobOf(Buffer.alloc(0));
  await pushBlob(repository, blob);
  expect(await stored(blob.digest)).toEqual(Buffer.alloc(0));
});

test("a blob is pushed under its sha512 digest", async () => {
  const bytes = randomBytes(1000);
  const blob = blobOf(bytes, digestOf(bytes, "sha512"));
  await pushBlob(repository, blob);
  expect(await stored(blob.digest)).toEqual(bytes);
});

test("an upload whose connection breaks goes on where it was, and sends only the rest", async () => {
  const bytes = randomBytes(4 * MIB);
  const blob = blobOf(bytes);
  link.cutUp.push(MIB, 2 * MIB);
  const why: string[] = [];
  await pushBlob(repository, blob, { interrupted: (text) => why.push(text) });
  expect(why).toHaveLength(2);
  expect(blob.starts).toHaveLength(3);
  expect(blob.starts[1]).toBeGreaterThan(0);
  expect(blob.starts[2]).toBeGreaterThan(blob.starts[1] ?? 0);
  expect(await stored(blob.digest)).toEqual(bytes);
});

test("an upload that was finished, but whose answer was lost, is found there", async () => {
  const bytes = randomBytes(MIB);
  const blob = blobOf(bytes);
  // The answers to HEAD and POST pass, that to PUT breaks off within its first line.
  const down = await answerBytes();
  link.cutDown.push(down + 20);
  await pushBlob(repository, blob);
  expect(blob.starts).toEqual([0]);
  expect(await stored(blob.digest)).toEqual(bytes);
});

/** How many bytes the answers before the last one of a push have on one connection: those of a push that is cancelled there. */
async function answerBytes(): Promise<number> {
  let total = 0;
  const measuring = new Link(new URL(registry.url).port);
  const origin = await measuring.open();
  const authorization = `Basic ${Buffer.from(`publisher:${registry.credentials.publisher}`).toString("base64")}`;
  const port = Number(origin.port);
  for (const request of [`HEAD /v2/${REPOSITORY}/blobs/${digestOf("not there")}`, `POST /v2/${REPOSITORY}/blobs/uploads/`]) {
    const socket = connect(port, "127.0.0.1");
    socket.write(
      `${request} HTTP/1.1\r\nHost: ${origin.host}\r\nAuthorization: ${authorization}\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n`,
    );
    let answer = "";
    while (!answer.includes("\r\n\r\n")) answer += String((await once(socket, "data"))[0]);
    total += answer.length;
    socket.destroy();
  }
  await measuring.close();
  return total;
}

test("bytes that are not what the digest says are refused, and not tried again", async () => {
  const blob = blobOf(randomBytes(1000), digestOf("something else"));
  await expect(pushBlob(repository, blob)).rejects.toMatchObject({ answer: { code: "digest_invalid" } });
  expect(blob.starts).toEqual([0]);
});

test("a file that became shorter ends the push with that as the reason", async () => {
  const bytes = randomBytes(1.5 * MIB);
  const blob = blobOf(bytes);
  const shorter: BlobSource = {
    ...blob,
    open: async function* open() {
      yield bytes.subarray(0, MIB);
    },
  };
  await expect(pushBlob(repository, shorter)).rejects.toThrow(/changed/);
});

test("a push without the right ends at once, denied", async () => {
  const elsewhere = repository.client.repository(repositoryNameSchema.parse("other/x"));
  await expect(pushBlob(elsewhere, blobOf(randomBytes(10)))).rejects.toMatchObject({ exit: EXIT.denied });
});

test("a blob is pulled to a file, verified", async () => {
  const bytes = randomBytes(MIB);
  await pushBlob(repository, blobOf(bytes));
  await pullBlob(repository, layer(bytes), join(folder, "file"));
  expect(await readFile(join(folder, "file"))).toEqual(bytes);
  expect(await readdir(folder)).toEqual(["file"]);
});

test("a download whose connection breaks goes on where it was", async () => {
  const bytes = randomBytes(4 * MIB);
  await pushBlob(repository, blobOf(bytes));
  link.cutDown.push(MIB, 2 * MIB);
  const why: string[] = [];
  let most = 0;
  let restarted = false;
  const progress = (received: number): void => {
    restarted ||= received < most;
    most = received;
  };
  await pullBlob(repository, layer(bytes), join(folder, "file"), { interrupted: (text) => why.push(text), progress });
  expect([why.length, restarted]).toEqual([2, false]);
  expect(await readFile(join(folder, "file"))).toEqual(bytes);
});

test("the empty blob is pulled", async () => {
  await pushBlob(repository, blobOf(Buffer.alloc(0)));
  await pullBlob(repository, layer(Buffer.alloc(0)), join(folder, "file"));
  expect(await readFile(join(folder, "file"))).toEqual(Buffer.alloc(0));
});

test("a blob of another size than the manifest names is an integrity failure, and leaves nothing", async () => {
  const bytes = randomBytes(1000);
  await pushBlob(repository, blobOf(bytes));
  await expect(pullBlob(repository, { ...layer(bytes), size: 999 }, join(folder, "file"))).rejects.toMatchObject({ exit: EXIT.integrity });
  expect(await readdir(folder)).toEqual([]);
});

test("a blob that is not there is not found, and an existing file stays as it was", async () => {
  const bytes = randomBytes(10);
  await pushBlob(repository, blobOf(bytes));
  await pullBlob(repository, layer(bytes), join(folder, "file"));
  await expect(pullBlob(repository, layer(randomBytes(10)), join(folder, "file"))).rejects.toMatchObject({ exit: EXIT.notFound });
  expect(await readFile(join(folder, "file"))).toEqual(bytes);
  expect(await readdir(folder)).toEqual(["file"]);
});
