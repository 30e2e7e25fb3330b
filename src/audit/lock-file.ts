import { LineCounter, type Node, isAlias, isMap, isScalar, isSeq, parseDocument, stringify } from "yaml";
import { z } from "zod";
import { type RecordedModel, type WrittenModel, issueText, recordedModel, shownText, writtenModelSchema } from "./recorded-model.ts";

/** Why a lock file as a whole is none. */
export class LockFileError extends Error {
  override readonly name = "LockFileError";
}

/** In bytes. */
export const MAX_LOCK_BYTES = 16 * 1024 ** 2;
const MAX_MODELS = 100_000;
/** Deeper than the deepest fingerprint. */
const MAX_DEPTH = 40;

/** The form of a lock file, `models.lock.yaml` (secai-behaviour 1.8). */
export const lockFileSchema = z.strictObject({
  version: z.literal(1),
  models: z.array(writtenModelSchema).max(MAX_MODELS).default([]),
});

/** An entry of a lock file, with its place in it, both counted from 1; with what is wrong where it cannot be registered. */
export type LockEntry = { readonly position: number; readonly line: number; readonly name: string } & (
  | { readonly model: RecordedModel }
  | { readonly fault: string }
);

/**
 * Reads a lock file: one YAML document without aliases, tags or keys that nobody knows, of at most 16 MiB and 100 000 models. What is wrong
 * with the file is thrown as `LockFileError`; what is wrong with an entry is said of that entry alone.
 */
export function parseLockFile(bytes: Uint8Array): readonly LockEntry[] {
  const lines = new LineCounter();
  const root = documentOf(bytes, lines);
  if (!isMap(root)) throw new LockFileError("the file must be a mapping with version and models");
  const top = whole(() => membersOf(root));
  const unknown = [...top.keys()].find((key) => key !== "version" && key !== "models");
  if (unknown !== undefined) throw new LockFileError(`unknown key ${shownText(unknown)}: a lock file has version and models`);
  if (whole(() => plain(top.get("version") ?? null, false)) !== 1) throw new LockFileError("version must be 1");
  const entries = itemsOf(top.get("models")).map((node, at) => entryOf(node, { position: at + 1, line: lineOf(node, lines) }));
  return withoutDoubles(entries);
}

/** Writes a lock file; the same models give the same bytes. */
export function lockFileText(models: readonly WrittenModel[]): string {
  return stringify({ version: 1, models }, { aliasDuplicateObjects: false, lineWidth: 0 });
}

function documentOf(bytes: Uint8Array, lines: LineCounter): Node | null {
  if (bytes.byteLength > MAX_LOCK_BYTES) throw new LockFileError(`a lock file has at most ${MAX_LOCK_BYTES} bytes`);
  const document = parsed(bytes, lines);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    // Its first line: the parser may go on with what it was reading.
    const [message = ""] = problem.message.split("\n");
    throw new LockFileError(`line ${lines.linePos(problem.pos[0]).line}: ${message.slice(0, 200).toWellFormed()}`);
  }
  return document.contents;
}

function parsed(bytes: Uint8Array, lines: LineCounter): ReturnType<typeof parseDocument> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new LockFileError("the file is not UTF-8", { cause: error });
  }
  try {
    // Its own search for keys that come twice takes the square of their number.
    return parseDocument(text, { schema: "core", uniqueKeys: false, prettyErrors: false, logLevel: "error", lineCounter: lines });
  } catch (error) {
    throw new LockFileError("the file cannot be read as YAML", { cause: error });
  }
}

/** What is wrong with a part of the file. */
class Fault extends Error {}

/** What is wrong with this part is wrong with the file. */
function whole<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof Fault ? new LockFileError(error.message) : error;
  }
}

function itemsOf(models: Node | null | undefined): readonly (Node | null)[] {
  if (models === undefined || models === null || (isScalar(models) && models.value === null)) return [];
  if (!isSeq<Node | null>(models)) throw new LockFileError("models must be a list");
  if (models.items.length > MAX_MODELS) throw new LockFileError(`a lock file has at most ${MAX_MODELS} models`);
  return models.items;
}

function entryOf(node: Node | null, place: { readonly position: number; readonly line: number }): LockEntry {
  let name = "";
  try {
    const members = membersOf(node);
    const named = plain(members.get("name") ?? null, true);
    if (typeof named === "string") name = named;
    const written = writtenModelSchema.safeParse(writtenIn(members));
    if (!written.success) return { ...place, name, fault: issueText(written.error) };
    const model = recordedModel(written.data);
    return "fault" in model ? { ...place, name, fault: model.fault } : { ...place, name, model };
  } catch (error) {
    if (error instanceof Fault) return { ...place, name, fault: error.message };
    throw error;
  }
}

/** Members whose plain numbers are numbers; all others hold text, also where it looks like a number, as the predecessor reads them. */
const TYPED: ReadonlySet<string> = new Set(["size_bytes", "gguf_guard_fingerprint"]);

/** A member without a value is left out. */
function writtenIn(members: ReadonlyMap<string, Node | null>): Record<string, unknown> {
  const values = [...members].map(([key, node]) => [key, plain(node, !TYPED.has(key))] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== null));
}

/** Keys and nodes of a mapping. */
function membersOf(node: Node | null): ReadonlyMap<string, Node | null> {
  if (!isMap<Node, Node | null>(node)) throw new Fault("it must be a mapping");
  const members = new Map<string, Node | null>();
  for (const { key, value } of node.items) {
    const text = plain(key, true);
    if (typeof text !== "string") throw new Fault("a key must be text");
    if (members.has(text)) throw new Fault(`the key ${shownText(text)} comes twice`);
    members.set(text, value);
  }
  return members;
}

/** The value of a node; with `asText` numbers and truth values are what was written. */
function plain(node: Node | null, asText: boolean, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new Fault(`it is nested more than ${MAX_DEPTH} deep`);
  if (node === null) return null;
  if (isAlias(node)) throw new Fault("aliases are not read: write the value out");
  if (isMap(node)) return Object.fromEntries([...membersOf(node)].map(([key, value]) => [key, plain(value, asText, depth + 1)]));
  if (isSeq<Node | null>(node)) return node.items.map((item) => plain(item, asText, depth + 1));
  return isScalar(node) ? scalar(node.value, asText ? node.source : undefined) : null;
}

function scalar(value: unknown, source: string | undefined): unknown {
  if (typeof value === "string" || value === null) return value;
  if (source !== undefined) return source;
  if (typeof value === "number" && !Number.isFinite(value)) throw new Fault("a number must be finite");
  return value;
}

function lineOf(node: Node | null, lines: LineCounter): number {
  return lines.linePos(node?.range?.[0] ?? 0).line;
}

/** Which of two entries is meant nobody knows: neither is registered. */
function withoutDoubles(entries: readonly LockEntry[]): readonly LockEntry[] {
  const names = counted(entries.map(({ name }) => name));
  const files = counted(entries.flatMap((entry) => fileOf(entry) ?? []));
  return entries.map((entry) => {
    const { position, line, name } = entry;
    if (name !== "" && (names.get(name) ?? 0) > 1) return { position, line, name, fault: "another entry has the same name" };
    const file = fileOf(entry);
    if (file !== undefined && (files.get(file) ?? 0) > 1) return { position, line, name, fault: "another entry has the same filename" };
    return entry;
  });
}

/** The file that an entry holds for itself: what is deleted holds none. */
function fileOf(entry: LockEntry): string | undefined {
  return "model" in entry && entry.model.state !== "deleted" ? entry.model.path : undefined;
}

function counted(texts: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}
