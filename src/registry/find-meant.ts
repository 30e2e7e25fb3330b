import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Entry, Expectation, Key } from "../storage/metadata-store.ts";
import { modelNameRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { type FoundManifest, findManifest } from "./serving.ts";

/** The artifact that a registered name means. */
export interface NamedArtifact extends FoundManifest {
  readonly repository: RepositoryName;
}

/** The same, held to the name. */
export interface Meant extends NamedArtifact {
  /** That it means it still: for every change to expect that rests on it. */
  readonly meant: Expectation;
}

type Needs = Pick<Services, "metadata">;

const MAX_TRIES = 64;

/**
 * What the row of a registered name means, both as they were at one moment: when another file is registered under the name meanwhile, the
 * one before may come into a state in which the name never meant it. Undefined where there is no row, for a name that is not registered.
 */
export async function findMeant(needs: Needs, key: Key): Promise<Meant | undefined> {
  let row = await needs.metadata.get(key);
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    if (row === undefined) return undefined;
    const found = await namedBy(needs, row);
    const now = await needs.metadata.get(key);
    if (now?.version === row.version) return found && { ...found, meant: { key, version: row.version } };
    row = now;
  }
  throw new RegistryError("UNAVAILABLE", "too many others register files under this name; try again", { headers: { "Retry-After": "1" } });
}

/** What the row of a registered name says that it means, whoever changes it meanwhile. */
export async function namedBy(needs: Needs, nameRow: Entry): Promise<NamedArtifact | undefined> {
  const { repository, digest } = modelNameRecord.parse(nameRow.value);
  const found = await findManifest(needs, repository, digest);
  return found && { ...found, repository };
}
