import type { z } from "zod";
import { ByteCursor } from "./byte-cursor.ts";
import type { ByteSource } from "./byte-source.ts";
import { FormatError, shown } from "./format-error.ts";
import { JsonReader, type JsonValue, isObject } from "./json-reader.ts";
import { MAX_TENSORS, checkName, elementsOf } from "./model-file.ts";
import { HASH_BYTES } from "./tensor-hashes.ts";
import { type TensorEntry, type TensorManifest, manifestHeadSchema, merkleRoot, tensorEntrySchema } from "./tensor-manifest.ts";

/** The largest manifest that is loaded: enough for the most tensors that a file may have. */
export const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const MAX_NAME_BYTES = 4_096;
const MAX_MEMBERS = 16;

/**
 * The text of a manifest, piece by piece, as gguf-guard writes it: indented by two spaces, ended by a line feed, and escaped as Go does
 * it, which spares no character that HTML gives a meaning.
 */
export function* manifestText({ tensors, ...head }: TensorManifest): Generator<string> {
  yield escaped(JSON.stringify(head, undefined, 2)).replace(/\n\}$/, ',\n  "tensors": [');
  let before = "\n";
  for (const tensor of tensors) {
    yield before + escaped(JSON.stringify(tensor, undefined, 2)).replaceAll(/^/gm, "    ");
    before = ",\n";
  }
  yield "\n  ]\n}\n";
}

function escaped(json: string): string {
  return json.replaceAll(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Loads a manifest: one JSON document of exactly the format's members, which agrees with itself. Whether it is true, it does not say.
 * Throws `FormatError`.
 */
export function loadManifest(source: ByteSource): TensorManifest {
  if (source.size > MAX_MANIFEST_BYTES) throw new FormatError("the manifest is larger than 256 MiB");
  const json = new JsonReader(new ByteCursor(source, { start: 0, end: source.size, beyond: "the manifest ends inside its JSON text" }));
  const members = new Map<string, JsonValue>();
  let tensors: readonly TensorEntry[] | undefined;
  for (const key of json.members(MAX_MEMBERS)) {
    if (key === "tensors") tensors = readTensors(json);
    else members.set(key, json.value());
  }
  json.end();
  const head = parsed(manifestHeadSchema, plain(members), "");
  if (tensors === undefined) throw new FormatError("tensors: is missing");
  const manifest = { ...head, tensors: [...tensors] };
  checkTotals(manifest);
  checkRanges(manifest);
  return manifest;
}

function readTensors(json: JsonReader): readonly TensorEntry[] {
  const tensors: TensorEntry[] = [];
  const names = new Set<string>();
  for (const _ of json.items(MAX_TENSORS)) {
    const entry = parsed(tensorEntrySchema, plain(json.value()), `tensors[${tensors.length}]`);
    checkName(entry.name, MAX_NAME_BYTES);
    if (names.has(entry.name)) throw new FormatError(`tensor ${shown(entry.name)} comes twice`);
    names.add(entry.name);
    tensors.push(entry);
  }
  return tensors;
}

/** A value as the schemas take it. */
function plain(value: JsonValue): unknown {
  // Unlike an assignment, this makes a member even of a key such as __proto__, which the schemas then refuse.
  if (isObject(value)) return Object.fromEntries([...value].map(([key, member]) => [key, plain(member)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, place: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = [place, ...(issue?.path ?? []).map(String)].filter((part) => part !== "").join(".");
  throw new FormatError(`${path}${path === "" ? "" : ": "}${shownIssue(issue)}`);
}

/** zod's messages quote no value, but the names of members that are not known. */
function shownIssue(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code === "unrecognized_keys") return `has a member that is not known: ${shown(issue.keys[0] ?? "")}`;
  return issue?.message ?? "is not valid";
}

function checkTotals({ tensors, tensor_count, parameters, merkle_root, file_size }: TensorManifest): void {
  if (tensors.length === 0) throw new FormatError("the manifest has no tensors");
  if (tensor_count !== tensors.length) throw new FormatError(`tensor_count is ${tensor_count}, but there are ${tensors.length} tensors`);
  const digests = new Uint8Array(tensors.length * HASH_BYTES);
  let sum = 0;
  for (const [at, { name, shape, element_count, hash }] of tensors.entries()) {
    if (elementsOf(shape, file_size) !== element_count)
      throw new FormatError(`tensor ${shown(name)}: element_count is not the product of its shape`);
    sum += element_count;
    digests.set(Buffer.from(hash, "hex"), at * HASH_BYTES);
  }
  if (parameters !== sum) throw new FormatError(`parameters is ${parameters}, but the tensors have ${sum} elements`);
  if (merkleRoot(digests) !== merkle_root) throw new FormatError("merkle_root is not that of the tensors' hashes");
}

function checkRanges({ tensors, file_size }: TensorManifest): void {
  let end = 0;
  for (const { name, offset, data_size } of tensors.toSorted((a, b) => a.offset - b.offset || a.data_size - b.data_size)) {
    if (offset < end) throw new FormatError(`tensor ${shown(name)} overlaps another one`);
    end = offset + data_size;
    if (end > file_size) throw new FormatError(`tensor ${shown(name)} ends beyond the end of the file`);
  }
}
