import { z } from "zod";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, type Tag, tagSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation, Key, Put } from "../storage/metadata-store.ts";
import { type TagRecord, tagRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { RESERVED_TAG } from "./reserved-tag.ts";
import { findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 1000;

/** Which of the two pointers of a tag name a manifest. */
export interface TagUse {
  readonly tag: Tag;
  readonly pushed: boolean;
  readonly promoted: boolean;
  /** That the tag has not moved since: each move of a pointer away from the manifest puts this row. */
  readonly unmoved: Expectation;
}

const tagUse = z.strictObject({ pushed: z.boolean(), promoted: z.boolean() });

export interface Pointer {
  readonly record: TagRecord;
  readonly version: number;
}

/** The last digest pushed to a tag: what holders of `pull:any` see. */
export async function pushedPointer(needs: Needs, repository: RepositoryName, tag: Tag): Promise<Pointer | undefined> {
  return pointer(needs, keys.tagPushed(repository, tag));
}

/** The last digest promoted for a tag: what readers see. */
export async function promotedPointer(needs: Needs, repository: RepositoryName, tag: Tag): Promise<Pointer | undefined> {
  return pointer(needs, keys.tagPromoted(repository, tag));
}

async function pointer({ metadata }: Needs, key: Key): Promise<Pointer | undefined> {
  const entry = await metadata.get(key);
  return entry && { record: tagRecord.parse(entry.value), version: entry.version };
}

/** All tags of which a pointer names a manifest, by its canonical digest. */
export async function tagsOf({ metadata }: Needs, repository: RepositoryName, manifest: Digest): Promise<readonly TagUse[]> {
  const uses: TagUse[] = [];
  let after: string[] = [];
  for (;;) {
    const page = await metadata.list(under(keys.tagsOf(repository, manifest), PAGE, after));
    for (const { key, value, version } of page) {
      uses.push({ tag: tagSchema.parse(key[3]), ...tagUse.parse(value), unmoved: { key, version } });
    }
    const last = uses.at(-1);
    if (page.length < PAGE || last === undefined) return uses;
    after = [last.tag];
  }
}

/** Rows and expectations that move pointers. */
export interface PointerMove {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  readonly remove: readonly Key[];
}

const POINTER_KEY = { pushed: keys.tagPushed, promoted: keys.tagPromoted } as const;
type Which = keyof typeof POINTER_KEY;

/**
 * Tags of one artifact in a repository, by either pointer. A transition changes the rows of all of them in one commit, so that whoever makes
 * more and more of them could make it impossible. Pushes may fill the first number; roll-backs, which no publisher is to prevent, go on to
 * the second.
 */
const MAX_TAGS: Readonly<Record<Which, number>> = { pushed: 1_000, promoted: 2_000 };

/**
 * Throws DENIED when a manifest would have too many tags with these. It holds when several come at once, since each of them expects the
 * record of the manifest as it was read before this, and puts it (`movePointer`). The tag of a registered name always has its place.
 */
export async function demandRoomForTags(
  { metadata }: Needs,
  { repository, manifest }: { readonly repository: RepositoryName; readonly manifest: Digest },
  which: Which,
  tags: readonly Tag[],
): Promise<void> {
  let added = 0;
  for (const tag of new Set(tags)) {
    if (tag !== RESERVED_TAG && (await metadata.get(keys.tagOf(repository, manifest, tag))) === undefined) added += 1;
  }
  if (added === 0) return;
  const held = added > MAX_TAGS[which] ? [] : await metadata.list(under(keys.tagsOf(repository, manifest), MAX_TAGS[which]));
  if (held.length + added <= MAX_TAGS[which]) return;
  const rule = `an artifact may have at most ${MAX_TAGS[which]} tags in a repository: delete some of its tags first, or push another artifact`;
  throw new RegistryError("DENIED", rule);
}

interface Move {
  readonly repository: RepositoryName;
  readonly tag: Tag;
  readonly which: Which;
  readonly by: string;
  readonly at: number;
}

/** What a pointer is to name. */
export interface Target {
  /** As it was named. */
  readonly digest: Digest;
  readonly canonical: Digest;
  readonly trusted: boolean;
}

/**
 * Points one of a tag's pointers at a digest, or at nothing. A promoted tag is on the readers' list while its target is trusted.
 * The change that takes this has to put the record of the target, so that a transition of the target, which rests on its tags, conflicts.
 */
export async function movePointer(needs: Needs, move: Move, target: Target | undefined): Promise<PointerMove> {
  const { repository, tag, which } = move;
  const key = POINTER_KEY[which](repository, tag);
  const old = await pointer(needs, key);
  const result = { expect: [{ key, version: old?.version ?? ("absent" as const) }], put: [] as Put[], remove: [] as Key[] };
  const left = await manifestAt(needs, repository, old);
  if (left !== undefined && left !== target?.canonical) await use(needs, move, { manifest: left, on: false, result });
  if (target !== undefined) await use(needs, move, { manifest: target.canonical, on: true, result });
  point(key, move, { target, result });
  if (which === "promoted") point(keys.tagListed(repository, tag), move, { target: target?.trusted === true ? target : undefined, result });
  return result;
}

async function manifestAt(needs: Needs, repository: RepositoryName, at: Pointer | undefined): Promise<Digest | undefined> {
  return at && (await findManifest(needs, repository, at.record.digest))?.record.digest;
}

function point(
  key: Key,
  { by, at }: Move,
  { target, result }: { readonly target: Target | undefined; readonly result: { readonly put: Put[]; readonly remove: Key[] } },
): void {
  if (target === undefined) result.remove.push(key);
  else result.put.push({ key, value: { v: 1, digest: target.digest, by, at } satisfies TagRecord });
}

/** Updates the row that says which pointers of a tag name a manifest. */
async function use(
  { metadata }: Needs,
  { repository, tag, which }: Move,
  { manifest, on, result }: { manifest: Digest; on: boolean; result: { expect: Expectation[]; put: Put[]; remove: Key[] } },
): Promise<void> {
  const key = keys.tagOf(repository, manifest, tag);
  const entry = await metadata.get(key);
  const now = { ...(entry === undefined ? { pushed: false, promoted: false } : tagUse.parse(entry.value)), [which]: on };
  result.expect.push({ key, version: entry?.version ?? "absent" });
  if (now.pushed || now.promoted) result.put.push({ key, value: now });
  else result.remove.push(key);
}
