import { z } from "zod";
import { JsonError, parseJson } from "../oci/json.ts";
import { type ModelChain, ModelChainError, type ModelHistory, provenChain } from "./model-chain.ts";
import { type RecordedModel, issueText, recordedModel, writtenModelSchema } from "./recorded-model.ts";

/** Why the predecessor's manifest is not taken over. */
export class ModelManifestError extends Error {
  override readonly name = "ModelManifestError";
}

/** In bytes. */
export const MAX_MODEL_MANIFEST_BYTES = 16 * 1024 ** 2;
const MAX_MODELS = 100_000;
/** A fingerprint is 32 deep, in an artifact of an event of a list. */
const MAX_DEPTH = 40;
/** No text of that size has more. */
const MAX_VALUES = MAX_MODEL_MANIFEST_BYTES;

const manifestSchema = z.strictObject({
  version: z.literal(1),
  models: z.array(z.unknown()).max(MAX_MODELS).nullable().default([]),
  events: z.array(z.unknown()).max(MAX_MODELS).nullable().default([]),
});

/** A record of a manifest; with what is wrong where it cannot be registered. */
export type ManifestEntry = { readonly position: number; readonly name: string } & (
  | { readonly model: RecordedModel; readonly history: ModelHistory | undefined }
  | { readonly fault: string }
);

/** The predecessor's manifest (secai-behaviour 1.8); `chain` is undefined in its older layout, which keeps no history. */
export interface ModelManifest {
  readonly entries: readonly ManifestEntry[];
  readonly chain: ModelChain | undefined;
}

/**
 * Reads a manifest of the predecessor in either layout, and proves its audit chain. What is wrong with the file, or anywhere in the chain,
 * is thrown as `ModelManifestError`; a record that cannot be registered is told by itself. `directory` is the data directory: the older
 * layout may name files in it by absolute paths.
 */
export function parseModelManifest(bytes: Uint8Array, directory: string): ModelManifest {
  const read = manifestSchema.safeParse(jsonOf(bytes));
  if (!read.success) throw new ModelManifestError(issueText(read.error));
  const { models, events } = read.data;
  const written = models ?? [];
  if (events === null || events.length === 0) return { entries: olderEntries(written, directory), chain: undefined };
  const chain = chainOf(events, written);
  const entries = [...chain.histories.values()].map((history, at) => chainedEntry(history, at + 1));
  return { entries, chain };
}

function jsonOf(bytes: Uint8Array): unknown {
  if (bytes.byteLength > MAX_MODEL_MANIFEST_BYTES) throw new ModelManifestError(`a manifest has at most ${MAX_MODEL_MANIFEST_BYTES} bytes`);
  try {
    return parseJson(bytes, { maxDepth: MAX_DEPTH, maxValues: MAX_VALUES });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new ModelManifestError(error.message, { cause: error });
  }
}

function chainOf(events: readonly unknown[], models: readonly unknown[]): ModelChain {
  try {
    return provenChain(events, models);
  } catch (error) {
    if (!(error instanceof ModelChainError)) throw error;
    throw new ModelManifestError(error.message, { cause: error });
  }
}

function chainedEntry(history: ModelHistory, position: number): ManifestEntry {
  const { record } = history;
  const { name, format } = record;
  if (format === "oci") return { position, name, fault: "the format is neither gguf nor safetensors" };
  const model = recordedModel({ ...record, format });
  return "fault" in model ? { position, name, fault: model.fault } : { position, name, model, history };
}

/** The older layout asked for a digest only when it promoted. */
const olderModelSchema = writtenModelSchema.extend({ sha256: z.union([writtenModelSchema.shape.sha256, z.literal("")]).default("") });
const nameIn = z.looseObject({ name: z.string() });
const filenameIn = z.looseObject({ filename: z.string() });
const stateIn = z.looseObject({ state: z.literal("") });

function olderEntries(models: readonly unknown[], directory: string): readonly ManifestEntry[] {
  const names = new Set<string>();
  return models.map((model, at) => {
    const entry = olderEntry(model, at + 1, directory);
    const isDouble = names.has(entry.name);
    names.add(entry.name);
    return isDouble ? { position: at + 1, name: entry.name, fault: "an earlier record has the same name" } : entry;
  });
}

function olderEntry(written: unknown, position: number, directory: string): ManifestEntry {
  const name = nameIn.safeParse(written).data?.name ?? "";
  const read = olderModelSchema.safeParse(inOurWords(written, directory));
  if (!read.success) return { position, name, fault: issueText(read.error) };
  const model = recordedModel(read.data);
  return "fault" in model ? { position, name, fault: model.fault } : { position, name, model, history: undefined };
}

/** An empty state is none, and an absolute path into the data directory a relative one. */
function inOurWords(written: unknown, directory: string): unknown {
  const file = filenameIn.safeParse(written).data;
  const inside =
    file?.filename.startsWith(`${directory}/`) === true ? { ...file, filename: file.filename.slice(directory.length + 1) } : written;
  const stateless = stateIn.safeParse(inside).data;
  return stateless === undefined ? inside : Object.fromEntries(Object.entries(stateless).filter(([key]) => key !== "state"));
}
