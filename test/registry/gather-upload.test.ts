import { afterEach, beforeEach, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { gatherUpload } from "../../src/registry/gather-upload.ts";
import { repository } from "../support/principal.ts";
import { Transitions } from "../support/transitions.ts";

const OWNER = { repository: repository("models/here"), identity: "alice" };
const UPLOAD = { id: "an-upload", algorithm: "sha256" } as const;

let at: Transitions;
/** How many bytes of a body were taken. */
let taken: number;

beforeEach(async () => {
  at = await Transitions.start();
  taken = 0;
});
afterEach(() => at[Symbol.asyncDispose]());

async function* without(end: number): AsyncGenerator<Uint8Array> {
  for (; taken < end; taken += 1000) yield Buffer.alloc(Math.min(1000, end - taken), "x");
}

const gather = (contentLength: number | undefined, bytes = without(Infinity), size = 0): ReturnType<typeof gatherUpload> => {
  const chunk = { bytes, contentLength, contentRange: undefined, stateOffset: undefined, closing: true };
  return gatherUpload(at.services, OWNER, { upload: UPLOAD, size }, chunk);
};

test("a body is taken as far as its headers say, and refused with what is beyond or missing", async () => {
  await expect(gather(1500)).rejects.toMatchObject({ code: "SIZE_INVALID" });
  expect(taken).toBe(1000);
  taken = 0;
  await expect(gather(1500, without(1499))).rejects.toMatchObject({ code: "SIZE_INVALID" });
  taken = 0;
  const bytes = new Uint8Array(Buffer.alloc(1500, "x"));
  expect(await gather(1500, without(1500))).toEqual({ size: 1500, bytes, digest: digestOf(bytes), sha256: digestOf(bytes) });
});

test("nothing is taken of what may be larger than 16 KiB, or comes after other bytes", async () => {
  expect(await gather(16 * 1024 + 1)).toBeUndefined();
  expect(await gather(undefined)).toBeUndefined();
  expect(await gather(10, without(10), 1)).toBeUndefined();
  expect(taken).toBe(0);
});

test("no body is the empty blob", async () => {
  expect(await gather(0)).toEqual({ size: 0, bytes: new Uint8Array(), digest: digestOf(""), sha256: digestOf("") });
  expect(taken).toBe(0);
});
