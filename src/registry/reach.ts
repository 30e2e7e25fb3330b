import { STATEMENT_CONFIG_DIGEST } from "../lifecycle/statement.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { referrerDescriptor, referrerRank } from "../oci/referrer.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Key, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, type RootReachRecord, rootReachRecord, statementRecord } from "../storage/records.ts";
import { type Closure, ClosureWalk, type Overlay, isRevoked } from "./closure.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 1000;

/** A root as the change under way will leave it. */
export interface Root {
  readonly record: ManifestRecord;
  /** What its promotion covers, by canonical digest. */
  readonly covers: readonly Digest[];
  /** Blobs and manifests of statements that this change writes. */
  readonly newStatements: readonly Digest[];
}

/** The rows that a transition changes, and the manifests whose folder in `trusted/` follows. */
export interface ReachChange {
  readonly put: Put[];
  readonly remove: Key[];
  readonly manifests: Set<Digest>;
}

/**
 * The rows of one root after a change (RULES 3 and 5): what it reaches and covers is `reach` while it is trusted, except below a revoked
 * manifest; what a once-trusted, now revoked root or branch reached is `denied`; statements about any of it stay `reach`.
 */
export async function changeReach(needs: Needs, repository: RepositoryName, root: Root, overlay: Overlay): Promise<ReachChange> {
  const { rows: wanted, served } = await wantedRows(needs, repository, root, overlay);
  const change: ReachChange = { put: served, remove: [], manifests: new Set() };
  const rootDigest = root.record.digest;
  for await (const { digest, row } of currentRows(needs, repository, rootDigest)) {
    const want = wanted.get(digest);
    if (want !== undefined && isSameRow(want, row)) {
      wanted.delete(digest);
      continue;
    }
    if (row.manifest) change.manifests.add(digest);
    if (want?.denied !== row.denied) change.remove.push(rowKey(repository, { digest, root: rootDigest, denied: row.denied }));
    if (want === undefined) change.remove.push(keys.rootReach(repository, rootDigest, digest));
  }
  for (const [digest, row] of wanted) {
    if (row.manifest) change.manifests.add(digest);
    const { v, via, statement, denied } = row;
    change.put.push({ key: keys.rootReach(repository, rootDigest, digest), value: row });
    change.put.push({ key: rowKey(repository, { digest, root: rootDigest, denied }), value: { v, via, statement } });
  }
  return change;
}

/** Takes away every row of a root that is being deleted. */
export async function removeReach(needs: Needs, repository: RepositoryName, root: Digest): Promise<ReachChange> {
  const change: ReachChange = { put: [], remove: [], manifests: new Set() };
  for await (const { digest, row } of currentRows(needs, repository, root)) {
    if (row.manifest) change.manifests.add(digest);
    change.remove.push(keys.rootReach(repository, root, digest), rowKey(repository, { digest, root, denied: row.denied }));
  }
  return change;
}

function rowKey(repository: RepositoryName, { digest, root, denied }: { digest: Digest; root: Digest; denied: boolean }): Key {
  return denied ? keys.denied(repository, digest, root) : keys.reach(repository, digest, root);
}

/** The roots, trusted or once trusted, that reach a manifest; itself among them when it is one. */
export async function rootsOf(needs: Needs, repository: RepositoryName, manifest: Digest): Promise<ReadonlySet<Digest>> {
  const roots = new Set<Digest>();
  for (const family of [keys.reaches(repository, manifest), keys.denials(repository, manifest)]) {
    for await (const { key } of allRows(needs, family)) roots.add(digestSchema.parse(key[3]));
  }
  return roots;
}

const TAKE_ALL = async (): Promise<boolean> => true;

interface Wanted {
  readonly rows: Map<Digest, RootReachRecord>;
  /** `referrer-served` rows of what readers see now. */
  readonly served: Put[];
}

async function wantedRows(needs: Needs, repository: RepositoryName, root: Root, overlay: Overlay): Promise<Wanted> {
  const enter = async (record: ManifestRecord): Promise<boolean> => overlay.lifted.has(record.digest) || !(await isRevoked(needs, record));
  const trusted = root.record.state === "trusted";
  const starts = [root.record.digest, ...root.covers];
  const live = await new ClosureWalk(needs, repository, overlay).follow(trusted ? starts : [], enter);
  const cut = trusted ? live.cut.map(({ record }) => record.digest) : starts;
  const dead = await new ClosureWalk(needs, repository, overlay).follow(cut, TAKE_ALL);
  const rows = new Map<Digest, RootReachRecord>();
  addRows(rows, dead, { root: root.record.digest, denied: true });
  addRows(rows, live, { root: root.record.digest, denied: false });
  for (const manifest of new Set([...dead.manifests.keys(), ...live.manifests.keys()])) {
    for (const digest of await statementsOf(needs, repository, manifest)) rows.set(digest, STATEMENT_ROW);
  }
  for (const digest of root.newStatements) rows.set(digest, STATEMENT_ROW);
  return { rows, served: servedReferrers(repository, live) };
}

const STATEMENT_ROW: RootReachRecord = { v: 1, via: [], statement: true, denied: false, manifest: false };

function addRows(rows: Map<Digest, RootReachRecord>, closure: Closure, { root, denied }: { root: Digest; denied: boolean }): void {
  const between = (via: readonly Digest[]): Digest[] => via.filter((digest) => digest !== root);
  for (const [digest, { via }] of closure.manifests) {
    rows.set(digest, { v: 1, via: between(via), statement: false, denied, manifest: true });
  }
  for (const [digest, { via }] of closure.blobs) rows.set(digest, { v: 1, via: between(via), statement: false, denied, manifest: false });
}

/** Referrers among what is served now become visible to readers. */
function servedReferrers(repository: RepositoryName, closure: Closure): Put[] {
  const put: Put[] = [];
  for (const { record, manifest } of closure.manifests.values()) {
    if (record.subject === null) continue;
    const descriptor = referrerDescriptor(manifest, record.names[0] ?? record.digest, record.size);
    const key = keys.referrerServed(repository, record.subject, referrerRank(manifest, record.statement), record.digest);
    put.push({ key, value: { v: 1, descriptor } });
  }
  return put;
}

/** Manifest and payload of every statement of a chain that is written as a manifest. */
async function statementsOf(needs: Needs, repository: RepositoryName, manifest: Digest): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  for await (const { value } of allRows(needs, keys.statements(repository, manifest))) {
    const statement = statementRecord.parse(value);
    if (statement.manifest !== null) digests.push(statement.manifest, statement.digest, STATEMENT_CONFIG_DIGEST);
  }
  return digests;
}

async function* currentRows(
  needs: Needs,
  repository: RepositoryName,
  root: Digest,
): AsyncGenerator<{ digest: Digest; row: RootReachRecord }> {
  for await (const { key, value } of allRows(needs, keys.rootReaches(repository, root))) {
    yield { digest: digestSchema.parse(key[3]), row: rootReachRecord.parse(value) };
  }
}

async function* allRows({ metadata }: Needs, prefix: Key): AsyncGenerator<Entry> {
  let after: readonly (string | number)[] = [];
  for (;;) {
    const page = await metadata.list(under(prefix, PAGE, after));
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.key.slice(prefix.length);
  }
}

function isSameRow(a: RootReachRecord, b: RootReachRecord): boolean {
  return a.denied === b.denied && a.statement === b.statement && a.via.length === b.via.length && a.via.every((at, i) => at === b.via[i]);
}
