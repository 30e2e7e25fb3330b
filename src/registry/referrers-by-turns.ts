import { type Digest, digestSchema } from "../oci/digest.ts";
import { STATEMENT_RANK } from "../oci/referrer.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { LAST, keys, under } from "../storage/keys.ts";
import { isIndexed } from "./index-once.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** Where the job tells that all referrers are indexed by who attached them. */
export const REFERRER_INDEX = keys.job("index-referrers");

/** People who get a turn, and rows of one of them that are read at once, at most. */
const MAX_PEOPLE = 256;
const MAX_PAGE = 512;
const LEAST_PAGE = 16;
/** Referrers of earlier versions that are looked at while they are not indexed. */
const MAX_UNINDEXED = 5_000;
/** `referrerRank` of what is no evidence. */
const NO_EVIDENCE_RANK = 9;

export interface ReferrersWanted {
  readonly repository: RepositoryName;
  /** The names of one subject. */
  readonly subjects: readonly Digest[];
  /** Only what has the form of evidence. */
  readonly isEvidence: boolean;
  /** So many are wanted at first: no more rows of a person are read for the first of them. */
  readonly most?: number;
}

/** The referrers of a subject one by one, and how many there are besides. */
export interface Turns {
  next(): Promise<Digest | undefined>;
  /** So many did not get their turn yet: at least, but that one is counted of each person of whom nothing was read yet, evidence or not. */
  readonly left: number;
}

/**
 * The referrers of a subject but for the registry's statements, by turns between the people who attached them (RULES 7): each one's
 * evidence first, and of it the oldest. However much one person attaches, it delays nobody else's by more than one turn.
 */
export async function referrersByTurns(needs: Needs, wanted: ReferrersWanted): Promise<Turns> {
  const people = await peopleOf(needs, wanted);
  const page = Math.max(LEAST_PAGE, Math.floor(MAX_PAGE / Math.max(1, people.length)));
  const first = Math.min(wanted.most ?? page, page);
  const queues: Queue[] = people.map((person) => new IndexedQueue(needs, wanted, person, { first, page }));
  return new TurnTaking([...queues, ...(await unindexed(needs, wanted))]);
}

interface Person {
  readonly subject: Digest;
  readonly person: string;
}

async function peopleOf({ metadata }: Needs, { repository, subjects }: ReferrersWanted): Promise<readonly Person[]> {
  const people: Person[] = [];
  for (const subject of subjects) {
    let after: readonly string[] = [];
    while (people.length < MAX_PEOPLE) {
      const [row] = await metadata.list(under(keys.referrersBy(repository, subject), 1, after));
      if (row === undefined) break;
      const person = String(row.key[3]);
      people.push({ subject, person });
      after = [person, LAST];
    }
  }
  return people;
}

interface Queue {
  next(): Promise<Digest | undefined>;
  readonly left: number;
}

/** Rows that are read at once: for the first, and for those behind it. */
interface Pages {
  readonly first: number;
  readonly page: number;
}

/** What one person attached. */
class IndexedQueue implements Queue {
  readonly #needs: Needs;
  readonly #prefix: ReturnType<typeof keys.referrersBy>;
  readonly #isEvidence: boolean;
  readonly #pages: Pages;
  #read: Digest[] = [];
  /** The end of the last key; undefined when there are no more. */
  #after: readonly (string | number)[] | undefined = [];

  constructor(needs: Needs, { repository, isEvidence }: ReferrersWanted, { subject, person }: Person, pages: Pages) {
    this.#needs = needs;
    this.#prefix = keys.referrersBy(repository, subject, person);
    this.#isEvidence = isEvidence;
    this.#pages = pages;
  }

  get left(): number {
    // Whether the first page has any that is meant is not known before it was read; to leave it out could lose it silently.
    return this.#read.length + Number(this.#after !== undefined);
  }

  async next(): Promise<Digest | undefined> {
    if (this.#read.length === 0 && this.#after !== undefined) await this.#readPage(this.#after);
    return this.#read.shift();
  }

  async #readPage(after: readonly (string | number)[]): Promise<void> {
    const most = after.length === 0 ? this.#pages.first : this.#pages.page;
    const rows = await this.#needs.metadata.list(under(this.#prefix, most + 1, after));
    const meant = this.#isEvidence ? rows.filter(({ key }) => Number(key[4]) < NO_EVIDENCE_RANK) : rows;
    const page = meant.slice(0, most);
    this.#read = page.map(({ key }) => digestSchema.parse(key[6]));
    this.#after = page.length < meant.length ? page.at(-1)?.key.slice(this.#prefix.length) : undefined;
  }
}

class TurnTaking implements Turns {
  readonly #queues: Queue[];

  constructor(queues: readonly Queue[]) {
    this.#queues = [...queues];
  }

  get left(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.left, 0);
  }

  async next(): Promise<Digest | undefined> {
    for (;;) {
      const queue = this.#queues.shift();
      if (queue === undefined) return undefined;
      const digest = await queue.next();
      if (digest === undefined) continue;
      this.#queues.push(queue);
      return digest;
    }
  }
}

/** Those that earlier versions took in, in the order of their list, until a job has indexed them. */
async function unindexed({ metadata }: Needs, { repository, subjects, isEvidence }: ReferrersWanted): Promise<readonly Queue[]> {
  if (await isIndexed({ metadata }, REFERRER_INDEX)) return [];
  const found: Digest[] = [];
  for (const subject of subjects) {
    for (const { key } of await metadata.list(under(keys.referrers(repository, subject), MAX_UNINDEXED))) {
      const rank = Number(key[3]);
      if (rank !== STATEMENT_RANK && !(isEvidence && rank >= NO_EVIDENCE_RANK)) found.push(digestSchema.parse(key[4]));
    }
  }
  return [{ next: () => Promise.resolve(found.shift()), left: 0 }];
}
