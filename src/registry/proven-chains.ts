import type { State } from "../lifecycle/state.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { STATEMENT_RANK } from "../oci/referrer.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Expectation } from "../storage/metadata-store.ts";
import { type ManifestRecord, type StatementRecord, statementRecord } from "../storage/records.ts";
import { coversOf } from "./change-state.ts";
import { ClosureWalk, NO_OVERLAY, isRevoked } from "./closure.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { type FoundManifest, findManifest, readerOf, revokedEverywhere, serveManifest } from "./serving.ts";
import { isUnsigned } from "./sign-unsigned.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 256;
/** Links of all chains together: what one answer can hold. */
const MAX_LINKS = 50_000;
/** What readers see of a repository. */
const READER = readerOf(new Set(["pull"] as const));

/** A link with what is listed of it. */
export interface ProvenLink extends StatementRecord {
  readonly sequence: number;
  /** Is its summary among the referrers? That of a revocation which was lifted is not. */
  readonly isSummaryListed: boolean;
}

/** The chain of a manifest, oldest link first. */
export interface ProvenChain {
  readonly artifact: Digest;
  readonly sha512: Digest;
  readonly state: State;
  /** Is there a permanent revocation in it? */
  readonly permanent: boolean;
  readonly links: readonly ProvenLink[];
}

/**
 * The chains that tell about an artifact: its own, those of what it contains down to revoked branches, and those of what its promotion covers;
 * by digest. They are the same for everybody who may see the artifact: of one that readers know only what they may know too. Throws
 * UNAVAILABLE while statements are still to be written or signed, and CONFLICT when there are more links than one answer holds.
 */
export async function chainsOf(
  needs: Needs,
  repository: RepositoryName,
  artifact: Digest,
): Promise<{ readonly chains: readonly ProvenChain[]; readonly expect: readonly Expectation[] }> {
  const members = await membersOf(needs, repository, artifact);
  const chains: ProvenChain[] = [];
  const expect: Expectation[] = [];
  let links = 0;
  for (const { record, version } of members.values()) {
    const chain = await chainOf(needs, repository, record);
    links += chain.links.length;
    if (links > MAX_LINKS) throw new RegistryError("CONFLICT", `a snapshot may tell of at most ${MAX_LINKS} transitions`);
    chains.push(chain);
    expect.push({ key: keys.manifest(repository, record.digest), version });
  }
  return { chains: chains.toSorted((a, b) => (a.artifact < b.artifact ? -1 : 1)), expect };
}

async function membersOf(needs: Needs, repository: RepositoryName, artifact: Digest): Promise<ReadonlyMap<Digest, FoundManifest>> {
  const root = await findManifest(needs, repository, artifact);
  if (root === undefined) throw new RegistryError("NOT_FOUND", "no such artifact, or none that you may see");
  const members = new Map<Digest, FoundManifest>([[artifact, root]]);
  const walk = new ClosureWalk(needs, repository, NO_OVERLAY);
  await walk.follow([artifact], async (record) => record.digest === artifact || !(await isRevoked(needs, record)));
  for (const { record, version } of [...walk.manifests.values(), ...walk.cut]) members.set(record.digest, { record, version });
  for (const digest of await coversOf(needs, repository, artifact)) {
    const found = await findManifest(needs, repository, digest);
    if (found !== undefined) members.set(digest, found);
  }
  const isHidden = async ({ record }: FoundManifest): Promise<boolean> =>
    (await serveManifest(needs, READER, repository, record)).effect === "absent";
  if (await isHidden(root)) return members;
  for (const [digest, member] of members) if (await isHidden(member)) members.delete(digest);
  return members;
}

async function chainOf(needs: Needs, repository: RepositoryName, record: ManifestRecord): Promise<ProvenChain> {
  const { digest: artifact, sha512, state, revocation } = record;
  if (await isRevocationPending(needs, record)) throw notYet("a revocation everywhere is still being written to this repository");
  const links: ProvenLink[] = [];
  for await (const row of rowsOf(needs, [under(keys.statements(repository, artifact), PAGE)])) {
    links.push(await linkOf(needs, repository, record, row));
    if (links.length > MAX_LINKS) break;
  }
  return { artifact, sha512, state, permanent: revocation?.permanent ?? false, links };
}

async function isRevocationPending(needs: Needs, { state, digest }: ManifestRecord): Promise<boolean> {
  return state !== "revoked" && state !== "deleted" && (await revokedEverywhere(needs, digest)) !== undefined;
}

async function linkOf(needs: Needs, repository: RepositoryName, { digest, names }: ManifestRecord, row: Entry): Promise<ProvenLink> {
  const link = statementRecord.parse(row.value);
  if (isUnsigned(link)) throw notYet("statements of an earlier version are still being signed");
  const listing = link.summary && keys.referrer(repository, names[0] ?? digest, STATEMENT_RANK, link.summary.manifest);
  const isSummaryListed = listing !== undefined && (await needs.metadata.get(listing)) !== undefined;
  return { ...link, sequence: Number(row.key[3]), isSummaryListed };
}

/** What is refused until something in the background has been done. */
export function notYet(why: string): RegistryError {
  return new RegistryError("UNAVAILABLE", `${why}: try again in a moment`, { headers: { "Retry-After": "1" } });
}
