import { canonicalJson } from "../oci/canonical-json.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OCI_IMAGE } from "../oci/media-types.ts";
import type { ModelFacts, Unreadable } from "./model-facts.ts";

/** Types and annotations of CNCF's ModelPack specification (model-spec, docs/spec.md and docs/annotations.md). */
export const MODEL_ARTIFACT = "application/vnd.cncf.model.manifest.v1+json";
export const MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json";
const MODEL_WEIGHT = "application/vnd.cncf.model.weight.v1.raw";
export const MODEL_FILE_PATH = "org.cncf.model.filepath";
const TITLE = "org.opencontainers.image.title";

/** What is to stand in the config of a model of one file. */
export interface ModelPackInput {
  /** The model's name; not empty. */
  readonly name: string;
  /** What the file is said to be, as its name or a record has it; what was read from its bytes goes first. */
  readonly format: string;
  /** What its header tells, if it was read. */
  readonly facts: ModelFacts | Unreadable | undefined;
  /** The digest of the file, which is its layer. */
  readonly diffId: Digest;
}

/**
 * ModelPack's config of a model of one file (model-spec, docs/config.md), as canonical JSON: the same model gives the same bytes,
 * so it holds no time. What is not known is left out. Throws a `TypeError` for an empty name.
 */
export function modelPackConfig({ name, format, facts, diffId }: ModelPackInput): Uint8Array {
  if (name === "") throw new TypeError("a model's name must not be empty");
  const known = facts === undefined || "unreadable" in facts ? undefined : facts;
  return bytesOf({
    descriptor: { name, family: known?.architecture },
    config: { format: known?.format ?? format, ...(known && weightsOf(known)) },
    modelfs: { type: "layers", diffIds: [diffId] },
  });
}

/** The file that is a model, as a layer. */
interface ModelLayer {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** Relative to the model's folder, with slashes. */
  readonly path: string;
}

/** What a manifest puts together. */
export interface ModelPackParts {
  /** Of `modelPackConfig`. */
  readonly config: Pick<Descriptor, "digest" | "size">;
  readonly layer: ModelLayer;
  /** Of the manifest. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** The manifest of a model of one file, as canonical JSON: the same input gives the same digest. */
export function modelPackManifest({ config, layer, annotations }: ModelPackParts): Uint8Array {
  const { digest, size, path } = layer;
  const file: Descriptor = { mediaType: MODEL_WEIGHT, digest, size, annotations: { [MODEL_FILE_PATH]: path, [TITLE]: path } };
  return bytesOf({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    artifactType: MODEL_ARTIFACT,
    config: { mediaType: MODEL_CONFIG, digest: config.digest, size: config.size },
    layers: [file],
    annotations: Object.keys(annotations).length === 0 ? undefined : annotations,
  });
}

/** The specification's names of types that calculate as they are stored. */
const PRECISIONS: ReadonlyMap<string, string> = new Map([
  ["F64", "float64"],
  ["F32", "float32"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["F8_E4M3", "float8_e4m3"],
  ["F8_E5M2", "float8_e5m2"],
  ["C64", "complex64"],
]);

const INTEGERS: ReadonlySet<string> = new Set(["BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"]);

function weightsOf(facts: ModelFacts): Readonly<Record<string, string | undefined>> {
  const { quantization = "" } = facts;
  // Weights that were quantised are packed into plain integers there, and nothing in the file says how many each holds.
  if (INTEGERS.has(quantization)) return {};
  const precision = PRECISIONS.get(quantization);
  const isQuantized = facts.format === "gguf" && precision === undefined && quantization !== "";
  return { paramSize: paramSizeOf(facts.parameters), precision, quantization: isQuantized ? quantization : undefined };
}

const SCALES: readonly (readonly [letter: string, size: number])[] = [
  ["Q", 1e15],
  ["T", 1e12],
  ["B", 1e9],
  ["M", 1e6],
  ["K", 1e3],
];

/** `8.0B`: one decimal and a letter; undefined for less than fifty parameters, which that cannot say. */
function paramSizeOf(parameters: number): string | undefined {
  // 999 950 would be rounded to 1000.0K, so that the step up comes a little earlier.
  const [letter, size] = SCALES.find(([, scale]) => parameters >= scale * 0.99995) ?? ["K", 1e3];
  const count = (parameters / size).toFixed(1);
  return count === "0.0" ? undefined : `${count}${letter}`;
}

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}
