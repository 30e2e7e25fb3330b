import { expect, test } from "vitest";
import { KnownEntries } from "../../src/storage/known-entries.ts";
import { encodeKey } from "../../src/storage/lmdb-key.ts";
import type { Key } from "../../src/storage/metadata-store.ts";
import { encodeRecord, setVersion } from "../../src/storage/record-encoding.ts";

function row(value: unknown, version: number): Buffer {
  const record = encodeRecord(value);
  setVersion(record, version);
  return record;
}

const KEY: Key = ["identity", "a"];
const read = (known: KnownEntries, record: Buffer, key = KEY): unknown => known.of(key, encodeKey(key), record);

test("an entry is the same as before while its version is, and another one after a change", () => {
  const known = new KnownEntries();
  const first = read(known, row({ roles: ["reader"] }, 7));
  expect(first).toEqual({ key: KEY, value: { roles: ["reader"] }, version: 7 });
  expect(read(known, row({ roles: ["reader"] }, 7))).toBe(first);
  expect(read(known, row({ roles: [] }, 8))).toEqual({ key: KEY, value: { roles: [] }, version: 8 });
});

test("entries of other keys are told apart, a number from the text that looks like it among them", () => {
  const known = new KnownEntries();
  read(known, row("number", 7), ["audit", 1]);
  expect(read(known, row("text", 7), ["audit", "1"])).toMatchObject({ value: "text" });
  expect(read(known, row("number", 7), ["audit", 1])).toMatchObject({ value: "number" });
});

test("nobody changes what others get, at any depth", () => {
  const { value } = new KnownEntries().of(KEY, encodeKey(KEY), row({ bindings: [{ role: "reader" }] }, 7));
  const { bindings } = value as { bindings: { role: string }[] };
  expect(() => bindings.push({ role: "operator" })).toThrow(TypeError);
  expect(() => Object.assign(bindings[0] ?? {}, { role: "operator" })).toThrow(TypeError);
});

test.each([
  ["bytes", new Uint8Array([1, 2])],
  ["bytes inside", { bytes: new Uint8Array([1, 2]) }],
  ["much", "x".repeat(2048)],
])("%s are not kept", (_, value) => {
  const known = new KnownEntries();
  const first = read(known, row(value, 7));
  expect(first).toMatchObject({ value, version: 7 });
  expect(read(known, row(value, 7))).not.toBe(first);
});

test("no more entries are kept than there is room for", () => {
  const known = new KnownEntries(2);
  const first = read(known, row(1, 7));
  read(known, row(2, 7), ["b"]);
  expect(read(known, row(1, 7))).toBe(first);
  read(known, row(3, 7), ["c"]);
  expect(read(known, row(1, 7))).not.toBe(first);
});
