import { mayResolvePushedTags, rightsOn } from "../identity/authorize.ts";
import type { Rights } from "../identity/permission.ts";
import type { Principal } from "../identity/principal.ts";
import type { Reader, Serving } from "../lifecycle/serving.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Page } from "../oci/page.ts";
import { type RepositoryName, type Tag, tagSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { KeyRange } from "../storage/metadata-store.ts";
import { tagRecord } from "../storage/records.ts";
import { withoutEmptyFamilies } from "./empty-families.ts";
import { batchesOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { readerFor, serveNamed } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** The most rows that one page looks at: where very many tags in a row are hidden, a page may be short, and the next one goes on. */
const MAX_SCANNED = 20_000;

/** A page of tags in ASCII order. */
export interface TagPage {
  readonly tags: readonly Tag[];
  /** The value of `last` that gives the next page; undefined on the last one. */
  readonly next: Tag | undefined;
}

/**
 * The tags of a repository that the caller sees (distribution-spec §Listing Tags): those that were pushed, or for readers those that
 * were promoted (DESIGN §1). Each is asked of `serve`; a hidden one leaves no gap. Throws NAME_UNKNOWN where the caller sees nothing.
 */
export async function listTags(needs: Needs, { principal }: Caller, repository: RepositoryName, page: Page): Promise<TagPage> {
  const { n } = page;
  const rights = rightsOn(principal, repository);
  if (!(await isKnown(needs, rights, repository))) throw new RegistryError("NAME_UNKNOWN");
  if (n === 0) return { tags: [], next: undefined };
  const reader = readerFor(principal, repository);
  const tags: Tag[] = [];
  let scanned = 0;
  for await (const batch of batchesOf(needs, [rangeOf(principal, repository, page)])) {
    const effectOf = effects({ metadata: withoutEmptyFamilies(needs.metadata, repository) }, reader, repository);
    for (const { key, value } of batch) {
      const tag = tagSchema.parse(key[2]);
      const shown = (await effectOf(tagRecord.parse(value).digest)) === "allow";
      // One more that could be shown: the page before it is full, and not the last.
      if (shown && tags.length === n) return { tags, next: tags.at(-1) };
      if (shown) tags.push(tag);
      scanned += 1;
      if (scanned === MAX_SCANNED) return { tags, next: tag };
    }
  }
  return { tags, next: undefined };
}

/** The tags to choose from: one more than a page has, to tell whether it is the last. */
function rangeOf(principal: Principal, repository: RepositoryName, { n, last }: Page): KeyRange {
  const family = mayResolvePushedTags(principal, repository) ? keys.tagsPushed(repository) : keys.tagsListed(repository);
  return under(family, n + 1, last === undefined ? [] : [last]);
}

/** Is there anything in the repository that the caller may see? */
async function isKnown({ metadata }: Needs, rights: Rights, repository: RepositoryName): Promise<boolean> {
  const row = await metadata.get(rights.has("pull:any") ? keys.repository(repository) : keys.trustedRepository(repository));
  return row !== undefined && (rights.has("pull") || rights.has("pull:any"));
}

/** Asks `serve` once a digest: many tags may point to one, and none for longer than a batch. */
function effects(needs: Needs, reader: Reader, repository: RepositoryName): (digest: Digest) => Promise<Serving["effect"]> {
  const known = new Map<Digest, Serving["effect"]>();
  return async (digest) => {
    const before = known.get(digest);
    if (before !== undefined) return before;
    const { effect } = await serveNamed(needs, reader, repository, digest);
    known.set(digest, effect);
    return effect;
  };
}
