import { createHash } from "node:crypto";
import { isDigestAlgorithm } from "./digest.ts";
import { foldCase } from "./fold-case.ts";
import { type RepositoryName, hasDigestLikeComponent, isRepositoryName } from "./reference.ts";

/** Where artifacts with free-form names live (DESIGN §3). */
const NAMESPACE = "models";
const MAX_NAME_BYTES = 256;
const MAX_FILENAME_BYTES = 4096;
/** Characters that the readable part of a slug may have. */
const MAX_FOLD = 64;
const HASH_DIGITS = 12;
const EDGE = /^\p{White_Space}|\p{White_Space}$/u;

/** Is this a name that an artifact may be registered under: 1 to 256 bytes, no white space at its ends, on one line? */
export function isModelName(text: string): boolean {
  const bytes = Buffer.byteLength(text);
  return bytes >= 1 && bytes <= MAX_NAME_BYTES && text.isWellFormed() && !EDGE.test(text) && !/[\0\r\n]/.test(text);
}

/**
 * The repository of a free-form name (RULES 27): the name itself where it is a component already, else its ASCII fold with a hash of the
 * whole name, so that no two names share one.
 */
export function repositoryOfModel(name: string): RepositoryName {
  const plain = `${NAMESPACE}/${name}`;
  if (!name.includes("/") && isRepositoryName(plain) && !hasDigestLikeComponent(plain)) return plain;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, HASH_DIGITS);
  const slug = `${NAMESPACE}/${foldOf(name)}-${hash}`;
  if (!isRepositoryName(slug)) throw new TypeError("a fold is always a component");
  return slug;
}

function foldOf(name: string): string {
  const letters = name.normalize("NFKD").toLowerCase().replaceAll(/\p{M}/gu, "");
  const joined = letters.replaceAll(/[^a-z0-9]+/g, "-").replace(/^-/, "");
  const fold = joined.slice(0, MAX_FOLD).replace(/-$/, "") || "model";
  // With the hash behind it, it would read as a digest (RULES 16).
  return isDigestAlgorithm(fold) ? `model-${fold}` : fold;
}

/** The model formats that the predecessor's API takes, told by the file's extension alone. */
export const MODEL_FORMATS = ["gguf", "safetensors"] as const;
export type ModelFormat = (typeof MODEL_FORMATS)[number];

/** The extension of a filename in lower case, with its dot; empty when there is none. */
export function extensionOf(filename: string): string {
  return /\.[^./]*$/.exec(filename)?.[0].toLowerCase() ?? "";
}

/** The format of a filename; undefined for one that is not taken. */
export function formatOf(filename: string): ModelFormat | undefined {
  const extension = extensionOf(filename).slice(1);
  return MODEL_FORMATS.find((format) => format === extension);
}

/** The folders of a data directory, which hold nothing that a filename may name (interface.md §3). */
const OWN_FOLDERS: ReadonlySet<string> = new Set(["credentials", "metadata", "blobs", "uploads", "trusted"]);

/** A filename below the data directory, in its one spelling; or why it may not be one, in the predecessor's words. */
export function modelFilename(text: string): { readonly path: string } | { readonly refused: string } {
  if (Buffer.byteLength(text) > MAX_FILENAME_BYTES) return { refused: "filename exceeds 4096 bytes" };
  if (text.includes("\0")) return { refused: "filename contains null byte" };
  if (text.includes("\\")) return { refused: "filename contains path separator" };
  const path = cleaned(text);
  if (path === undefined || !text.isWellFormed()) return { refused: "filename escapes registry directory" };
  // Some file systems fold case.
  if (OWN_FOLDERS.has(foldCase(path.split("/", 1)[0] ?? ""))) return { refused: "filename names a folder of the registry itself" };
  return { path };
}

/** Lexically: without empty, `.` and `..` components; undefined for what is absolute, leaves the root or is the root itself. */
function cleaned(text: string): string | undefined {
  if (text.startsWith("/")) return undefined;
  const components: string[] = [];
  for (const component of text.split("/")) {
    if (component === "" || component === ".") continue;
    if (component !== "..") components.push(component);
    else if (components.pop() === undefined) return undefined;
  }
  return components.length === 0 ? undefined : components.join("/");
}
