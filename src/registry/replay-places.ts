import { setImmediate } from "node:timers/promises";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { compareTexts } from "../oci/text-order.ts";
import { matchesRepository } from "../policy/document.ts";
import { literalPrefix } from "../trust/glob.ts";
import { LAST, keys, under } from "../storage/keys.ts";
import type { Entry, KeyRange } from "../storage/metadata-store.ts";
import { merge, rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** What a replay looks at: what is trusted, and what a promotion could make so. */
const STATES = ["trusted", "acquired", "quarantined"] as const;
const BATCH = 100;

/** How far a walk is: at an artifact, or through a repository where the digest is null. */
export interface ReplayPlace {
  readonly repository: RepositoryName;
  readonly digest: Digest | null;
}

/** Which repositories are walked through: those that match one of the first patterns, and one of the second. */
export interface ReplayScope {
  readonly patterns: readonly string[];
  readonly within: readonly string[];
}

/**
 * The artifacts of the repositories that a policy decides about, in order, from after a place on; after those of each repository, and in
 * the place of one that is left out, how far it is. No row of an artifact elsewhere is read.
 */
export async function* replayPlaces(
  needs: Needs,
  scope: ReplayScope,
  after: ReplayPlace | undefined,
): AsyncGenerator<ReplayPlace, void, undefined> {
  for await (const { key } of rowsOf(needs, repositoryRanges(scope, after))) {
    const repository = repositoryNameSchema.parse(key[1]);
    if (isIn(scope, repository)) yield* artifactsOf(needs, repository, after?.repository === repository ? after.digest : null);
    yield { repository, digest: null };
    await setImmediate();
  }
}

function isIn({ patterns, within }: ReplayScope, repository: RepositoryName): boolean {
  return matchesRepository(patterns, repository) && matchesRepository(within, repository);
}

async function* artifactsOf(needs: Needs, repository: RepositoryName, after: Digest | null): AsyncGenerator<ReplayPlace, void, undefined> {
  const sequences = STATES.map((state) =>
    rowsOf(needs, [under(keys.artifactsIn(state, repository), BATCH, after === null ? [] : [after])]),
  );
  const rows = sequences.reduce((one, other) => merge(one, other, byDigest), rowsOf(needs, []));
  for await (const { key } of rows) yield { repository, digest: digestSchema.parse(key.at(-1)) };
}

function byDigest(one: Entry, other: Entry): number {
  return compareTexts(String(one.key.at(-1)), String(other.key.at(-1)));
}

/** The ranges that hold every repository of a scope: those below what its patterns begin with, none within another. */
export function repositoryRanges({ patterns, within }: ReplayScope, after: ReplayPlace | undefined): readonly KeyRange[] {
  const prefixes = patterns.flatMap((pattern) => within.flatMap((other) => commonPrefix(literalPrefix(pattern), literalPrefix(other))));
  const [family] = keys.repositories();
  return outermost(prefixes)
    .map((prefix) => ({ from: prefix, to: `${prefix}${LAST}` }))
    .filter(({ to }) => after === undefined || to > startAfter(after))
    .map(({ from, to }) => {
      const start = after === undefined || from > startAfter(after) ? from : startAfter(after);
      return { start: [family, start], end: [family, to], limit: BATCH };
    });
}

/** The longer of two prefixes of one text; nothing where no text has both. */
function commonPrefix(one: string, other: string): readonly string[] {
  if (one.startsWith(other)) return [one];
  return other.startsWith(one) ? [other] : [];
}

function outermost(prefixes: readonly string[]): readonly string[] {
  const distinct = [...new Set(prefixes)].toSorted();
  return distinct.filter((prefix) => !distinct.some((other) => other !== prefix && prefix.startsWith(other)));
}

/** The least name of a repository that is not done. */
function startAfter({ repository, digest }: ReplayPlace): string {
  return digest === null ? `${repository}\0` : repository;
}
