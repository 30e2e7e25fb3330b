import type { ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";
import { isGguf, readGguf } from "./gguf.ts";
import type { PlacedValue } from "./gguf-metadata.ts";
import type { ModelFile, ModelFormat, Tensor } from "./model-file.ts";
import { isSafetensors, readSafetensors } from "./safetensors.ts";

/** What the header of a model file tells; what it does not tell is missing. */
export interface ModelFacts {
  readonly format: ModelFormat;
  readonly architecture?: string | undefined;
  /** The type of most weights, or the name of the mix where the file claims one that its tensors bear out: `Q4_K_M`, `BF16`. */
  readonly quantization?: string | undefined;
  /** Elements of all tensors. */
  readonly parameters: number;
  readonly tensorCount: number;
  /** What breaks no rule of the format, but a person should look at. */
  readonly suspicions: readonly string[];
}

/** Why the header of a file tells nothing. */
export interface Unreadable {
  /** A short sentence, safe to show. */
  readonly unreadable: string;
}

/** Is told of a file's metadata while its header is read, as its format keeps it: GGUF as bytes, safetensors as text. */
export interface MetadataNotes {
  readonly placed: (value: PlacedValue) => void;
  readonly text: (key: string, value: string) => void;
}

/**
 * Reads the header of a model file. Its bytes say which format it has; `name` only, what is wrong with one that has none of them.
 * `notes` are told of its metadata. Throws `FormatError`.
 */
export function readModelFile(source: ByteSource, name: string, notes?: MetadataNotes): ModelFile {
  const head = new Uint8Array(Math.min(source.size, 16));
  if (head.length > 0) source.read(0, head);
  const ending = name.toLowerCase();
  if (isGguf(head)) return readGguf(source, notes?.placed);
  if (isSafetensors(head) || ending.endsWith(".safetensors")) return readSafetensors(source, notes?.text);
  if (ending.endsWith(".gguf")) return readGguf(source, notes?.placed);
  throw new FormatError("the file is neither GGUF nor safetensors");
}

/** The facts about a file whose header was read. */
export function factsOf(file: ModelFile): ModelFacts {
  return {
    format: file.format,
    architecture: file.architecture,
    quantization: quantizationOf(file),
    parameters: parametersOf(file.tensors),
    tensorCount: file.tensors.length,
    suspicions: file.suspicions,
  };
}

/** Elements of all tensors. */
export function parametersOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { elements }) => sum + elements, 0);
}

/** Mixes whose names say more than the type of most weights does, with that type (`llama_ftype` of llama.h). */
const MIXES: ReadonlyMap<number, readonly [name: string, mostly: string]> = new Map([
  [11, ["Q3_K_S", "Q3_K"]],
  [12, ["Q3_K_M", "Q3_K"]],
  [13, ["Q3_K_L", "Q3_K"]],
  [14, ["Q4_K_S", "Q4_K"]],
  [15, ["Q4_K_M", "Q4_K"]],
  [16, ["Q5_K_S", "Q5_K"]],
  [17, ["Q5_K_M", "Q5_K"]],
  [21, ["Q2_K_S", "Q2_K"]],
  [22, ["IQ3_XS", "IQ3_XXS"]],
  [27, ["IQ3_M", "IQ3_S"]],
  [29, ["IQ2_M", "IQ2_S"]],
]);

/** By weights, not by tensors: of those, most are often small ones that are never quantised. */
function quantizationOf({ tensors, fileType }: ModelFile): string | undefined {
  const weights = new Map<string, number>();
  for (const { type, elements } of tensors) weights.set(type, (weights.get(type) ?? 0) + elements);
  const [mostly] = [...weights].toSorted(([, a], [, b]) => b - a)[0] ?? [];
  const mix = MIXES.get(fileType ?? -1);
  return mix !== undefined && mix[1] === mostly ? mix[0] : mostly;
}
