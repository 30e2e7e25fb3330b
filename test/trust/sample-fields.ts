import { X509Certificate } from "node:crypto";
import { RFC3161Timestamp } from "@sigstore/core";
import { type CborValue, readCbor } from "../../src/trust/cbor.ts";
import type { Layer } from "./evidence.ts";
import { type Item, cbor } from "./notation-envelopes.ts";

/** Where a value is in a tree. */
export type Path = readonly (string | number)[];
/** All that a layer says, as JSON: bytes are in base64. */
export interface Fields {
  readonly envelope: unknown;
  readonly annotations?: unknown;
}

/** Annotations of cosign that hold JSON. */
const INNER: ReadonlySet<string> = new Set(["dev.sigstore.cosign/bundle", "dev.sigstore.cosign/rfc3161timestamp"]);
const isCose = ({ bytes }: Layer): boolean => bytes[0] === 0xd2;

/** All fields of evidence, those inside of annotations and of CBOR too. */
export function fieldsOf(layer: Layer): Fields {
  const { bytes, annotations } = layer;
  if (isCose(layer)) return { envelope: jsonOf(readCbor(bytes.subarray(1))) };
  const envelope: unknown = JSON.parse(bytes.toString());
  if (annotations === undefined) return { envelope };
  return { envelope, annotations: Object.fromEntries(Object.entries(annotations).map(annotationFields)) };
}

function annotationFields([key, text]: readonly [string, string]): readonly [string, unknown] {
  return [key, INNER.has(key) ? JSON.parse(text) : text];
}

/** The layer with these fields, which need no longer be evidence. */
export function layerWith(
  { envelope, annotations }: Fields,
  like: Layer,
  write = (value: unknown): string => JSON.stringify(value) ?? "",
): Layer {
  if (isCose(like)) return { ...like, bytes: Buffer.concat([Buffer.from([0xd2]), cbor(itemOf(envelope))]) };
  const { annotations: _before, ...layer } = like;
  const texts = Object.entries(annotations ?? {}).map(([key, value]): [string, string] => [
    key,
    typeof value === "string" ? value : write(value),
  ]);
  return { ...layer, bytes: Buffer.from(write(envelope)), ...(texts.length > 0 && { annotations: Object.fromEntries(texts) }) };
}

const BYTES = "base64:";

function jsonOf(value: CborValue): unknown {
  if (Buffer.isBuffer(value)) return `${BYTES}${value.toString("base64")}`;
  if (Array.isArray(value)) return value.map((each: CborValue) => jsonOf(each));
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, each]): [string, unknown] => [String(key), jsonOf(each as CborValue)]));
  return value;
}

function itemOf(value: unknown): Item {
  if (typeof value === "string") return value.startsWith(BYTES) ? Buffer.from(value.slice(BYTES.length), "base64") : value;
  if (typeof value === "number") return Math.trunc(value) % 2 ** 32;
  if (Array.isArray(value)) return value.map(itemOf);
  if (typeof value !== "object" || value === null) return 0;
  return new Map(Object.entries(value).map(([key, each]) => [/^\d+$/.test(key) ? Number(key) : key, itemOf(each)]));
}

/** All places in a tree, those of objects and lists too, without its root. */
export function placesIn(value: unknown, above: Path = []): readonly Path[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, each]) => {
    const path = [...above, Array.isArray(value) ? Number(name) : name];
    return [path, ...placesIn(each, path)];
  });
}

/** What is at a place. */
export function valueAt(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, name) => (typeof at === "object" && at !== null ? Reflect.get(at, name) : undefined), tree);
}

/** The tree with something else at a place; undefined takes it away. */
export function replacedAt(tree: unknown, path: Path, replacement: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return replacement;
  const value = rest.length === 0 ? replacement : replacedAt(valueAt(tree, [name]), rest, replacement);
  if (Array.isArray(tree)) return value === undefined ? tree.toSpliced(Number(name), 1) : tree.with(Number(name), value);
  const { [name]: _before, ...others } = tree as Record<string | number, unknown>;
  // In its old place, so that nothing else changes.
  return value === undefined ? others : { ...(tree as object), [name]: value };
}

/** The places at which another tree has something else, or nothing; what it has besides does not matter. */
export function changesIn(tree: unknown, other: unknown, above: Path = []): readonly string[] {
  if (typeof tree !== "object" || tree === null) return isSame(tree, other, above) ? [] : [above.join("/")];
  if (typeof other !== "object" || other === null || Array.isArray(tree) !== Array.isArray(other)) return [above.join("/")];
  return Object.entries(tree).flatMap(([name, each]) => changesIn(each, Reflect.get(other, name), [...above, name]));
}

function isSame(one: unknown, other: unknown, path: Path): boolean {
  // A list of one text is that text to the library's reader, and one that is stricter takes neither for anything else.
  if (Array.isArray(other) && other.length === 1) return isSame(one, other[0], path);
  return isNumber(one) || isNumber(other) ? String(one) === String(other) : one === other || isSameBytes(one, other, path);
}

const isNumber = (value: unknown): boolean => typeof value === "number";

function isSameBytes(one: unknown, other: unknown, path: Path): boolean {
  if (typeof one !== "string" || typeof other !== "string") return false;
  const before = bytesOf(one);
  const now = bytesOf(other);
  if (before.length < 8) return false;
  return before.equals(now) || (/[tT]imestamp$/.test(String(path.at(-1))) && hasSigned(before, now));
}

/** What a text encodes. Of certificates in PEM the first one is the signer's, and nothing else is read. */
function bytesOf(text: string): Buffer {
  try {
    return text.includes("-----BEGIN CERTIFICATE-----") ? new X509Certificate(text).raw : Buffer.from(text, "base64");
  } catch {
    return Buffer.alloc(0);
  }
}

/** Is all that a timestamp's authority signed, and its signature, the same in two tokens? Certificates and a status may come along. */
function hasSigned(one: Buffer, other: Buffer): boolean {
  try {
    const [before, now] = [one, other].map((der) => RFC3161Timestamp.parse(Buffer.from(der)));
    if (before === undefined || now === undefined) return false;
    return before.tstInfo.raw.equals(now.tstInfo.raw) && before.signatureValue.equals(now.signatureValue);
  } catch {
    return false;
  }
}
