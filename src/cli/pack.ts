import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, isAbsolute, join, normalize } from "node:path";
import { MODEL_ARTIFACT, MODEL_CONFIG, MODEL_FILE_PATH } from "../formats/model-pack.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestFrom, digestOf } from "../oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import { OCI_EMPTY, OCI_IMAGE } from "../oci/media-types.ts";
import { CliError, EXIT } from "./failure.ts";
import { TITLE, isSafeRelativePath } from "./relative-path.ts";
import type { BlobSource } from "./upload.ts";

/** `{}` */
const EMPTY_CONFIG = Buffer.of(0x7b, 0x7d);
const MAX_FILES = 10_000;
const READ_AT_ONCE = 1024 * 1024;

/** A file that is to become a layer. */
export interface FileArgument {
  readonly path: string;
  /** The layer's title: the file's name for whoever pulls it. */
  readonly title: string;
  /** Undefined: by its name. */
  readonly mediaType: string | undefined;
  readonly size: number;
}

/** What is wanted beside the files. */
export interface PackOptions {
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** An artifact ready to be pushed. */
export interface Packed {
  readonly manifest: Buffer;
  readonly mediaType: string;
  readonly layers: readonly Descriptor[];
  /** Layers and config, each once. */
  readonly blobs: readonly (BlobSource & { readonly title: string })[];
}

/** Reads `FILE[:mediatype]`; a folder stands for all files in it. */
export async function fileArguments(texts: readonly string[]): Promise<readonly FileArgument[]> {
  const files = (await Promise.all(texts.map(expand))).flat();
  if (files.length > MAX_FILES) throw new CliError(EXIT.usage, `more than ${MAX_FILES} files are too many for one artifact`);
  const titles = new Set<string>();
  for (const { title } of files) {
    if (titles.has(title))
      throw new CliError(EXIT.usage, `two files would have the name ${title}: push them from a folder that tells them apart`);
    titles.add(title);
  }
  return files;
}

async function expand(text: string): Promise<readonly FileArgument[]> {
  const { path, mediaType } = splitMediaType(text);
  const found = await stat(path).catch((error: unknown) => {
    throw new CliError(EXIT.usage, `there is no file ${path}`, { cause: error });
  });
  if (!found.isDirectory()) return [fileArgument(path, titleOf(path), mediaType, found)];
  const names = (await readdir(path, { recursive: true })).toSorted();
  const members = await Promise.all(names.map(async (name) => ({ name, stat: await stat(join(path, name)) })));
  return members
    .filter((member) => !member.stat.isDirectory())
    .map((member) => fileArgument(join(path, member.name), member.name, mediaType, member.stat));
}

function fileArgument(
  path: string,
  title: string,
  mediaType: string | undefined,
  found: { isFile(): boolean; readonly size: number },
): FileArgument {
  if (!found.isFile()) throw new CliError(EXIT.usage, `${path} is not a regular file`);
  if (!isSafeRelativePath(title)) throw new CliError(EXIT.usage, `${title} cannot be the name of a file on every system: rename it`);
  return { path, title, mediaType, size: found.size };
}

/** A colon that is followed by something like `type/subtype` ends the path. */
function splitMediaType(text: string): { readonly path: string; readonly mediaType: string | undefined } {
  const [, path, mediaType] = /^(.+):([\w.+-]+\/[\w.+-]+(?:;.*)?)$/s.exec(text) ?? [];
  return path === undefined ? { path: text, mediaType: undefined } : { path, mediaType };
}

/** The path as it was given, as oras does it; the bare name of a file from elsewhere, since a title may not leave its folder. */
function titleOf(path: string): string {
  const clean = normalize(path).replaceAll("\\", "/");
  return isAbsolute(path) || clean.startsWith("../") ? basename(path) : clean;
}

/** Hashes the files, each once and in constant memory, and makes the manifest. The same files give the same manifest. */
export async function pack(files: readonly FileArgument[], options: PackOptions, hashed: (bytes: number) => void): Promise<Packed> {
  const isModel = options.artifactType === MODEL_ARTIFACT;
  const layers: Descriptor[] = [];
  const blobs: (BlobSource & { readonly title: string })[] = [];
  let done = 0;
  for (const file of files) {
    const digest = await digestOfFile(file, (bytes) => hashed((done += bytes)));
    const annotations = { [TITLE]: file.title, ...(isModel && { [MODEL_FILE_PATH]: file.title }) };
    const mediaType = file.mediaType ?? (isModel ? modelLayerType(file.title) : "application/octet-stream");
    layers.push({ mediaType, digest, size: file.size, annotations });
    blobs.push({ title: file.title, digest, size: file.size, open: (start) => bytesOfFile(file, start) });
  }
  const config = isModel ? modelConfig(layers) : { mediaType: OCI_EMPTY, bytes: EMPTY_CONFIG };
  const configBlob = memoryBlob(config.bytes);
  const manifest = manifestOf({ mediaType: config.mediaType, digest: configBlob.digest, size: configBlob.size }, layers, options);
  return { manifest, mediaType: OCI_IMAGE, layers, blobs: distinct([...blobs, { ...configBlob, title: "config" }]) };
}

function manifestOf(config: Descriptor, layers: readonly Descriptor[], { artifactType, annotations }: PackOptions): Buffer {
  const some = Object.keys(annotations).length > 0;
  const manifest = { schemaVersion: 2, mediaType: OCI_IMAGE, artifactType, config, layers, ...(some && { annotations }) };
  const bytes = Buffer.from(JSON.stringify(manifest));
  if (bytes.length > MAX_MANIFEST_BYTES) throw new CliError(EXIT.usage, "so many files and annotations do not fit in one manifest");
  return bytes;
}

/** ModelPack's config: the layers in order by the digests of their content, and the format of the weights where there is one. */
function modelConfig(layers: readonly Descriptor[]): { readonly mediaType: string; readonly bytes: Buffer } {
  const weights = layers.filter(({ mediaType }) => mediaType.startsWith("application/vnd.cncf.model.weight.v1."));
  const formats = new Set(
    weights.map(({ annotations }) =>
      extname(annotations?.[TITLE] ?? "")
        .slice(1)
        .toLowerCase(),
    ),
  );
  const [format] = formats;
  const config = formats.size === 1 && format ? { format } : {};
  const document = { descriptor: {}, config, modelfs: { type: "layers", diffIds: layers.map(({ digest }) => digest) } };
  return { mediaType: MODEL_CONFIG, bytes: Buffer.from(JSON.stringify(document)) };
}

const WEIGHTS = new Set([
  ".gguf",
  ".safetensors",
  ".onnx",
  ".bin",
  ".pt",
  ".pth",
  ".ckpt",
  ".h5",
  ".keras",
  ".tflite",
  ".npz",
  ".pdparams",
  ".msgpack",
]);
const DOCS = new Set([".md", ".txt", ".rst", ".pdf", ".html"]);
const DOC_NAMES = /^(?:readme|licen[cs]e|notice|copying|changelog|authors|citation)(?:\.|$)/i;
/** Tokenizers, though they look like text. */
const VOCABULARY = /^(?:vocab|merges)\.txt$/i;
const CODE = new Set([".py", ".ipynb", ".sh", ".js", ".ts", ".c", ".cc", ".cpp", ".h", ".rs", ".go", ".java"]);
const DATASETS = new Set([".parquet", ".arrow", ".csv", ".tsv", ".jsonl"]);

/** The ModelPack type of a file by its name; what it does not know belongs to the weights' configuration, as tokenizers do. */
export function modelLayerType(title: string): string {
  const extension = extname(title).toLowerCase();
  return `application/vnd.cncf.model.${kindOf(basename(title), extension)}.v1.raw`;
}

function kindOf(name: string, extension: string): "weight" | "weight.config" | "doc" | "code" | "dataset" {
  if (WEIGHTS.has(extension)) return "weight";
  if (VOCABULARY.test(name)) return "weight.config";
  if (DOC_NAMES.test(name) || DOCS.has(extension)) return "doc";
  if (CODE.has(extension)) return "code";
  return DATASETS.has(extension) ? "dataset" : "weight.config";
}

async function digestOfFile(file: FileArgument, hashed: (bytes: number) => void): Promise<Digest> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of bytesOfFile(file, 0)) {
    hash.update(chunk);
    size += chunk.length;
    hashed(chunk.length);
  }
  if (size !== file.size) throw new CliError(EXIT.failure, `${file.path} was changed while it was being read`);
  return digestFrom("sha256", hash.digest("hex"));
}

async function* bytesOfFile({ path, size }: FileArgument, start: number): AsyncGenerator<Uint8Array> {
  if (start >= size) return;
  yield* createReadStream(path, { start, end: size - 1, highWaterMark: READ_AT_ONCE }) as AsyncIterable<Buffer>;
}

function memoryBlob(bytes: Buffer): BlobSource {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    open: async function* open(start) {
      yield bytes.subarray(start);
    },
  };
}

function distinct<T extends BlobSource>(blobs: readonly T[]): readonly T[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}
