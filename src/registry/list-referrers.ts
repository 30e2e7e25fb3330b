import type { Reader } from "../lifecycle/serving.ts";
import { type Digest, digestSchema, isDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import type { Page } from "../oci/page.ts";
import type { ReferrerDescriptor } from "../oci/referrer.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Key } from "../storage/metadata-store.ts";
import { referrerRecord } from "../storage/records.ts";
import { withoutEmptyFamilies } from "./empty-families.ts";
import { MAX_BATCH, merge, rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest, readerFor, serveManifest, serveNamed } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** The most rows that one page looks at: junk that a filter or the gate leaves out makes a page short, not slow. */
const MAX_SCANNED = 20_000;
/** What stands around the entries of a page. */
const FRAME_BYTES = 128;

/** Whose referrers, which of them, and from where on. */
export interface ReferrersQuery {
  readonly repository: RepositoryName;
  readonly subject: Digest;
  readonly artifactType: string | undefined;
  readonly page: Page;
}

/** A page of referrers, evidence first; as JSON it has at most the bytes of a manifest. */
export interface ReferrerPage {
  readonly referrers: readonly ReferrerDescriptor[];
  /** The value of `last` that gives the next page; undefined on the last one. */
  readonly next: string | undefined;
}

/**
 * The referrers of a subject that the caller sees (distribution-spec §Listing Referrers). What is unknown or hidden has none, in the same
 * words: clients take a 404 for a registry without this list. Of a revoked subject only the registry's own statements are shown
 * (RULES 14).
 */
export async function listReferrers(needs: Needs, { principal }: Caller, query: ReferrersQuery): Promise<ReferrerPage> {
  const { repository, artifactType, page } = query;
  const after = page.last === undefined ? undefined : parseCursor(page.last);
  const reader = readerFor(principal, repository);
  const collected = new ReferrerCollector(page.n);
  let [looked, served] = [0, needs];
  for await (const row of await referrersOf(needs, reader, { ...query, after })) {
    if (looked % MAX_BATCH === 0) served = { metadata: withoutEmptyFamilies(needs.metadata, repository) };
    looked += 1;
    const { descriptor } = referrerRecord.parse(row.value);
    const wanted = artifactType === undefined || descriptor.artifactType === artifactType;
    const shown = wanted && (await isServed(served, reader, repository, row));
    if (!collected.take(row, shown ? descriptor : undefined)) break;
  }
  return collected.page();
}

/**
 * The rows to choose from, in order: those that readers see, or all. Readers see nothing of a subject that is absent to them; holders of
 * `pull:any` see referrers that came before their subject.
 */
async function referrersOf(
  needs: Needs,
  reader: Reader,
  { repository, subject, page, after }: ReferrersQuery & { readonly after: Place | undefined },
): Promise<AsyncGenerator<Entry, void, undefined>> {
  const found = await findManifest(needs, repository, subject);
  const { effect } = await serveManifest(needs, reader, repository, found?.record);
  if (effect === "absent" && !reader.pullAny) return rowsOf(needs, []);
  const rowsUnder = (name: Digest): AsyncGenerator<Entry, void, undefined> => {
    const family = reader.pullAny ? keys.referrers(repository, name) : keys.referrersServed(repository, name);
    const range = under(family, page.n + 1, after === undefined ? [] : [after.rank, after.manifest]);
    return rowsOf(needs, [effect === "denied" ? { ...range, end: [...family, STATEMENTS + 1] } : range]);
  };
  // A referrer is listed under the name by which it names its subject.
  return found === undefined ? rowsUnder(subject) : merge(rowsUnder(found.record.digest), rowsUnder(found.record.sha512), byPlace);
}

async function isServed(needs: Needs, reader: Reader, repository: RepositoryName, row: Entry): Promise<boolean> {
  return (await serveNamed(needs, reader, repository, digestSchema.parse(row.key[4]))).effect === "allow";
}

interface Place {
  readonly rank: number;
  readonly manifest: Digest;
}

/** The rank of the registry's own statements. */
const STATEMENTS = 0;

function placeOf(key: Key): Place {
  return { rank: Number(key[3]), manifest: digestSchema.parse(key[4]) };
}

function byPlace(a: Entry, b: Entry): number {
  const [one, other] = [placeOf(a.key), placeOf(b.key)];
  if (one.rank !== other.rank) return one.rank - other.rank;
  return one.manifest < other.manifest ? -1 : Number(one.manifest > other.manifest);
}

function cursorOf(key: Key): string {
  const { rank, manifest } = placeOf(key);
  return `${rank}.${manifest}`;
}

function parseCursor(last: string): Place {
  const [, rank, manifest] = /^(\d)\.(.*)$/.exec(last) ?? [];
  if (rank === undefined || manifest === undefined || !isDigest(manifest)) {
    throw new RegistryError("PAGE_INVALID", "last must be that of a Link header of this list");
  }
  return { rank: Number(rank), manifest };
}

/** Gathers entries until the page is full. */
class ReferrerCollector {
  readonly #n: number;
  readonly #referrers: ReferrerDescriptor[] = [];
  #bytes = FRAME_BYTES;
  #scanned = 0;
  #last: Key | undefined;
  #next: string | undefined;

  constructor(n: number) {
    this.#n = n;
  }

  /** Takes the next row, shown or left out. False when the page is full and the row belongs to the next one, or enough was looked at. */
  take(row: Entry, shown: ReferrerDescriptor | undefined): boolean {
    if (shown !== undefined && !this.#add(shown)) {
      this.#next = this.#last && cursorOf(this.#last);
      return false;
    }
    if (shown !== undefined) this.#last = row.key;
    this.#scanned += 1;
    if (this.#scanned < MAX_SCANNED) return true;
    this.#next = cursorOf(row.key);
    return false;
  }

  #add(descriptor: ReferrerDescriptor): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(descriptor)) + 1;
    const fits = this.#bytes + bytes <= MAX_MANIFEST_BYTES || this.#referrers.length === 0;
    if (!fits || this.#referrers.length === this.#n) return false;
    this.#bytes += bytes;
    this.#referrers.push(descriptor);
    return true;
  }

  page(): ReferrerPage {
    return { referrers: this.#referrers, next: this.#next };
  }
}
