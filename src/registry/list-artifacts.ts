import type { Principal } from "../identity/principal.ts";
import type { Rights } from "../identity/permission.ts";
import { namespacesWith, rightsOn } from "../identity/authorize.ts";
import type { State } from "../lifecycle/state.ts";
import { STATES } from "../lifecycle/state.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, isRepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { compareTexts } from "../oci/text-order.ts";
import { beginning, keys, under } from "../storage/keys.ts";
import type { Entry, Key, KeyRange } from "../storage/metadata-store.ts";
import type { FoundArtifact } from "./find-artifact.ts";
import { merge, rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest, readerFor, serveManifest } from "./serving.ts";
import { type ShownArtifact, showArtifact } from "./show-artifact.ts";

type Needs = Pick<Services, "metadata" | "clock">;

export interface ArtifactQuery {
  readonly repository: RepositoryName | undefined;
  /** How the repository's name begins. */
  readonly prefix?: string;
  readonly state: State | undefined;
  /** A family of rows by repository and digest that is walked in place of those of states, where the caller knows of everything. */
  readonly index?: Key | undefined;
  /** Is nothing walked but these rows? */
  readonly onlyIndex?: boolean;
  /** Where the page before ended: `<repository>@<digest>`. */
  readonly cursor: string | undefined;
  readonly limit: number;
}

/** An artifact by its place. */
export interface Place {
  readonly repository: RepositoryName;
  readonly digest: Digest;
}

/**
 * A page of the artifacts that the caller may see, ordered by repository and digest. Only rows of what it may see are looked at, so that
 * nothing about the page depends on what is hidden, and a page costs the same however much that is.
 */
export async function listArtifacts(
  needs: Needs,
  caller: Caller,
  query: ArtifactQuery,
): Promise<{ readonly artifacts: readonly ShownArtifact[]; readonly next: string | null }> {
  const artifacts: ShownArtifact[] = [];
  let last: Place | undefined;
  for await (const place of places(needs, caller, query)) {
    const shown = await listedArtifact(needs, caller, place);
    if (shown === undefined) continue;
    // One more that is shown: the page before it is full, and not the last one.
    if (artifacts.length === query.limit) return { artifacts, next: last === undefined ? null : cursorOf(last) };
    artifacts.push(shown);
    last = place;
  }
  return { artifacts, next: null };
}

/** An artifact as lists show it, if the caller may see it. */
export async function listedArtifact(needs: Needs, caller: Caller, place: Place): Promise<ShownArtifact | undefined> {
  const found = await see(needs, caller, place);
  return found && showArtifact(needs, found.repository, found.record, { pushedTags: seesAll(found.rights), full: false });
}

async function see(needs: Needs, { principal }: Caller, { repository, digest }: Place): Promise<FoundArtifact | undefined> {
  const rights = rightsOn(principal, repository);
  const found = await findManifest(needs, repository, digest);
  const serving = await serveManifest(needs, readerFor(principal, repository), repository, found?.record);
  if (found === undefined || found.record.statement || (serving.effect === "absent" && !seesAll(rights))) return undefined;
  return { ...found, repository, rights, refTag: undefined };
}

/** Holders of `pull:any` and `audit` see every record, and the tags as pushed. */
export function seesAll(rights: Rights): boolean {
  return rights.has("pull:any") || rights.has("audit");
}

/** All artifacts that the caller may see, by repository and digest, found while they are used. */
export async function* visibleArtifacts(needs: Needs, caller: Caller): AsyncGenerator<FoundArtifact, void, undefined> {
  const query = { repository: undefined, state: undefined, cursor: undefined, limit: BATCH };
  for await (const place of places(needs, caller, query)) {
    const found = await see(needs, caller, place);
    if (found !== undefined) yield found;
  }
}

/** Rows that a walk reads at a time. */
const BATCH = 100;

/** What a caller knows of: everything, or what is or was trusted. */
type Knows = "all" | "trusted";

/** The rows of all families of states that the query asks for and the caller may see, in order, each artifact once. */
async function* places(needs: Needs, { principal }: Caller, query: ArtifactQuery): AsyncGenerator<Place, void, undefined> {
  const after = query.cursor === undefined ? undefined : parseCursor(query.cursor);
  const sequences = familiesOf(query).map(({ family, knows }) =>
    rowsOf(needs, rangesOf(principal, { family, knows }, { ...query, after })),
  );
  const all = sequences.reduce((one, other) => merge(one, other, byPlace), rowsOf(needs, []));
  for await (const row of all) yield placeOf(row);
}

interface Family {
  readonly family: Key;
  readonly knows: Knows;
}

/** Readers know of what is trusted, and of what was trusted and is revoked. */
function familiesOf({ state, index, onlyIndex = false }: Pick<ArtifactQuery, "state" | "index" | "onlyIndex">): readonly Family[] {
  if (index !== undefined) {
    const others = onlyIndex ? [] : familiesOf({ state }).filter(({ knows }) => knows === "trusted");
    return [{ family: index, knows: "all" }, ...others];
  }
  const wanted = state === undefined ? STATES : [state];
  return wanted.flatMap((each): Family[] => [
    { family: keys.artifactsIn(each), knows: "all" },
    ...(each === "trusted" ? [{ family: keys.artifactsIn(each), knows: "trusted" } as const] : []),
    ...(each === "revoked" ? [{ family: keys.artifactsRecalled(), knows: "trusted" } as const] : []),
  ]);
}

/** The ranges of a family that the caller's rights open. A token opens the repositories that it names, whatever its holder's roles. */
function rangesOf(
  principal: Principal,
  { family, knows }: Family,
  query: ArtifactQuery & { readonly after: Place | undefined },
): readonly KeyRange[] {
  const { repository, after, limit } = query;
  const named = repository === undefined ? namedBy(principal) : [repository];
  const { prefix = "" } = query;
  if (named === undefined) return within(rangesIn(family, namespacesKnown(principal, knows), query), beginning(family, prefix, limit));
  return named
    .filter((name) => name.startsWith(prefix))
    .filter((name) => knowsOf(principal, name, knows) && (after === undefined || name >= after.repository))
    .map((name) => under([...family, name], limit + 1, after?.repository === name ? [after.digest] : []));
}

function namedBy({ access }: Principal): readonly RepositoryName[] | undefined {
  if (access === undefined) return undefined;
  const names = access.filter(({ type }) => type === "repository").map(({ name }) => name);
  return [...new Set(names.filter(isRepositoryName))].toSorted(compareTexts);
}

function knowsOf(principal: Principal, repository: RepositoryName, knows: Knows): boolean {
  const rights = rightsOn(principal, repository);
  return knows === "all" ? rights.has("pull:any") || rights.has("audit") : rights.has("pull");
}

type Namespaces = "*" | readonly string[];

/** The namespaces of which the caller knows everything, or what is trusted. */
export function namespacesKnown(principal: Principal, knows: Knows): Namespaces {
  if (knows === "trusted") return namespacesWith(principal, "pull");
  const [any, audited] = [namespacesWith(principal, "pull:any"), namespacesWith(principal, "audit")];
  return any === "*" || audited === "*" ? "*" : [...new Set([...any, ...audited])].toSorted(compareTexts);
}

function rangesIn(
  family: Key,
  namespaces: Namespaces,
  { after, limit }: ArtifactQuery & { readonly after: Place | undefined },
): readonly KeyRange[] {
  const rest = after === undefined ? [] : [after.repository, after.digest];
  const whole = under(family, limit + 1, rest);
  if (namespaces === "*") return [whole];
  return namespaces
    .flatMap((namespace) => [
      // A repository of one component is a namespace of its own (RULES 16); `0` is what follows `/`.
      { ...whole, start: [...family, namespace] as const, end: [...family, `${namespace}\0`] as const },
      { ...whole, start: [...family, `${namespace}/`] as const, end: [...family, `${namespace}0`] as const },
    ])
    .filter(({ end }) => compareKeys(end, whole.start) > 0)
    .map((range) => ({ ...range, start: compareKeys(range.start, whole.start) < 0 ? whole.start : range.start }))
    .toSorted((a, b) => compareKeys(a.start, b.start));
}

/** What of the ranges lies in another one. */
function within(ranges: readonly KeyRange[], { start, end }: KeyRange): readonly KeyRange[] {
  return ranges
    .filter((range) => compareKeys(range.end, start) > 0 && compareKeys(end, range.start) > 0)
    .map((range) => ({
      ...range,
      start: compareKeys(range.start, start) < 0 ? start : range.start,
      end: compareKeys(range.end, end) > 0 ? end : range.end,
    }));
}

function placeOf({ key }: Entry): Place {
  return { repository: repositoryNameSchema.parse(key.at(-2)), digest: digestSchema.parse(key.at(-1)) };
}

function byPlace(a: Entry, b: Entry): number {
  const [one, other] = [placeOf(a), placeOf(b)];
  return compareTexts(one.repository, other.repository) || compareTexts(one.digest, other.digest);
}

function compareKeys(a: Key, b: Key): number {
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const order = compareTexts(String(a[at]), String(b[at]));
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Where a page ends, for the next one to go on. */
function cursorOf({ repository, digest }: Place): string {
  return `${repository}@${digest}`;
}

/** The place that a cursor names. Throws INVALID. */
function parseCursor(cursor: string): Place {
  const at = cursor.lastIndexOf("@");
  const [repository, digest] = [cursor.slice(0, at), digestSchema.safeParse(cursor.slice(at + 1))];
  if (at < 0 || !isRepositoryName(repository) || !digest.success) {
    throw new RegistryError("INVALID", "cursor must be the `next` of the page before");
  }
  return { repository, digest: digest.data };
}
