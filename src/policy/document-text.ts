import { type Node, isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import { RegistryError } from "../oci/errors.ts";
import { JsonError, parseJson } from "../oci/json.ts";

/** In which notation a policy is written. */
export type Notation = "json" | "yaml";

/** The most bytes that a policy may have, in either notation. */
export const MAX_POLICY_BYTES = 262_144;
const MAX_DEPTH = 16;
const MAX_VALUES = 20_000;

/**
 * What a policy's text says, before anything is known of its form: strict JSON, or one YAML document without aliases, tags and keys that come
 * twice, of at most 256 KiB. Throws INVALID with the rule that it breaks.
 */
export function readPolicyText(bytes: Uint8Array, notation: Notation): unknown {
  if (bytes.byteLength > MAX_POLICY_BYTES) throw invalid(`it has more than ${MAX_POLICY_BYTES} bytes`);
  return notation === "json" ? readJson(bytes) : readYaml(bytes);
}

/** The notation of a text that came without a word of it: JSON begins with a brace. */
export function notationOf(text: string): Notation {
  return text.trimStart().startsWith("{") ? "json" : "yaml";
}

function readJson(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes, { maxDepth: MAX_DEPTH, maxValues: MAX_VALUES });
  } catch (error) {
    if (error instanceof JsonError) throw invalid(error.message, error);
    throw error;
  }
}

function readYaml(bytes: Uint8Array): unknown {
  const { document, text } = parsed(bytes);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    // Its first line: the parser may go on with what it was reading.
    const [message = ""] = problem.message.split("\n");
    const line = text.slice(0, problem.pos[0]).split("\n").length;
    throw invalid(`line ${line}: ${message.slice(0, 200).toWellFormed()}`, problem);
  }
  return valueOf(document.contents, { depth: 0, left: { values: MAX_VALUES } });
}

function parsed(bytes: Uint8Array): { readonly document: ReturnType<typeof parseDocument>; readonly text: string } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // Its own search for keys that come twice takes the square of their number.
    return { document: parseDocument(text, { schema: "core", uniqueKeys: false, prettyErrors: false, logLevel: "error" }), text };
  } catch (error) {
    throw invalid("it cannot be read as YAML", error);
  }
}

/** How deep a value lies, and how many more there may be in the document. */
interface Place {
  readonly depth: number;
  readonly left: { values: number };
}

/** The value of a node. Only forms that JSON has as well, so that no reader of YAML takes the policy for another one. */
function valueOf(node: Node | null, { depth, left }: Place): unknown {
  left.values -= 1;
  if (left.values < 0) throw invalid(`it has more than ${MAX_VALUES} values`);
  if (depth > MAX_DEPTH) throw invalid(`it is nested more than ${MAX_DEPTH} deep`);
  if (node === null) return null;
  if (isAlias(node)) throw invalid("aliases are not read: write the value out");
  if (node.tag !== undefined && !node.tag.startsWith("tag:yaml.org,2002:")) throw invalid("tags are not read");
  const inner = { depth: depth + 1, left };
  if (isSeq<Node | null>(node)) return node.items.map((item) => valueOf(item, inner));
  return isMap<Node, Node | null>(node) ? objectOf(node.items, inner) : scalarOf(node);
}

function objectOf(items: readonly { readonly key: Node; readonly value: Node | null }[], place: Place): unknown {
  const members = new Map<string, unknown>();
  for (const { key, value } of items) {
    const name = isScalar(key) && typeof key.value === "string" ? key.value : undefined;
    if (name === undefined) throw invalid("a key must be text");
    if (members.has(name)) throw invalid(`the key ${JSON.stringify(name.slice(0, 64))} comes twice`);
    members.set(name, valueOf(value, place));
  }
  return Object.fromEntries(members);
}

function scalarOf(node: Node): unknown {
  const value: unknown = isScalar(node) ? node.value : undefined;
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string" && value.isWellFormed()) return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw invalid("a value must be text, a finite number, true, false or null");
}

function invalid(rule: string, cause?: unknown): RegistryError {
  return new RegistryError("INVALID", `the policy is invalid: ${rule}`, { cause });
}
