import { type Digest, digestSchema } from "../oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { identitiesOf, parseDecision, signerRows, signersIn } from "../registry/decision-rows.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import type { Services } from "../registry/ports.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key, Put } from "../storage/metadata-store.ts";
import { type DecisionIndexRecord, decisionIndexRecord } from "../storage/policy-records.ts";

type Needs = Pick<Services, "metadata">;

const KEY = keys.job("index-decisions");
/** Decisions of one look-up, and of one change. */
const PAGE = 256;
const DONE: DecisionIndexRecord = { v: 1, status: "done", after: null };

/**
 * Writes down whose evidence the decisions of earlier versions took, once in the life of a store: later ones come with these rows. It can end
 * anywhere and goes on where it was. False when a signal ended it.
 */
export async function indexDecisions({ metadata }: Needs, signal?: AbortSignal): Promise<boolean> {
  const entry = await metadata.get(KEY);
  const before = entry && decisionIndexRecord.parse(entry.value);
  if (before?.status === "done") return true;
  const page = new Page(metadata);
  for await (const { key, value } of rowsOf({ metadata }, [under(keys.allDecisions(), PAGE, before?.after ?? [])])) {
    if (signal?.aborted === true) return false;
    const [repository, artifact] = placeOf(key);
    await page.add(key, signerRows(repository, artifact, signersIn(parseDecision(value)).flatMap(identitiesOf)));
  }
  await page.write(DONE);
  return true;
}

function placeOf(key: Key): readonly [RepositoryName, Digest] {
  return [repositoryNameSchema.parse(key[1]), digestSchema.parse(key[2])];
}

/** Rows that are written together with how far this has come. */
class Page {
  readonly #metadata: Needs["metadata"];
  #rows: Put[] = [];
  #decisions = 0;

  constructor(metadata: Needs["metadata"]) {
    this.#metadata = metadata;
  }

  async add(key: Key, rows: readonly Put[]): Promise<void> {
    this.#rows.push(...rows);
    this.#decisions += 1;
    if (this.#decisions % PAGE === 0)
      await this.write({ v: 1, status: "under-way", after: [String(key[1]), String(key[2]), String(key[3])] });
  }

  async write(progress: DecisionIndexRecord): Promise<void> {
    const put = [...this.#rows, { key: KEY, value: progress }];
    this.#rows = [];
    await this.#metadata.commit({ expect: [], put, remove: [], audit: [] });
  }
}
