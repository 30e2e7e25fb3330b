import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Chunk, decideChunk, uploadRange } from "../../src/oci/upload.ts";

const chunk = (over: Partial<Chunk>): Chunk => ({
  offset: 100,
  contentRange: undefined,
  contentLength: 50,
  stateOffset: undefined,
  closing: false,
  ...over,
});
const write = (length: number | undefined): unknown => ({ action: "write", length });
const refuse = (code: string): unknown => expect.objectContaining({ action: "refuse", code });

describe("decideChunk", () => {
  test("writes the next chunk, by PATCH and by the closing PUT", () => {
    expect(decideChunk(chunk({ contentRange: "100-149" }))).toEqual(write(50));
    expect(decideChunk(chunk({ contentRange: "100-149", closing: true }))).toEqual(write(50));
  });

  test.each(["0-49", "99-148", "101-150", "150-199"])("refuses the chunk %s of an upload of 100 bytes as out of order", (contentRange) => {
    expect(decideChunk(chunk({ contentRange }))).toEqual(refuse("BLOB_UPLOAD_RANGE"));
    expect(decideChunk(chunk({ contentRange, closing: true }))).toEqual(refuse("BLOB_UPLOAD_RANGE"));
  });

  test("says in a refusal how far the upload has come", () => {
    expect(decideChunk(chunk({ contentRange: "0-49" }))).toMatchObject({ message: expect.stringContaining("100 bytes") as string });
  });

  test("takes a length that is not known beforehand from Content-Range", () => {
    expect(decideChunk(chunk({ contentRange: "100-149", contentLength: undefined }))).toEqual(write(50));
  });

  test("refuses a Content-Length that contradicts Content-Range", () => {
    expect(decideChunk(chunk({ contentRange: "100-150" }))).toEqual(refuse("SIZE_INVALID"));
    expect(decideChunk(chunk({ contentRange: "100-149", contentLength: 0 }))).toEqual(refuse("SIZE_INVALID"));
  });

  test("reads the form of RFC 9110 as well", () => {
    expect(decideChunk(chunk({ contentRange: "bytes 100-149/*" }))).toEqual(write(50));
    expect(decideChunk(chunk({ contentRange: "bytes 100-149/150" }))).toEqual(write(50));
    expect(decideChunk(chunk({ contentRange: "bytes 100-149/149" }))).toEqual(refuse("BLOB_UPLOAD_INVALID"));
    expect(decideChunk(chunk({ contentRange: "bytes 0-49/*" }))).toEqual(refuse("BLOB_UPLOAD_RANGE"));
  });

  test.each([
    "",
    "100",
    "100-",
    "-149",
    "149-100",
    "a-b",
    "100-149/150",
    "bytes=100-149",
    "bytes 100-149",
    "0--1",
    "100-99999999999999999",
    "1e2-149",
  ])("refuses the malformed Content-Range %j", (contentRange) => {
    expect(decideChunk(chunk({ contentRange }))).toEqual(refuse("BLOB_UPLOAD_INVALID"));
  });

  test("writes a stream without Content-Range where the upload is", () => {
    expect(decideChunk(chunk({}))).toEqual(write(50));
    expect(decideChunk(chunk({ contentLength: undefined, stateOffset: 100 }))).toEqual(write(undefined));
  });

  test("refuses a stream to an older location once the upload has grown, as it may repeat what has arrived", () => {
    expect(decideChunk(chunk({ stateOffset: 0 }))).toEqual(refuse("BLOB_UPLOAD_RANGE"));
  });

  test("honours an older location while nothing has arrived since: an empty PATCH, then a PATCH to the location of before", () => {
    expect(decideChunk(chunk({ offset: 0, contentLength: 0, stateOffset: 0 }))).toEqual(write(0));
    expect(decideChunk(chunk({ offset: 0, stateOffset: 0 }))).toEqual(write(50));
  });

  test("honours an older location with a Content-Range that continues", () => {
    expect(decideChunk(chunk({ contentRange: "100-149", stateOffset: 0 }))).toEqual(write(50));
  });

  test("writes nothing of an empty closing PUT, whatever its range and location", () => {
    expect(decideChunk(chunk({ contentLength: 0, closing: true }))).toEqual(write(0));
    expect(decideChunk(chunk({ contentLength: 0, closing: true, stateOffset: 0, contentRange: "0-99" }))).toEqual(write(0));
  });

  test("never lets a chunk through that does not begin where the upload ends", () => {
    const number = fc.nat(300);
    fc.assert(
      fc.property(number, number, number, fc.boolean(), (offset, start, length, closing) => {
        const contentRange = `${start}-${start + length}`;
        const decision = decideChunk({ offset, contentRange, contentLength: length + 1, stateOffset: undefined, closing });
        expect(decision.action).toBe(start === offset ? "write" : "refuse");
      }),
    );
  });

  test("never throws, whatever the header", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[bytes \d\-/*]*$/)), (contentRange) => {
        expect(["write", "refuse"]).toContain(decideChunk(chunk({ contentRange })).action);
      }),
    );
  });
});

test("uploadRange names the last byte, and 0-0 for an empty upload", () => {
  expect([0, 1, 2, 1024].map(uploadRange)).toEqual(["0-0", "0-0", "0-1", "0-1023"]);
});
