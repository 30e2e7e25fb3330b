import { liveRightsOn } from "../identity/authorize.ts";
import type { Serving } from "../lifecycle/serving.ts";
import type { Digest } from "../oci/digest.ts";
import { type RepositoryName, isRepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Caller, Services } from "./ports.ts";
import { readerOf, serveBlob } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 3: how many readable repositories are tried without a name, and how many rows are looked at to find them. */
const MAX_SOURCES = 32;
const MAX_ROWS = 256;

/** A repository in which the caller is served a blob in a way that will do; undefined when none of the first ones is. */
export async function readableRepository(
  needs: Needs,
  caller: Caller,
  digest: Digest,
  willDo: (serving: Serving) => boolean,
): Promise<RepositoryName | undefined> {
  const rows = await needs.metadata.list(under(keys.blobRepositories(digest), MAX_ROWS));
  const candidates = rows.map(({ key }) => String(key[2])).filter(isRepositoryName);
  const readable = candidates.filter((repository) => mayReadSome(caller, repository)).slice(0, MAX_SOURCES);
  for (const repository of readable) if (willDo(await servingTo(needs, caller, repository, digest))) return repository;
  return undefined;
}

function mayReadSome({ principal }: Caller, repository: RepositoryName): boolean {
  const { pull, pullAny } = readerOf(liveRightsOn(principal, repository));
  return pull || pullAny;
}

/** By live rights: a token's scopes cannot name a source that its client does not know (identity.md 2.3.6). */
export async function servingTo(needs: Needs, { principal }: Caller, repository: RepositoryName, digest: Digest): Promise<Serving> {
  return (await serveBlob(needs, readerOf(liveRightsOn(principal, repository)), repository, digest)).serving;
}
