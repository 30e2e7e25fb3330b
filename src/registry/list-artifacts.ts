import { namespacesWith, rightsOn } from "../identity/authorize.ts";
import type { State } from "../lifecycle/state.ts";
import { STATES } from "../lifecycle/state.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, isRepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key, KeyRange } from "../storage/metadata-store.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest, readerFor, serveManifest } from "./serving.ts";
import { type ShownArtifact, showArtifact } from "./show-artifact.ts";

type Needs = Pick<Services, "metadata">;

export interface ArtifactQuery {
  readonly repository: RepositoryName | undefined;
  readonly state: State | undefined;
  /** Where the page before ended: `<repository>@<digest>`. */
  readonly cursor: string | undefined;
  readonly limit: number;
}

interface Place {
  readonly repository: RepositoryName;
  readonly digest: Digest;
}

/** How many pages of hidden rows one answer looks through before it gives a cursor instead of rows. */
const MAX_ROUNDS = 8;

/** A page of the artifacts that the caller may see, ordered by repository and digest. */
export async function listArtifacts(
  needs: Needs,
  caller: Caller,
  query: ArtifactQuery,
): Promise<{ readonly artifacts: readonly ShownArtifact[]; readonly next: string | null }> {
  const artifacts: ShownArtifact[] = [];
  let after = query.cursor === undefined ? undefined : parseCursor(query.cursor);
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const rows = await places(needs, caller, { ...query, after });
    for (const place of rows) {
      after = place;
      const shown = await show(needs, caller, place);
      if (shown !== undefined) artifacts.push(shown);
      if (artifacts.length === query.limit) return { artifacts, next: cursorOf(place) };
    }
    if (rows.length < query.limit) return { artifacts, next: null };
  }
  return { artifacts, next: after === undefined ? null : cursorOf(after) };
}

async function show(needs: Needs, { principal }: Caller, { repository, digest }: Place): Promise<ShownArtifact | undefined> {
  const rights = rightsOn(principal, repository);
  const found = await findManifest(needs, repository, digest);
  const serving = await serveManifest(needs, readerFor(principal, repository), repository, found?.record);
  const seesAll = rights.has("pull:any") || rights.has("audit");
  if (found === undefined || (serving.effect === "absent" && !seesAll)) return undefined;
  return showArtifact(needs, repository, found.record, { pushedTags: seesAll, full: false });
}

/** The next rows of the ranges that the caller's rights open, merged: a page costs the same however many artifacts there are. */
async function places(
  needs: Needs,
  { principal }: Caller,
  query: ArtifactQuery & { readonly after: Place | undefined },
): Promise<readonly Place[]> {
  const all = namespacesOf(principal, ["pull:any", "audit"]);
  const trusted = namespacesOf(principal, ["pull"]);
  const states = query.state === undefined ? STATES : [query.state];
  const ranges = states.flatMap((state) => {
    const namespaces = state === "trusted" || state === "revoked" ? union(all, trusted) : all;
    return rangesIn(keys.artifactsIn(state), namespaces, query);
  });
  const rows = (await Promise.all(ranges.map(async (range) => needs.metadata.list(range)))).flat();
  return rows
    .map(({ key }) => ({ repository: repositoryNameSchema.parse(key[2]), digest: digestSchema.parse(key[3]) }))
    .toSorted((a, b) => compare(a.repository, b.repository) || compare(a.digest, b.digest))
    .slice(0, query.limit);
}

type Namespaces = "*" | readonly string[];

function namespacesOf(principal: Caller["principal"], permissions: readonly Parameters<typeof namespacesWith>[1][]): Namespaces {
  return permissions.map((permission) => namespacesWith(principal, permission)).reduce(union);
}

function union(a: Namespaces, b: Namespaces): Namespaces {
  return a === "*" || b === "*" ? "*" : [...new Set([...a, ...b])];
}

function rangesIn(
  family: Key,
  namespaces: Namespaces,
  { repository, after, limit }: ArtifactQuery & { readonly after: Place | undefined },
): readonly KeyRange[] {
  const rest = after === undefined ? [] : [after.repository, after.digest];
  if (repository !== undefined) {
    return [under([...family, repository], limit, after?.repository === repository ? [after.digest] : [])];
  }
  if (namespaces === "*") return [under(family, limit, rest)];
  const floor = after === undefined ? family : under(family, limit, rest).start;
  return namespaces
    .flatMap((namespace) => [
      { start: [...family, namespace] as const, end: [...family, namespace, "\uffff"] as const, limit },
      { start: [...family, `${namespace}/`] as const, end: [...family, `${namespace}0`] as const, limit },
    ])
    .filter(({ end }) => compareKeys(end, floor) > 0)
    .map((range) => ({ ...range, start: compareKeys(range.start, floor) < 0 ? floor : range.start }));
}

function compareKeys(a: Key, b: Key): number {
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const order = compare(String(a[at]), String(b[at]));
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function cursorOf({ repository, digest }: Place): string {
  return `${repository}@${digest}`;
}

function parseCursor(cursor: string): Place {
  const at = cursor.lastIndexOf("@");
  const [repository, digest] = [cursor.slice(0, at), digestSchema.safeParse(cursor.slice(at + 1))];
  if (at < 0 || !isRepositoryName(repository) || !digest.success) {
    throw new RegistryError("INVALID", "cursor must be the `next` of the page before");
  }
  return { repository, digest: digest.data };
}
