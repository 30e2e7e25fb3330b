import { type ChainHead, type SnapshotFacts, type ToldOfRegistry, headsOf, snapshotPayload } from "../lifecycle/snapshot.ts";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import { type SnapshotRecord, snapshotRecord } from "../storage/records.ts";
import { authorityRevocations } from "./authority-revocations.ts";
import { decideAndCommit } from "./commit.ts";
import type { FoundArtifact } from "./find-artifact.ts";
import type { Services } from "./ports.ts";
import { type ProvenChain, chainsOf, notYet } from "./proven-chains.ts";
import { lastRegistryStatement } from "./registry-statements.ts";
import { isToBeFollowed } from "./reliant-artifacts.ts";
import { activeKey, noSigningKey, statementSigner } from "./sign.ts";

type Needs = Pick<Services, "metadata" | "signing" | "log" | "clock" | "settings">;

const SECOND = 1000;
/** A snapshot is handed out again for this part of its life at most, so that whoever gets it can rely on it for a while. */
const SHARE_OF_LIFE = 0.5;

/** How far the chains of an artifact and of what belongs to it go, signed. Times are epoch milliseconds. */
export interface Snapshot {
  readonly repository: RepositoryName;
  readonly artifact: Digest;
  readonly takenAt: number;
  readonly expiresAt: number;
  /** A Sigstore bundle in JSON. */
  readonly bundle: string;
  /** By digest. */
  readonly chains: readonly ProvenChain[];
}

/**
 * Signs where the chains of an artifact end, those of its children and of what its promotion covers; or gives the snapshot that was signed
 * before, while it is true, and not older than `maxAge` milliseconds where that is given. A signature is new each time, so that this is what
 * makes two exports of one state the same.
 */
export async function takeSnapshot(
  services: Needs,
  { repository, record: { digest } }: Pick<FoundArtifact, "repository" | "record">,
  maxAge: number = Infinity,
): Promise<Snapshot> {
  return decideAndCommit(services, async () => {
    const told = await toldOfRegistry(services, repository, digest);
    const { chains, expect } = await chainsOf(services, repository, digest);
    const row = keys.snapshot(repository, digest);
    const entry = await services.metadata.get(row);
    const facts = await factsOf(services, { repository, chains, artifact: digest, told: told.told });
    const known = entry && snapshotRecord.parse(entry.value);
    const answer = (record: SnapshotRecord): Snapshot => ({ repository, artifact: digest, chains, ...timesOf(record) });
    const age = Math.min(maxAge, services.settings.snapshotLifetime * SHARE_OF_LIFE);
    if (known?.heads === saidBy(facts) && facts.takenAt - known.takenAt <= age) return { result: answer(known) };
    const signer = await statementSigner(services);
    const bundle = new TextDecoder().decode(await signer.bundle(snapshotPayload(facts)));
    const record: SnapshotRecord = { v: 1, heads: saidBy(facts), takenAt: facts.takenAt, expiresAt: facts.expiresAt, bundle };
    const put: Put = { key: row, value: record };
    const unchanged = { key: row, version: entry?.version ?? "absent" } as const;
    return {
      change: { expect: [...expect, ...told.expect, signer.unchanged, unchanged], put: [put], remove: [], audit: [] },
      result: answer(record),
    };
  });
}

async function factsOf(
  services: Needs,
  { repository, chains, artifact, told }: Pick<Snapshot, "repository" | "chains" | "artifact"> & Pick<SnapshotFacts, "told">,
): Promise<SnapshotFacts> {
  const active = await activeKey(services);
  const root = chains.find((chain) => chain.artifact === artifact);
  if (active === undefined || root === undefined) throw noSigningKey();
  const takenAt = Math.floor(services.clock() / SECOND) * SECOND;
  return {
    registry: services.settings.publicUrl,
    repository,
    subject: { sha256: artifact, sha512: root.sha512 },
    key: { sequence: active.sequence, statement: active.record.statement },
    heads: chains.map(headOf),
    told,
    takenAt,
    expiresAt: takenAt + services.settings.snapshotLifetime,
  };
}

/** What the registry states of itself. Throws UNAVAILABLE while it is not yet known what a revoked authority means for the artifact. */
async function toldOfRegistry(
  services: Needs,
  repository: RepositoryName,
  artifact: Digest,
): Promise<{ readonly told: ToldOfRegistry; readonly expect: readonly Expectation[] }> {
  const { last, expect } = await lastRegistryStatement(services);
  const revocations = await authorityRevocations(services);
  if (await isToBeFollowed(services, { repository, artifact, revocations }))
    throw notYet("what rested on a revoked publisher is still being looked at");
  const told = {
    last: last === undefined ? null : { sequence: last.sequence, statement: last.statement },
    revokedAuthorities: revocations.map(({ statement }) => statement),
  };
  return { told, expect: [expect] };
}

function headOf({ artifact, state, permanent, links }: ProvenChain): ChainHead {
  const last = links.at(-1);
  if (last === undefined) throw new Error("an artifact without a chain");
  const summaries = links.flatMap(({ sequence, summary }) => (summary === undefined ? [] : [{ sequence, bundle: summary.bundle }]));
  return { artifact, state, sequence: last.sequence, statement: last.digest, permanent, summaries };
}

function saidBy(facts: SnapshotFacts): Digest {
  return digestOf(canonicalJson({ registry: facts.registry, ...headsOf(facts) }));
}

function timesOf({ takenAt, expiresAt, bundle }: SnapshotRecord): Pick<Snapshot, "takenAt" | "expiresAt" | "bundle"> {
  return { takenAt, expiresAt, bundle };
}
