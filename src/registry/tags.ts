import { z } from "zod";
import type { Digest } from "../oci/digest.ts";
import { type RepositoryName, type Tag, tagSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation, Key, Put } from "../storage/metadata-store.ts";
import { type TagRecord, tagRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
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
