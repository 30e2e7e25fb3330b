import { z } from "zod";
import { type State, stateSchema } from "../lifecycle/state.ts";
import { MODEL_FORMATS, type ModelFormat, formatOf, modelFilename } from "../oci/model-name.ts";
import { modelNameSchema, modelRecordSchema, sha256HexSchema } from "./model-event.ts";

const { source, scan_results, scanner_versions, policy_version, source_revision, gguf_guard_fingerprint, gguf_guard_manifest } =
  modelRecordSchema.shape;

/**
 * A record as files of the predecessor hold it (secai-behaviour 1.4 and 1.8): an entry of its lock file, or of a manifest without an audit
 * history. What is left out is empty, and the state trusted.
 */
export const writtenModelSchema = z.strictObject({
  name: modelNameSchema,
  /** As the filename's ending says. */
  format: z.enum(MODEL_FORMATS).exactOptional(),
  /** Of a file in the data directory. */
  filename: z.string().min(1),
  /** Where the predecessor kept its own copy. */
  object_path: z.string().exactOptional(),
  sha256: sha256HexSchema,
  /** 0: undeclared. */
  size_bytes: z.number().int().nonnegative().default(0),
  source,
  promoted_at: z.union([z.iso.datetime({ offset: true }), z.literal("")]).exactOptional(),
  state: stateSchema.default("trusted"),
  scan_results,
  scanner_versions,
  policy_version,
  source_revision,
  gguf_guard_fingerprint,
  gguf_guard_manifest,
});
export type WrittenModel = z.infer<typeof writtenModelSchema>;

/** A record that was read from such a file and can be registered; what was not said is empty. */
export interface RecordedModel {
  readonly name: string;
  readonly format: ModelFormat;
  readonly filename: string;
  /** The filename in its one spelling. */
  readonly path: string;
  /** Where the predecessor kept its own copy, below the data directory. */
  readonly objectPath: string | undefined;
  /** 64 hexadecimal digits; undefined where nobody said them. */
  readonly sha256: string | undefined;
  /** Bytes; zero: undeclared. */
  readonly size: number;
  readonly source: string;
  readonly state: State;
  /** Epoch milliseconds of the last acquisition or promotion, as far as it was said. */
  readonly promotedAt: number | undefined;
  readonly scan: {
    readonly scan_results: Readonly<Record<string, string>>;
    readonly scanner_versions: Readonly<Record<string, string>>;
    readonly policy_version: string;
    readonly source_revision: string;
  };
  readonly fingerprint: Readonly<Record<string, unknown>>;
  /** The path of a tensor manifest in its one spelling; empty when there is none. */
  readonly tensorManifest: string;
}

type Written = Omit<WrittenModel, "sha256"> & { readonly sha256: string };

/** A record as it can be registered, or which of the predecessor's rules for files and formats it breaks (1.5). */
export function recordedModel(written: Written): RecordedModel | { readonly fault: string } {
  const { name, filename, sha256, size_bytes: size, state, source: origin = "", object_path = "" } = written;
  const file = modelFilename(filename);
  if ("refused" in file) return { fault: `invalid filename: ${file.refused}` };
  const format = formatOf(filename);
  if (format === undefined) return { fault: "the filename ends in neither .gguf nor .safetensors" };
  const tensorManifest = tensorManifestPath(written.gguf_guard_manifest);
  const fault = faultOf(written, format, tensorManifest);
  if (fault !== undefined) return { fault };
  return {
    name,
    format,
    filename,
    path: file.path,
    objectPath: object_path || undefined,
    sha256: sha256 || undefined,
    size,
    source: origin,
    state,
    promotedAt: timeOf(written.promoted_at),
    scan: scanOf(written),
    fingerprint: written.gguf_guard_fingerprint ?? {},
    tensorManifest: tensorManifest ?? "",
  };
}

function faultOf(
  { format: said, object_path = "", sha256 }: Written,
  format: ModelFormat,
  tensorManifest: string | undefined,
): string | undefined {
  if (said !== undefined && said !== format) return `the filename is not that of the format ${said}`;
  if (object_path !== "" && object_path !== objectPathOf(sha256, format)) return "the object_path is not that of digest and format";
  return tensorManifest === undefined ? "invalid gguf_guard_manifest path" : undefined;
}

/** Where the predecessor keeps the bytes of what it promoted, below its data directory. */
function objectPathOf(sha256: string, format: ModelFormat): string {
  return `objects/sha256/${sha256.slice(0, 2)}/${sha256}.${format}`;
}

/** A time of the predecessor (RFC 3339) in epoch milliseconds; undefined for what is none. */
export function timeOf(text = ""): number | undefined {
  const time = Date.parse(text);
  return Number.isNaN(time) || time < 0 ? undefined : time;
}

function tensorManifestPath(text = ""): string | undefined {
  if (text === "") return "";
  const file = modelFilename(text);
  return "refused" in file ? undefined : file.path;
}

function scanOf(written: Pick<WrittenModel, keyof RecordedModel["scan"]>): RecordedModel["scan"] {
  return {
    scan_results: written.scan_results ?? {},
    scanner_versions: written.scanner_versions ?? {},
    policy_version: written.policy_version ?? "",
    source_revision: written.source_revision ?? "",
  };
}

/** What is wrong with a member, for people; values stay out of it. */
export function issueText({ issues: [issue] }: z.ZodError): string {
  if (issue === undefined) return "it has not the form of a record";
  if (issue.code === "unrecognized_keys") return `unknown key ${shownText(issue.keys[0] ?? "")}`;
  const path = issue.path.join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}

const MAX_SHOWN = 64;

/** Others' words in a message: quoted, and no longer than they help. */
export function shownText(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN).toWellFormed()}…` : text.toWellFormed());
}
