import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, namespaceOf, parseArtifactReference } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { type ManifestRecord, modelRepositoryRecord } from "../storage/records.ts";
import { fileHolder } from "./file-holder.ts";
import { namedBy } from "./find-meant.ts";
import type { Services } from "./ports.ts";
import { RESERVED_TAG } from "./reserved-tag.ts";
import { pushedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata">;

/** What a name is held for, until a change that expects it to be so. */
export interface HeldName {
  /** The state of the artifact that the name means now; undefined for a new name. */
  readonly state: ManifestRecord["state"] | undefined;
  readonly expect: readonly Expectation[];
}

/** What an artifact is registered by. */
interface Wanted {
  readonly name: string;
  /** Of the file, in its one spelling. */
  readonly path: string;
}

/** Refuses a name or a file that is not free: they belong to another, or to what is trusted or revoked. */
export async function holdName(needs: Needs, repository: RepositoryName, { name, path }: Wanted): Promise<HeldName> {
  const namespaceRow = await noReference(needs, name);
  const repositoryRows = await freeRepository(needs, repository, name);
  const fileRow = await freeFile(needs, path, name);
  const nameKey = keys.modelName(name);
  const nameRow = await needs.metadata.get(nameKey);
  const held = nameRow && (await namedBy(needs, nameRow));
  const state = held?.record.state;
  if (state === "trusted" || state === "revoked") throw taken();
  const artifact = held === undefined ? [] : [{ key: keys.manifest(held.repository, held.record.digest), version: held.version }];
  return {
    state,
    expect: [...namespaceRow, ...repositoryRows, fileRow, { key: nameKey, version: nameRow?.version ?? "absent" }, ...artifact],
  };
}

/** The refusal of what is not free. */
export function taken(): RegistryError {
  return new RegistryError("CONFLICT", "artifact name or filename is already registered");
}

/** A name that reads as an artifact of a namespace would hide what is pushed there (RULES 27). */
async function noReference({ metadata }: Needs, name: string): Promise<readonly Expectation[]> {
  const reference = parseArtifactReference(name);
  if (reference === undefined) return [];
  const key = keys.namespace(namespaceOf(reference.repository));
  if ((await metadata.get(key)) === undefined) return [{ key, version: "absent" }];
  throw new RegistryError("INVALID", "the name reads as a reference into a namespace that exists: choose another");
}

/** The repository of the name must be no other name's; what somebody pushed there as its tag is theirs. */
async function freeRepository(needs: Needs, repository: RepositoryName, name: string): Promise<readonly Expectation[]> {
  const key = keys.modelRepository(repository);
  // The tag first: whoever registers the name sets both at once, and a look in the other order takes that tag for somebody else's.
  const pointer = await pushedPointer(needs, repository, RESERVED_TAG);
  const row = await needs.metadata.get(key);
  if (row !== undefined) {
    if (modelRepositoryRecord.parse(row.value).name !== name) throw taken();
    return [{ key, version: row.version }];
  }
  if (pointer !== undefined) throw taken();
  return [
    { key, version: "absent" },
    { key: keys.tagPushed(repository, RESERVED_TAG), version: "absent" },
  ];
}

async function freeFile(needs: Needs, path: string, name: string): Promise<Expectation> {
  const key = keys.modelFile(path);
  const row = await needs.metadata.get(key);
  const holder = row && (await fileHolder(needs, row, path));
  if (holder !== undefined && holder.name !== name) throw taken();
  return { key, version: row?.version ?? "absent" };
}
