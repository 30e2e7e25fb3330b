import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type BlobStore, UploadBusyError } from "../../src/storage/blob-store.ts";

/** What the suite needs of a driver: a fresh, empty place, which can be opened again and again, also by several at once. */
export interface BlobPlace {
  open(): Promise<BlobStore>;
  remove(): Promise<void>;
}

export async function* pieces(...parts: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

/** A source that gives what it is told to and waits in between. */
export class HeldSource implements AsyncIterable<Uint8Array> {
  readonly #steps: ((step: Uint8Array | Error | undefined) => void)[] = [];
  readonly #given: (Uint8Array | Error | undefined)[] = [];
  /** Resolves when the reader asks for its first piece. */
  readonly asked: Promise<void>;
  #ask: () => void = () => {};
  returned = false;

  constructor() {
    this.asked = new Promise((resolve) => (this.#ask = resolve));
  }

  /** Gives a piece, an error, or (nothing) the end. */
  give(step?: Uint8Array | string | Error): void {
    const given = typeof step === "string" ? Buffer.from(step) : step;
    const waiting = this.#steps.shift();
    if (waiting === undefined) this.#given.push(given);
    else waiting(given);
  }

  async #next(): Promise<Uint8Array | Error | undefined> {
    this.#ask();
    if (this.#given.length > 0) return this.#given.shift();
    return new Promise((resolve) => this.#steps.push(resolve));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const step = await this.#next();
        if (step === undefined) return;
        if (step instanceof Error) throw step;
        yield step;
      }
    } finally {
      this.returned = true;
    }
  }
}

/** Stages, fills and publishes an upload; it is not discarded. */
export async function publish(
  store: BlobStore,
  content: string | Uint8Array,
  upload = `u-${digestOf(content).slice(7, 23)}`,
): Promise<Digest> {
  const digest = digestOf(content);
  await store.stage(upload);
  await store.append(upload, pieces(content), 0);
  await store.publish(upload, digest);
  return digest;
}

export async function read(store: BlobStore, digest: Digest, range?: { readonly start: number; readonly end: number }): Promise<string> {
  return (await buffer(await store.open(digest, range))).toString("utf8");
}

export async function readStaged(store: BlobStore, upload: string, start = 0): Promise<string> {
  return (await buffer(await store.openStaged(upload, start))).toString("utf8");
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const yes = async (): Promise<boolean> => true;
const no = async (): Promise<boolean> => false;
const MISSING = { code: "ENOENT" };

export function describeBlobStore(name: string, makePlace: () => Promise<BlobPlace>): void {
  describe(`blobs in ${name}`, () => {
    let place: BlobPlace;
    let store: BlobStore;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });

    afterEach(async () => {
      await place.remove();
    });

    describe("an upload", () => {
      test("begins empty, grows by what is appended, and tells its size and when it last grew", async () => {
        expect(await store.staged("u")).toBeUndefined();
        await store.stage("u");
        expect(await store.staged("u")).toMatchObject({ size: 0 });
        const before = Date.now();
        expect(await store.append("u", pieces("abc", "def"), 0)).toBe(6);
        expect(await store.append("u", pieces("gh"), 6)).toBe(8);
        expect(await store.staged("u")).toEqual({ size: 8 });
        const touchedAt = await store.touchedAt("u");
        // File systems keep times in steps.
        expect(touchedAt).toBeGreaterThan(before - 2000);
        expect(touchedAt).toBeLessThan(Date.now() + 2000);
        expect(await store.touchedAt("v")).toBeUndefined();
        expect(await readStaged(store, "u")).toBe("abcdefgh");
        expect(await readStaged(store, "u", 3)).toBe("defgh");
        expect(await readStaged(store, "u", 8)).toBe("");
      });

      test("can be continued by whoever opens the store later", async () => {
        await store.stage("u");
        await store.append("u", pieces("abc"), 0);
        const other = await place.open();
        expect(await other.staged("u")).toMatchObject({ size: 3 });
        expect(await other.append("u", pieces("def"), 3)).toBe(6);
        expect(await readStaged(store, "u")).toBe("abcdef");
      });

      test("is begun once under an id", async () => {
        await store.stage("u");
        await expect(store.stage("u")).rejects.toThrow(/EEXIST|ENOTEMPTY|exists/);
      });

      test.each([0, 2, 4, Number.MAX_SAFE_INTEGER])(
        "of 3 bytes refuses to go on at %i, and reads nothing of the source",
        async (offset) => {
          await store.stage("u");
          await store.append("u", pieces("abc"), 0);
          const source = pieces("x");
          await expect(store.append("u", source, offset)).rejects.toBeInstanceOf(RangeError);
          expect(await source.next()).toMatchObject({ done: false });
          expect(await readStaged(store, "u")).toBe("abc");
        },
      );

      test("takes empty pieces and empty sources", async () => {
        await store.stage("u");
        expect(await store.append("u", pieces(), 0)).toBe(0);
        expect(await store.append("u", pieces("", "a", ""), 0)).toBe(1);
        expect(await store.append("u", pieces(""), 1)).toBe(1);
        expect(await readStaged(store, "u")).toBe("a");
      });

      test("keeps everything that its source gave before it failed, throws the source's own error, and goes on after it", async () => {
        await store.stage("u");
        const source = new HeldSource();
        const failure = new Error("the client went away");
        source.give("abc");
        source.give("def");
        source.give(failure);
        await expect(store.append("u", source, 0)).rejects.toBe(failure);
        expect(await store.staged("u")).toMatchObject({ size: 6 });
        expect(await store.append("u", pieces("ghi"), 6)).toBe(9);
        expect(await readStaged(store, "u")).toBe("abcdefghi");
      });

      test("writes what has arrived while its source keeps it waiting", async () => {
        await store.stage("u");
        const source = new HeldSource();
        const appending = store.append("u", source, 0);
        source.give("abc");
        await expect.poll(() => readStaged(store, "u")).toBe("abc");
        source.give("def");
        await expect.poll(() => readStaged(store, "u", 3)).toBe("def");
        source.give();
        expect(await appending).toBe(6);
      });

      test("has one writer at a time, in this process and in others that opened the store here", async () => {
        await store.stage("u");
        const other = await place.open();
        const source = new HeldSource();
        const appending = store.append("u", source, 0);
        await source.asked;
        for (const claimant of [store, other]) {
          const refused = pieces("x");
          await expect(claimant.append("u", refused, 0)).rejects.toBeInstanceOf(UploadBusyError);
          expect(await refused.next()).toMatchObject({ done: false });
          await expect(claimant.discard("u")).rejects.toBeInstanceOf(UploadBusyError);
          await expect(claimant.publish("u", digestOf(""))).rejects.toBeInstanceOf(UploadBusyError);
          expect(await claimant.staged("u")).toMatchObject({ size: 0 });
        }
        source.give("abc");
        source.give();
        expect(await appending).toBe(3);
        expect(await other.append("u", pieces("def"), 3)).toBe(6);
      });

      test("lets exactly one of many writers write at an offset", async () => {
        const stores = [store, await place.open(), await place.open()];
        await store.stage("u");
        for (let offset = 0; offset < 20; offset += 1) {
          const tries = stores.flatMap((one) => [one, one]).map((one, index) => one.append("u", pieces(String(index)), offset));
          const outcomes = await Promise.allSettled(tries);
          expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
          for (const outcome of outcomes.filter(({ status }) => status === "rejected")) {
            const { reason } = outcome as { readonly reason: unknown };
            expect(reason instanceof UploadBusyError || reason instanceof RangeError).toBe(true);
          }
        }
        expect(await store.staged("u")).toMatchObject({ size: 20 });
      });

      test("is gone when it is discarded, and discarding what does not exist is fine", async () => {
        await store.stage("u");
        await store.append("u", pieces("abc"), 0);
        await store.discard("u");
        expect(await store.staged("u")).toBeUndefined();
        await expect(store.append("u", pieces("x"), 3)).rejects.toMatchObject(MISSING);
        await expect(store.openStaged("u", 0)).rejects.toMatchObject(MISSING);
        await expect(store.inStagedFile("u", (path) => readFile(path))).rejects.toMatchObject(MISSING);
        await expect(store.publish("u", digestOf("abc"))).rejects.toMatchObject(MISSING);
        await store.discard("u");
        await store.stage("u");
        expect(await store.staged("u")).toMatchObject({ size: 0 });
      });

      test.each(["", ".", "..", "../u", "a/b", "/etc", "a\0b", "a b", "ü", "x".repeat(129), "a\nb"])(
        "cannot have the id %j",
        async (id) => {
          await expect(store.stage(id)).rejects.toBeInstanceOf(TypeError);
          await expect(store.staged(id)).rejects.toBeInstanceOf(TypeError);
          await expect(store.append(id, pieces("x"), 0)).rejects.toBeInstanceOf(TypeError);
          await expect(store.openStaged(id, 0)).rejects.toBeInstanceOf(TypeError);
          await expect(store.publish(id, digestOf("x"))).rejects.toBeInstanceOf(TypeError);
          await expect(store.discard(id)).rejects.toBeInstanceOf(TypeError);
        },
      );

      test.each(["u", "sha256.abc-DEF_09.x", "...", ".hidden", "data", "x".repeat(128)])("can have the id %j", async (id) => {
        await store.stage(id);
        await store.append(id, pieces("abc"), 0);
        await store.publish(id, digestOf("abc"));
        expect(await all(store.listStaged())).toEqual([id]);
        await store.discard(id);
        expect(await all(store.listStaged())).toEqual([]);
      });

      test("is among all uploads as long as it exists, also while it is written to", async () => {
        expect(await all(store.listStaged())).toEqual([]);
        await store.stage("a");
        await store.stage("b");
        const source = new HeldSource();
        const appending = store.append("b", source, 0);
        await source.asked;
        expect((await all(store.listStaged())).toSorted()).toEqual(["a", "b"]);
        source.give();
        await appending;
        await store.discard("a");
        expect(await all(store.listStaged())).toEqual(["b"]);
      });
    });

    describe("a blob", () => {
      test("is not there before it is published, and then with all its bytes, under either algorithm", async () => {
        for (const digest of [digestOf("content"), digestOf("content", "sha512")]) {
          await store.stage("u");
          await store.append("u", pieces("content"), 0);
          expect(await store.stat(digest)).toBeUndefined();
          await expect(store.open(digest)).rejects.toMatchObject(MISSING);
          await store.publish("u", digest);
          expect(await store.stat(digest)).toMatchObject({ size: 7 });
          expect(await read(store, digest)).toBe("content");
          await store.discard("u");
          expect(await read(await place.open(), digest)).toBe("content");
        }
      });

      test("tells since when it has been there, however long ago its bytes were staged", async () => {
        const digest = await publish(store, "content");
        const published = await store.published(digest);
        expect(published?.at).toBeGreaterThan(Date.now() - 60_000);
        expect(published?.at).toBeLessThan(Date.now() + 2000);
        expect(published?.size).toBe(7);
        expect(await store.published(digestOf("nothing"))).toBeUndefined();
      });

      test("may be empty", async () => {
        const digest = await publish(store, "");
        expect(await store.stat(digest)).toMatchObject({ size: 0 });
        expect(await read(store, digest)).toBe("");
      });

      test.each([
        [0, 0, "c"],
        [0, 6, "content"],
        [2, 4, "nte"],
        [6, 6, "t"],
      ])("is read from byte %i to byte %i, both included", async (start, end, part) => {
        expect(await read(store, await publish(store, "content"), { start, end })).toBe(part);
      });

      test("leaves its upload as it is, so that a crash before the metadata is committed loses nothing", async () => {
        const digest = await publish(store, "content", "u");
        expect(await readStaged(store, "u")).toBe("content");
        expect(await store.inStagedFile("u", (path) => readFile(path, "utf8"))).toBe("content");
        expect(await store.inStagedFile("u", async () => undefined)).toBeUndefined();
        await store.publish("u", digest);
        await store.publish("u", digest, { replace: true });
        expect(await read(store, digest)).toBe("content");
        await store.discard("u");
        expect(await read(store, digest)).toBe("content");
      });

      test("does not change when its upload is written to again", async () => {
        const digest = await publish(store, "content", "u");
        expect(await store.append("u", pieces(), 7)).toBe(7);
        await expect(store.append("u", pieces("more"), 7)).rejects.toBeInstanceOf(RangeError);
        expect(await read(store, digest)).toBe("content");
        expect(await store.staged("u")).toMatchObject({ size: 7 });
      });

      test("is published only while the upload has the size that was verified", async () => {
        await store.stage("u");
        await store.append("u", pieces("content!"), 0);
        await expect(store.publish("u", digestOf("content"), { size: 7 })).rejects.toBeInstanceOf(RangeError);
        expect(await store.stat(digestOf("content"))).toBeUndefined();
        expect(await store.append("u", pieces("!"), 8)).toBe(9);
      });

      test("stays as it is when it is published again, and is replaced only on demand", async () => {
        const digest = await publish(store, "content", "first");
        const other = digestOf("another content that damage made of it");
        await store.stage("second");
        await store.append("second", pieces("CONTENT"), 0);
        await store.publish("second", digest);
        expect(await read(store, digest)).toBe("content");
        const reading = await store.open(digest);
        await store.publish("second", digest, { replace: true });
        expect(await read(store, digest)).toBe("CONTENT");
        // Who was reading goes on with what it began with.
        expect((await buffer(reading)).toString()).toBe("content");
        expect(await store.stat(other)).toBeUndefined();
        expect(await all(store.list())).toEqual([digest]);
      });

      test("of another size than what is published under its digest gives way: it cannot be right", async () => {
        const digest = digestOf("content");
        await store.stage("cut");
        await store.append("cut", pieces("con"), 0);
        await store.publish("cut", digest);
        await publish(store, "content", "whole");
        expect(await read(store, digest)).toBe("content");
      });

      test("is published by many at once", async () => {
        const stores = [store, await place.open()];
        await Promise.all(Array.from({ length: 12 }, (_empty, index) => publish(stores[index % 2] ?? store, "content", `u${index}`)));
        expect(await all(store.list())).toEqual([digestOf("content")]);
        expect(await read(store, digestOf("content"))).toBe("content");
      });

      test("is gone when it is removed, and removing what does not exist is fine", async () => {
        const digest = await publish(store, "content");
        await store.remove(digest, yes);
        expect(await store.stat(digest)).toBeUndefined();
        await expect(store.open(digest)).rejects.toMatchObject(MISSING);
        expect(await all(store.list())).toEqual([]);
        await store.remove(digest, yes);
      });

      test("stays when the question whether it still has to go is answered by no, or not at all", async () => {
        const digest = await publish(store, "content");
        await store.remove(digest, no);
        const failure = new Error("the metadata cannot be read");
        await expect(store.remove(digest, () => Promise.reject(failure))).rejects.toBe(failure);
        expect(await read(store, digest)).toBe("content");
        await store.remove(digest, yes);
        expect(await store.stat(digest)).toBeUndefined();
      });

      test("is removed, and another one asks only when what follows from that is done", async () => {
        const digest = await publish(store, "content");
        const other = await place.open();
        const said: string[] = [];
        const asks = async (): Promise<boolean> => {
          said.push("asked");
          return true;
        };
        const begun = Promise.withResolvers<Promise<unknown>>();
        const first = store.remove(digest, yes, async () => {
          const second = other.remove(digest, asks);
          begun.resolve(second);
          // It finds the token taken, again and again.
          await Promise.race([second, new Promise((resolve) => setTimeout(resolve, 50))]);
          said.push("done");
          return "result";
        });
        expect(await first).toBe("result");
        await begun.promise;
        expect(said).toEqual(["done", "asked"]);
        expect(await store.remove(digest, no, async () => "never")).toBeUndefined();
      });

      test("is removed by one at a time: no other asks before a removal is done", async () => {
        const digest = await publish(store, "content");
        const stores = [store, await place.open(), store];
        let asking = 0;
        const removals = stores.map((one) =>
          one.remove(digest, async () => {
            asking += 1;
            const alone = asking === 1;
            // Long enough for the others to come.
            for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
            asking -= 1;
            expect(alone).toBe(true);
            return true;
          }),
        );
        await Promise.all(removals);
        expect(await store.stat(digest)).toBeUndefined();
      });

      test("can be published while another removal is asking", async () => {
        const asked = new HeldSource();
        const removing = store.remove(digestOf("another"), async () => {
          await asked[Symbol.asyncIterator]().next();
          return true;
        });
        await asked.asked;
        const digest = await publish(store, "content");
        asked.give("go");
        await removing;
        expect(await read(store, digest)).toBe("content");
      });
    });

    describe("the list of blobs", () => {
      test("has every blob once, in the order of the digests, from after any of them", async () => {
        const contents = Array.from({ length: 30 }, (_empty, index) => `content ${index}`);
        const digests: Digest[] = [];
        for (const content of contents) digests.push(await publish(store, content));
        await store.stage("long");
        await store.append("long", pieces("content"), 0);
        await store.publish("long", digestOf("content", "sha512"));
        const inOrder = [...digests.toSorted(), digestOf("content", "sha512")];
        expect(await all(store.list())).toEqual(inOrder);
        for (const [index, digest] of inOrder.entries()) expect(await all(store.list(digest))).toEqual(inOrder.slice(index + 1));
        expect(await all(store.list(digestOf("not there")))).toEqual(inOrder.filter((digest) => digest > digestOf("not there")));
      });
    });

    describe("as a whole", () => {
      const id = fc.constantFrom("a", "b", "c");
      const content = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString("base64"));
      const step = fc.oneof(
        fc.record({ do: fc.constant("stage" as const), id }),
        fc.record({ do: fc.constant("append" as const), id, parts: fc.array(content, { maxLength: 3 }), off: fc.constantFrom(0, 0, 0, 1) }),
        fc.record({ do: fc.constant("publish" as const), id, replace: fc.boolean() }),
        fc.record({ do: fc.constant("discard" as const), id }),
        fc.record({ do: fc.constant("remove" as const), id, still: fc.boolean() }),
        fc.record({ do: fc.constant("reopen" as const), id }),
      );

      test("behaves as two maps, of uploads and of blobs", async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
            const fresh = await makePlace();
            try {
              const model = new Model(await fresh.open());
              for (const one of steps) {
                if (one.do === "reopen") model.store = await fresh.open();
                expect(await model.take(one)).toBe("as it should");
              }
              expect(await model.found()).toEqual(model.right());
            } finally {
              await fresh.remove();
            }
          }),
          { numRuns: 60 },
        );
      }, 60_000);
    });
  });
}

type Step =
  | { readonly do: "reopen"; readonly id: string }
  | { readonly do: "stage" | "discard"; readonly id: string }
  | { readonly do: "append"; readonly id: string; readonly parts: readonly string[]; readonly off: number }
  | { readonly do: "publish"; readonly id: string; readonly replace: boolean }
  | { readonly do: "remove"; readonly id: string; readonly still: boolean };

function byName([one]: readonly [string, string], [other]: readonly [string, string]): number {
  return one < other ? -1 : 1;
}

/** What a store must hold: uploads, of which published ones grow no more, and blobs. */
class Model {
  store: BlobStore;
  readonly #uploads = new Map<string, { content: string; published: boolean }>();
  readonly #blobs = new Map<Digest, string>();

  constructor(store: BlobStore) {
    this.store = store;
  }

  /** Does a step, and tells whether the store took or refused it as it should. */
  async take(step: Step): Promise<string> {
    const right = this.#isRight(step);
    const outcome = await this.#do(step).then(
      () => true,
      () => false,
    );
    if (outcome && right) this.#apply(step);
    return outcome === right ? "as it should" : `${step.do} ${outcome ? "should fail" : "failed"}`;
  }

  async #do(step: Step): Promise<unknown> {
    const { content = "" } = this.#uploads.get(step.id) ?? {};
    switch (step.do) {
      case "stage":
        return this.store.stage(step.id);
      case "append":
        return this.store.append(step.id, pieces(...step.parts), content.length + step.off);
      case "publish":
        return this.store.publish(step.id, digestOf(content), { replace: step.replace });
      case "discard":
        return this.store.discard(step.id);
      case "reopen":
        return undefined;
      case "remove":
        return this.store.remove(digestOf(content), async () => step.still);
    }
  }

  #isRight(step: Step): boolean {
    const upload = this.#uploads.get(step.id);
    if (step.do === "stage") return upload === undefined;
    if (step.do === "append") return upload !== undefined && step.off === 0 && !(upload.published && step.parts.join("") !== "");
    return step.do !== "publish" || upload !== undefined;
  }

  #apply(step: Step): void {
    const upload = this.#uploads.get(step.id) ?? { content: "", published: false };
    const digest = digestOf(upload.content);
    if (step.do === "stage") this.#uploads.set(step.id, upload);
    if (step.do === "append") upload.content += step.parts.join("");
    if (step.do === "publish") this.#publish(digest, upload, step.replace);
    if (step.do === "discard") this.#uploads.delete(step.id);
    if (step.do === "remove" && step.still) this.#remove(digest);
  }

  /** Which uploads share their bytes with the blob: those alone may not grow. */
  readonly #sharing = new Map<Digest, { published: boolean }>();

  #publish(digest: Digest, upload: { content: string; published: boolean }, replace: boolean): void {
    if (this.#blobs.has(digest) && !replace) return;
    const before = this.#sharing.get(digest);
    if (before !== undefined) before.published = false;
    this.#blobs.set(digest, upload.content);
    this.#sharing.set(digest, Object.assign(upload, { published: true }));
  }

  #remove(digest: Digest): void {
    this.#blobs.delete(digest);
    const upload = this.#sharing.get(digest);
    if (upload !== undefined) upload.published = false;
    this.#sharing.delete(digest);
  }

  right(): unknown {
    const uploads = [...this.#uploads].map(([upload, { content }]) => [upload, content] as const);
    return { uploads: uploads.toSorted(byName), blobs: [...this.#blobs].toSorted(byName) };
  }

  async found(): Promise<unknown> {
    const uploads: (readonly [string, string])[] = [];
    for await (const upload of this.store.listStaged()) uploads.push([upload, await readStaged(this.store, upload)]);
    const blobs: (readonly [Digest, string])[] = [];
    for await (const digest of this.store.list()) blobs.push([digest, await read(this.store, digest)]);
    return { uploads: uploads.toSorted(byName), blobs };
  }
}
