import { liveRightsOn } from "../identity/authorize.ts";
import type { Serving } from "../lifecycle/serving.ts";
import type { Digest } from "../oci/digest.ts";
import { type RepositoryName, isRepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { readerOf, serveBlob } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 3: how many readable repositories are tried without a name, and how many rows are looked at to find them, a few at a time. */
const MAX_SOURCES = 32;
const MAX_ROWS = 256;
const PAGE = 16;

/** A repository in which the caller is served a blob in a way that will do; undefined when none of the first ones is. */
export async function readableRepository(
  needs: Needs,
  caller: Caller,
  digest: Digest,
  willDo: (serving: Serving) => boolean,
): Promise<RepositoryName | undefined> {
  let [rows, tried] = [0, 0];
  for await (const { key } of rowsOf(needs, [under(keys.blobRepositories(digest), PAGE)])) {
    const repository = String(key[2]);
    if (isRepositoryName(repository) && mayReadSome(caller, repository)) {
      if (willDo(await servingTo(needs, caller, repository, digest))) return repository;
      tried += 1;
    }
    rows += 1;
    if (rows === MAX_ROWS || tried === MAX_SOURCES) return undefined;
  }
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
