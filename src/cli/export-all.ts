import { artifactList } from "../api/artifact-answers.ts";
import type { Digest } from "../oci/digest.ts";
import { parseManifest } from "../oci/manifest.ts";
import { essenceOf, manifestKindOf } from "../oci/media-types.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { NativeClient } from "./client.ts";
import type { ExportGathering, ExportedArtifact } from "./export-gathering.ts";
import { NotWhole } from "./export-tree.ts";
import { LooksLikeOwn } from "./export-walk.ts";
import { CliError, EXIT } from "./failure.ts";
import type { Repository } from "./registry-client.ts";

const PAGE = 1_000;
/** Manifests of a repository: what an index can name with their statements. */
const MAX_MANIFESTS = 10_000;

type Record = (typeof artifactList)["_output"]["artifacts"][number];

/** What a repository holds, as far as whoever asks may see it. */
export interface RepositoryContent {
  /** By digest. */
  readonly records: readonly Record[];
  /** What is contained in an index. */
  readonly parts: ReadonlySet<Digest>;
  /** The tags of each manifest: where readers find another one than pushers, theirs. */
  readonly names: ReadonlyMap<Digest, readonly string[]>;
}

/** Lists what is in a repository and still has its content. Throws when there is nothing, or more than one layout holds. */
export async function contentOf(native: NativeClient, repository: Repository, name: RepositoryName): Promise<RepositoryContent> {
  const records: Record[] = [];
  for (let next: string | null | undefined; next !== null;) {
    const query = { repository: name, limit: PAGE, cursor: next };
    const page = await native.request({ method: "GET", path: "/v1/artifacts", query }, artifactList);
    records.push(...page.artifacts.filter(({ state }) => state !== "deleted"));
    if (records.length > MAX_MANIFESTS)
      throw new CliError(EXIT.failure, `${name} has more than ${MAX_MANIFESTS} manifests: export its artifacts one by one`);
    next = page.next;
  }
  if (records.length === 0) throw new CliError(EXIT.notFound, `there is nothing in ${name}, or nothing that you may see`);
  return { records, parts: await partsIn(repository, records), names: namesOf(records) };
}

/**
 * Gathers all artifacts of a repository: first those that nothing contains and that are attached to nothing there; then what none of them
 * tells of, such as a signature that was promoted by itself. Answers them by digest. Throws `MovedOn` when something changes meanwhile.
 */
export async function gatherAll({ records, parts }: RepositoryContent, gathering: ExportGathering): Promise<readonly ExportedArtifact[]> {
  const present = new Set(records.map(({ digest }) => digest));
  const isRoot = ({ digest, subject }: Record): boolean => !parts.has(digest) && (subject === null || !present.has(subject));
  const gathered: ExportedArtifact[] = [];
  for (const record of records.filter(isRoot)) gathered.push(...(await gatherOne(record, gathering)));
  for (const record of records.filter((each) => !isRoot(each))) {
    const { digest, state } = record;
    if (gathering.tellsOf(digest) || (state === "acquired" && gathering.has(digest))) continue;
    gathered.push(...(await gatherOne(record, gathering)));
  }
  return gathered.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}

async function gatherOne({ digest, state }: Record, gathering: ExportGathering): Promise<readonly ExportedArtifact[]> {
  try {
    return [await gathering.add(digest)];
  } catch (error) {
    const because = error instanceof CliError ? reasonToLeaveOut(error, state) : undefined;
    if (because === undefined) throw error;
    gathering.leaveOut(digest, because);
    return [];
  }
}

/** Nothing that anybody may push keeps the rest from being exported; undefined for what is no reason. */
function reasonToLeaveOut(error: CliError, state: Record["state"]): string | undefined {
  if (error instanceof LooksLikeOwn || error instanceof NotWhole) return error.message;
  if (error.exit === EXIT.denied && state === "revoked") return "it is revoked";
  // Larger than any artifact may be.
  return error.answer?.status === 409 && state !== "trusted" ? error.message : undefined;
}

async function partsIn(repository: Repository, records: readonly Record[]): Promise<ReadonlySet<Digest>> {
  const parts = new Set<Digest>();
  for (const { digest, media_type: type, state } of records) {
    if (manifestKindOf(essenceOf(type)) !== "index" || state === "revoked") continue;
    const { bytes, descriptor } = await repository.fetchManifest(digest);
    for (const part of parseManifest(bytes, descriptor.mediaType).manifestReferences) parts.add(part.digest);
  }
  return parts;
}

function namesOf(records: readonly Record[]): ReadonlyMap<Digest, readonly string[]> {
  const places = new Map<string, Digest>();
  for (const { digest, tags } of records) for (const tag of tags) places.set(tag, digest);
  for (const { digest, promoted_tags: promoted } of records) for (const tag of promoted) places.set(tag, digest);
  const names = new Map<Digest, string[]>();
  for (const [tag, digest] of [...places].toSorted(([a], [b]) => (a < b ? -1 : 1))) names.set(digest, [...(names.get(digest) ?? []), tag]);
  return names;
}
