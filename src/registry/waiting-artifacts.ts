import type { Principal } from "../identity/principal.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, isRepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { compareTexts } from "../oci/text-order.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, KeyRange } from "../storage/metadata-store.ts";
import { refusalRecord } from "../storage/policy-records.ts";
import { EVERYWHERE, INDEX_ARTIFACTS } from "./artifact-index.ts";
import { isIndexed } from "./index-once.ts";
import { listedArtifact, namespacesKnown } from "./list-artifacts.ts";
import { merge, rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest } from "./serving.ts";
import type { ShownArtifact } from "./show-artifact.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** What waits for a decision. */
export interface WaitingArtifact {
  readonly artifact: ShownArtifact;
  /** When it was pushed: epoch milliseconds. */
  readonly since: number;
  /** When a promotion was refused last, in this generation; epoch milliseconds. */
  readonly refusedAt: number | undefined;
}

/** A page of what waits and the caller may see. */
export interface Waiting {
  /** The longest waiting first. */
  readonly artifacts: readonly WaitingArtifact[];
  /** Where the next page begins; null on the last one. */
  readonly next: string | null;
  /** False while artifacts of an earlier version are not found yet. */
  readonly isComplete: boolean;
}

/** Of which page, and how many are on it at most. */
interface WaitingQuery {
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** Rows that are looked at for one page: parts of something else wait with that, and are passed over. */
const MAX_EXAMINED = 200;
const BATCH = 64;
/** How far those who wait are counted. */
const MAX_COUNT = 1_000;

/**
 * The artifacts that wait for somebody to decide about them, the longest waiting first: a page of them, which costs the same however many
 * there are. What is attached to another one, or part of it, waits with that one.
 */
export async function waitingArtifacts(needs: Needs, caller: Caller, { cursor, limit }: WaitingQuery): Promise<Waiting> {
  const artifacts: WaitingArtifact[] = [];
  const isComplete = await isIndexed(needs, keys.job(INDEX_ARTIFACTS));
  const after = cursor === undefined ? undefined : placeIn(cursor);
  let [examined, last] = [0, after];
  for await (const row of rowsFor(needs, caller.principal, after)) {
    if (last !== undefined && (artifacts.length === limit || examined === MAX_EXAMINED))
      return { artifacts, next: cursorOf(last), isComplete };
    examined += 1;
    last = placeOf(row);
    const waiting = await waitingAt(needs, caller, last);
    if (waiting !== undefined) artifacts.push(waiting);
  }
  return { artifacts, next: null, isComplete };
}

/** How many rows there are of what waits and the caller may see, up to a thousand: one for each artifact, and for each part of one. */
export async function countWaiting({ metadata }: Needs, { principal }: Caller): Promise<number> {
  let count = 0;
  for (const scope of scopesOf(principal)) {
    if (count >= MAX_COUNT) break;
    count += (await metadata.list(under(keys.waitings(scope), MAX_COUNT - count))).length;
  }
  return count;
}

interface Place {
  readonly since: number;
  readonly repository: RepositoryName;
  readonly digest: Digest;
}

/** In order of time. Only rows of namespaces are read of which the caller knows everything. */
function rowsFor(needs: Needs, principal: Principal, after: Place | undefined): AsyncGenerator<Entry, void, undefined> {
  const rest = after === undefined ? [] : [after.since, after.repository, after.digest];
  const ranges = scopesOf(principal).map((scope): KeyRange => under(keys.waitings(scope), BATCH, rest));
  return ranges.reduce((one, range) => merge(one, rowsOf(needs, [range]), byAge), rowsOf(needs, []));
}

/** A page is for who comes without a token: its scopes would name repositories, and rows are by namespace. */
function scopesOf(principal: Principal): readonly string[] {
  if (principal.access !== undefined) return [];
  const known = namespacesKnown(principal, "all");
  return known === "*" ? [EVERYWHERE] : known;
}

async function waitingAt(needs: Needs, caller: Caller, { since, ...place }: Place): Promise<WaitingArtifact | undefined> {
  const [parent] = await needs.metadata.list(under(keys.edges(place.repository, { kind: "manifest", digest: place.digest }), 1));
  if (parent !== undefined) return undefined;
  const artifact = await listedArtifact(needs, caller, place);
  return artifact && { artifact, since, refusedAt: await refusedAt(needs, place) };
}

async function refusedAt({ metadata }: Needs, { repository, digest }: Omit<Place, "since">): Promise<number | undefined> {
  const entry = await metadata.get(keys.refusal(repository, digest));
  if (entry === undefined) return undefined;
  const refusal = refusalRecord.parse(entry.value);
  const found = await findManifest({ metadata }, repository, digest);
  return refusal.generation === found?.record.generation ? refusal.at : undefined;
}

function placeOf({ key: [, , since, repository, digest] }: Entry): Place {
  return { since: Number(since), repository: repositoryNameSchema.parse(repository), digest: digestSchema.parse(digest) };
}

function byAge(one: Entry, other: Entry): number {
  const [a, b] = [placeOf(one), placeOf(other)];
  return a.since - b.since || compareTexts(a.repository, b.repository) || compareTexts(a.digest, b.digest);
}

function cursorOf({ since, repository, digest }: Place): string {
  return `${since}/${repository}@${digest}`;
}

function placeIn(cursor: string): Place {
  const [, since, repository, digest] = /^(\d{1,15})\/([^@]+)@(.+)$/.exec(cursor) ?? [];
  const parsed = digestSchema.safeParse(digest);
  if (repository === undefined || !isRepositoryName(repository) || !parsed.success) {
    throw new RegistryError("INVALID", "cursor must be the `next` of the page before");
  }
  return { since: Number(since), repository, digest: parsed.data };
}
