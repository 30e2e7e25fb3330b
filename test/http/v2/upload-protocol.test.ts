import { createHash } from "node:crypto";
import { request } from "node:http";
import { Readable } from "node:stream";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Digest, algorithmOf, digestOf, encodedOf } from "../../../src/oci/digest.ts";
import { type Answer, type BlobRegistry, ask, startBlobRegistry } from "../../support/blob-registry.ts";

/** Two processes' worth of services over one folder; the first owns the folder, either may be restarted. */
let owner: BlobRegistry;
const workers: BlobRegistry[] = [];

beforeAll(async () => {
  owner = await startBlobRegistry();
  for (let at = 0; at < 2; at += 1) workers.push(await startBlobRegistry({ directory: owner.directory }));
});

afterAll(async () => {
  for (const worker of workers) await worker.stop();
  await owner.stop();
});

const PLACINGS = [
  "newest location",
  "older location",
  "bare location",
  "right range",
  "range of the beginning",
  "range with a gap",
] as const;
/** What a request says of where its bytes belong. */
type Placing = (typeof PLACINGS)[number];
interface Placed {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fits: boolean;
}

const placings = fc.constantFrom(...PLACINGS);
const piece = fc.uint8Array({ maxLength: 3000 });
const step = fc.record({
  worker: fc.nat(1),
  action: fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("patch" as const), piece, placing: placings, announced: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("break off" as const),
        piece: fc.uint8Array({ minLength: 1, maxLength: 3000 }),
        more: fc.integer({ min: 1, max: 500 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("look" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("close" as const),
        piece,
        placing: placings,
        algorithm: fc.constantFrom("sha256" as const, "sha512" as const),
        right: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const) }) },
  ),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** An upload as the specification has it. */
class Model {
  stored = Buffer.alloc(0);
  isOpen = true;
  newest: string;
  readonly first: string;

  constructor(location: string) {
    this.first = location;
    this.newest = location;
  }

  get range(): string {
    return `0-${Math.max(0, this.stored.length - 1)}`;
  }

  /** Where a request goes, its Content-Range, and whether its bytes belong there; where there are none, they belong anywhere. */
  place(placing: Placing, length: number): Placed {
    const size = this.stored.length;
    const bare = this.newest.split("?", 1)[0] ?? "";
    const ranged = (path: string, start: number): Placed => ({
      path,
      headers: length === 0 ? {} : { "Content-Range": `${start}-${start + length - 1}` },
      fits: start === size || length === 0,
    });
    const places: Readonly<Record<Placing, Placed>> = {
      "newest location": { path: this.newest, headers: {}, fits: true },
      "older location": { path: this.first, headers: {}, fits: size === 0 || length === 0 },
      "bare location": { path: bare, headers: {}, fits: true },
      "right range": ranged(this.first, size),
      "range of the beginning": ranged(this.newest, 0),
      "range with a gap": ranged(bare, size + 1),
    };
    return places[placing];
  }
}

function bodyOf(bytes: Uint8Array, announced: boolean): Uint8Array | Readable {
  return announced || bytes.length === 0 ? bytes : Readable.from([Buffer.from(bytes)]);
}

/** Announces more bytes than it sends, and leaves when those have arrived. */
async function breakOff(worker: BlobRegistry, model: Model, bytes: Uint8Array, announced: number): Promise<Answer> {
  const outgoing = request(worker.edge.url + model.newest, {
    method: "PATCH",
    agent: false,
    headers: { Authorization: "Bearer alice", "Content-Length": String(announced) },
  });
  outgoing.on("error", () => undefined);
  const closed = new Promise((resolve) => outgoing.once("close", resolve));
  outgoing.write(bytes);
  const size = model.stored.length + bytes.length;
  let state = await ask(worker, "GET", model.newest);
  while (state.status === 204 && (await owner.blobs.staged(idOf(model)))?.size !== size) state = await ask(worker, "GET", model.newest);
  outgoing.destroy();
  await closed;
  return state;
}

async function take(model: Model, { worker: at, action }: Step): Promise<void> {
  const worker = workers[at];
  if (worker === undefined) throw new TypeError("no such worker");
  switch (action.kind) {
    case "patch":
      return patch(worker, model, action);
    case "break off":
      return leaveMidway(worker, model, action);
    case "look":
      return look(worker, model);
    case "close":
      return close(worker, model, action);
    case "cancel":
      return cancel(worker, model);
    case "restart":
      await worker.stop();
      workers[at] = await startBlobRegistry({ directory: owner.directory });
  }
}

async function cancel(worker: BlobRegistry, model: Model): Promise<void> {
  const answer = await ask(worker, "DELETE", model.newest);
  expect(answer.status).toBe(model.isOpen ? 204 : 404);
  model.isOpen = false;
}

async function patch(worker: BlobRegistry, model: Model, action: Extract<Step["action"], { kind: "patch" }>): Promise<void> {
  const { path, headers, fits } = model.place(action.placing, action.piece.length);
  const answer = await ask(worker, "PATCH", path, { headers, body: bodyOf(action.piece, action.announced) });
  if (model.isOpen && fits) model.stored = Buffer.concat([model.stored, action.piece]);
  expect(answer.status).toBe(!model.isOpen ? 404 : fits ? 202 : 416);
  expect(answer.headers.range).toBe(model.isOpen ? model.range : undefined);
  model.newest = answer.headers.location ?? model.newest;
}

async function leaveMidway(worker: BlobRegistry, model: Model, { piece: sent, more }: { piece: Uint8Array; more: number }): Promise<void> {
  await breakOff(worker, model, sent, sent.length + more);
  if (!model.isOpen) return;
  model.stored = Buffer.concat([model.stored, sent]);
  const state = await ask(worker, "GET", model.newest);
  expect(state.headers.range).toBe(model.range);
  model.newest = state.headers.location ?? model.newest;
}

function idOf(model: Model): string {
  return model.first.split("?", 1)[0]?.split("/").at(-1) ?? "";
}

async function look(worker: BlobRegistry, model: Model): Promise<void> {
  const answer = await ask(worker, "GET", model.first);
  expect([answer.status, answer.headers.range]).toEqual(model.isOpen ? [204, model.range] : [404, undefined]);
}

async function close(worker: BlobRegistry, model: Model, action: Extract<Step["action"], { kind: "close" }>): Promise<void> {
  const { path, headers, fits } = model.place(action.placing, action.piece.length);
  const all = Buffer.concat([model.stored, action.piece]);
  const digest = digestOf(action.right ? all : Buffer.concat([all, Buffer.from("!")]), action.algorithm);
  const answer = await ask(worker, "PUT", `${path}${path.includes("?") ? "&" : "?"}digest=${digest}`, { headers, body: action.piece });
  expect(answer.status).toBe(!model.isOpen ? 404 : !fits ? 416 : action.right ? 201 : 400);
  if (!model.isOpen || !fits) return;
  model.isOpen = false;
  expect(await readBy(worker, digest)).toEqual(action.right ? all : undefined);
}

async function readBy(worker: BlobRegistry, digest: Digest): Promise<Buffer | undefined> {
  const { status, body } = await ask(worker, "GET", `/v2/team/m/blobs/${digest}`);
  return status === 200 ? body : undefined;
}

test("any requests to an upload, by any worker, broken off and restarted, keep to the protocol and publish only what a digest names", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const begun = await ask(workers[0] ?? owner, "POST", "/v2/team/m/blobs/uploads/");
      const model = new Model(begun.headers.location ?? "");
      for (const each of steps) await take(model, each);
      const digest = digestOf(model.stored);
      const finished = await ask(workers[1] ?? owner, "PUT", `${model.newest}&digest=${digest}`);
      expect(finished.status).toBe(model.isOpen ? 201 : 404);
      expect(await readBy(workers[0] ?? owner, digest).then((read) => read ?? model.stored)).toEqual(model.stored);
    }),
    { numRuns: 40 },
  );
  const staged: string[] = [];
  for await (const upload of owner.blobs.listStaged()) staged.push(upload);
  expect(staged).toEqual([]);
  for await (const digest of owner.blobs.list()) {
    const hash = createHash(algorithmOf(digest));
    for await (const chunk of await owner.blobs.open(digest)) hash.update(chunk as Uint8Array);
    expect(hash.digest("hex")).toBe(encodedOf(digest));
  }
});
