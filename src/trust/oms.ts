import { createHash } from "node:crypto";
import { z } from "zod";
import { filesOf, isRelativePath } from "./artifact-files.ts";
import type { Statement } from "./in-toto.ts";
import { Refusal } from "./reason.ts";
import type { Subject } from "./subject.ts";

/** The predicate type of OpenSSF Model Signing, version 1.0. Its subject is the model's files, not an OCI manifest. */
export const MODEL_SIGNING = "https://model_signing/signature/v1.0";

const resourceSchema = z.looseObject({ name: z.string().min(1).max(4_096), digest: z.hex(), algorithm: z.string() });
const predicateSchema = z.looseObject({
  resources: z.array(resourceSchema).min(1),
  serialization: z.looseObject({
    method: z.string(),
    hash_type: z.string(),
    ignore_paths: z.array(z.string().min(1)).nullish(),
  }),
});
type Predicate = z.infer<typeof predicateSchema>;

/** Left out of every signature, where they stand at the top (model signing §6.2). */
const IGNORED = [".git", ".gitignore", ".gitattributes", ".github"];

/** What the list of files is compared with. */
export interface FileDemands {
  readonly subject: Subject;
  readonly unsignedConfig: boolean;
  /** The file of the artifact that holds the signature itself; undefined when it is a referrer. */
  readonly ownFile: string | undefined;
}

/** Throws a `Refusal` unless the artifact's files are exactly those of a signed list, by name and SHA-256 (trust.md §10). */
export function checkFiles(statement: Statement, { subject, unsignedConfig, ownFile }: FileDemands): void {
  const parsed = predicateSchema.safeParse(statement.predicate);
  if (!parsed.success) throw new Refusal("files-malformed");
  checkForm(parsed.data);
  checkRoot(parsed.data, statement);
  const ignored = [...IGNORED, ...(parsed.data.serialization.ignore_paths ?? []), ...(ownFile === undefined ? [] : [ownFile])];
  compare(parsed.data, filesOf(subject.manifest, unsignedConfig), ignored);
}

function checkForm({ resources, serialization: { method, hash_type: hash } }: Predicate): void {
  // Shards and other hashes than a layer's digest would have to be made from the bytes.
  if (method !== "files" || hash !== "sha256" || resources.some(({ name }) => name === ".")) throw new Refusal("files-unsupported");
  let before = Buffer.alloc(0);
  for (const { name, digest, algorithm } of resources) {
    const bytes = Buffer.from(name);
    // By code points, which is how UTF-8 sorts; UTF-16, which `<` compares, does not. What rises all the way holds nothing twice.
    if (Buffer.compare(before, bytes) >= 0 || !isRelativePath(name)) throw new Refusal("files-malformed");
    if (algorithm !== hash || !/^[0-9a-f]{64}$/.test(digest)) throw new Refusal("files-malformed");
    before = bytes;
  }
}

function checkRoot({ resources }: Predicate, { subjects }: Statement): void {
  const root = createHash("sha256");
  for (const { digest } of resources) root.update(digest, "hex");
  if (subjects.length !== 1 || subjects[0]?.["sha256"] !== root.digest("hex")) throw new Refusal("files-root");
}

function compare({ resources }: Predicate, files: ReadonlyMap<string, string>, ignored: readonly string[]): void {
  for (const { name, digest } of resources) {
    const found = files.get(name);
    if (found !== digest) throw new Refusal(found === undefined ? "file-missing" : "file-differs");
  }
  const signed = new Set(resources.map(({ name }) => name));
  const isIgnored = (name: string): boolean => ignored.some((path) => name === path || name.startsWith(`${path}/`));
  if ([...files.keys()].some((name) => !signed.has(name) && !isIgnored(name))) throw new Refusal("file-unsigned");
}
