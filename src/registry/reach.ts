import { type Digest, digestSchema } from "../oci/digest.ts";
import { referrerDescriptor, referrerRank } from "../oci/referrer.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { CONTENT_KINDS, type Content, keys, under } from "../storage/keys.ts";
import type { Key, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, type RootReachRecord, contentKindSchema, rootReachRecord, statementRecord } from "../storage/records.ts";
import { approvalContents } from "./approvals.ts";
import { type Closure, ClosureWalk, type Overlay, isRevoked } from "./closure.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { isPart, isReached } from "./reach-rows.ts";
import { presentIn } from "./rows-present.ts";
import { statementContents } from "./statements.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 256;

/** A root as the change under way will leave it. */
export interface Root {
  readonly record: ManifestRecord;
  /** What its promotion covers, by canonical digest. */
  readonly covers: readonly Digest[];
  /** Of the statements that this change writes. */
  readonly newStatements: readonly Content[];
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
  const at = { repository, root: root.record.digest };
  for await (const { content, row } of currentRows(needs, at)) {
    const want = wanted.get(content);
    if (want !== undefined && isSameRow(want, row)) {
      wanted.delete(content);
      continue;
    }
    if (hasFolder(content, row)) change.manifests.add(content.digest);
    if (want?.denied !== row.denied) change.remove.push(rowKey(at, content, row));
    if (want === undefined) change.remove.push(keys.rootReach(repository, at.root, content));
  }
  for (const { content, row } of wanted) {
    if (hasFolder(content, row)) change.manifests.add(content.digest);
    change.put.push(...putsOf(at, content, row));
  }
  return change;
}

/** Takes away every row of a root that is being deleted. */
export async function removeReach(needs: Needs, repository: RepositoryName, root: Digest): Promise<ReachChange> {
  const change: ReachChange = { put: [], remove: [], manifests: new Set() };
  const at = { repository, root };
  for await (const { content, row } of currentRows(needs, at)) {
    if (hasFolder(content, row)) change.manifests.add(content.digest);
    change.remove.push(keys.rootReach(repository, root, content), rowKey(at, content, row));
  }
  return change;
}

/** Shows new statements about a part of a root to whom the root is or was shown. */
export function addStatements(repository: RepositoryName, root: Digest, contents: readonly Content[]): ReachChange {
  const put = contents.flatMap((content) => putsOf({ repository, root }, content, STATEMENT_ROW));
  return { put, remove: [], manifests: new Set() };
}

interface RootAt {
  readonly repository: RepositoryName;
  readonly root: Digest;
}

function rowKey({ repository, root }: RootAt, content: Content, { denied }: RootReachRecord): Key {
  return denied ? keys.denied(repository, content, root) : keys.reach(repository, content, root);
}

function putsOf(at: RootAt, content: Content, row: RootReachRecord): readonly Put[] {
  const { denied: _denied, ...shown } = row;
  return [
    { key: keys.rootReach(at.repository, at.root, content), value: row },
    { key: rowKey(at, content, row), value: shown },
  ];
}

function hasFolder({ kind }: Content, row: RootReachRecord): boolean {
  return kind === "manifest" && isPart(row);
}

/** Is there a trusted root, other than the manifest itself, that reaches or covers it now? */
export async function isServedByAnother({ metadata }: Needs, repository: RepositoryName, manifest: Digest): Promise<boolean> {
  const rows = await metadata.list(under(keys.reaches(repository, { kind: "manifest", digest: manifest }), 2));
  return rows.some(({ key }) => key[4] !== manifest);
}

/** RULES 11: does a root, trusted or once trusted, reach or cover some content? */
export async function belongsToRoot({ metadata }: Needs, repository: RepositoryName, content: Content): Promise<boolean> {
  if (await isReached({ metadata }, repository, content)) return true;
  const denied = await metadata.list(under(keys.denials(repository, content), 1));
  return denied.length > 0;
}

/** The roots, trusted or once trusted, that reach a manifest; itself among them when it is one. */
export async function rootsOf(needs: Needs, repository: RepositoryName, manifest: Digest): Promise<ReadonlySet<Digest>> {
  const roots = new Set<Digest>();
  const content = { kind: "manifest", digest: manifest } as const;
  for (const family of [keys.reaches(repository, content), keys.denials(repository, content)]) {
    for await (const { key } of rowsOf(needs, [under(family, PAGE)])) roots.add(digestSchema.parse(key[4]));
  }
  return roots;
}

const TAKE_ALL = async (): Promise<boolean> => true;

/** Rows by what they are about. */
class RowSet implements Iterable<{ readonly content: Content; readonly row: RootReachRecord }> {
  readonly #rows = { blob: new Map<Digest, RootReachRecord>(), manifest: new Map<Digest, RootReachRecord>() } as const;

  get({ kind, digest }: Content): RootReachRecord | undefined {
    return this.#rows[kind].get(digest);
  }

  set({ kind, digest }: Content, row: RootReachRecord): void {
    this.#rows[kind].set(digest, row);
  }

  delete({ kind, digest }: Content): void {
    this.#rows[kind].delete(digest);
  }

  *[Symbol.iterator](): Generator<{ readonly content: Content; readonly row: RootReachRecord }> {
    for (const kind of CONTENT_KINDS) for (const [digest, row] of this.#rows[kind]) yield { content: { kind, digest }, row };
  }
}

interface Wanted {
  readonly rows: RowSet;
  /** `referrer-served` rows of what readers see now. */
  readonly served: Put[];
}

async function wantedRows(needs: Needs, repository: RepositoryName, root: Root, overlay: Overlay): Promise<Wanted> {
  const enter = async (record: ManifestRecord): Promise<boolean> =>
    overlay.lifted.has(record.digest) || overlay.loaded.has(record.digest) || !(await isRevoked(needs, record));
  const all: Starts = { own: [root.record.digest], covered: root.covers };
  const isTrusted = root.record.state === "trusted";
  const walk = (): ClosureWalk => new ClosureWalk(needs, repository, overlay);
  const live = await reachFrom(walk(), isTrusted ? all : NOWHERE, enter);
  const dead = await reachFrom(walk(), isTrusted ? live.cut : all, TAKE_ALL);
  const rows = new RowSet();
  addRows(rows, dead, { root: root.record.digest, denied: true });
  addRows(rows, live, { root: root.record.digest, denied: false });
  for (const manifest of await toldOf(needs, repository, new Map([...dead.closure.manifests, ...live.closure.manifests]))) {
    for (const content of await statementsOf(needs, repository, manifest)) rows.set(content, STATEMENT_ROW);
  }
  for (const content of root.newStatements) rows.set(content, STATEMENT_ROW);
  return { rows, served: servedReferrers(repository, live.closure) };
}

/** Where the reach of a root begins: what it contains, and what its promotion covers. */
interface Starts {
  readonly own: readonly Digest[];
  readonly covered: readonly Digest[];
}

const NOWHERE: Starts = { own: [], covered: [] };

interface Reached {
  readonly closure: Closure;
  /** The manifests that are the root's own, whether it covers them too or not. */
  readonly own: ReadonlySet<Digest>;
  /** Where `enter` said no. */
  readonly cut: Starts;
}

async function reachFrom(walk: ClosureWalk, starts: Starts, enter: Parameters<ClosureWalk["follow"]>[1]): Promise<Reached> {
  await walk.follow(starts.own, enter);
  const [own, ownCuts] = [new Set(walk.manifests.keys()), walk.cut.length];
  await walk.follow(starts.covered, enter);
  const cut = walk.cut.map(({ record }) => record.digest);
  return { closure: walk, own, cut: { own: cut.slice(0, ownCuts), covered: cut.slice(ownCuts) } };
}

const STATEMENT_ROW: RootReachRecord = { v: 1, via: [], statement: true, denied: false };

function addRows(rows: RowSet, { closure, own }: Reached, { root, denied }: { root: Digest; denied: boolean }): void {
  const between = (via: readonly Digest[]): Digest[] => via.filter((digest) => digest !== root);
  const row = (via: readonly Digest[]): RootReachRecord => ({ v: 1, via: between(via), statement: false, denied });
  for (const [digest, { via }] of closure.manifests) {
    rows.set({ kind: "manifest", digest }, { ...row(via), ...(!own.has(digest) && { covered: true }) });
  }
  for (const [digest, { via }] of closure.blobs) rows.set({ kind: "blob", digest }, row(via));
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

/** Those of some manifests that anything is attached to, as every written statement is. */
async function toldOf(needs: Needs, repository: RepositoryName, manifests: Closure["manifests"]): Promise<readonly Digest[]> {
  const names = [...manifests.values()].map(({ record: { digest, sha512 } }) => ({ digest, sha512 }));
  const listed = await presentIn(
    needs,
    keys.referrersIn(repository),
    names.flatMap(({ digest, sha512 }) => [digest, sha512]),
  );
  return names.filter(({ digest, sha512 }) => listed.has(digest) || listed.has(sha512)).map(({ digest }) => digest);
}

/** What every statement about a manifest consists of: of its chain, and of its approvals. */
async function statementsOf(needs: Needs, repository: RepositoryName, manifest: Digest): Promise<readonly Content[]> {
  const contents: Content[] = [];
  for await (const { value } of rowsOf(needs, [under(keys.statements(repository, manifest), PAGE)])) {
    const statement = statementRecord.parse(value);
    contents.push(...statementContents(repository, statement));
  }
  return [...contents, ...(await approvalContents(needs, repository, manifest))];
}

async function* currentRows(needs: Needs, { repository, root }: RootAt): AsyncGenerator<{ content: Content; row: RootReachRecord }> {
  for await (const { key, value } of rowsOf(needs, [under(keys.rootReaches(repository, root), PAGE)])) {
    const content = { kind: contentKindSchema.parse(key[3]), digest: digestSchema.parse(key[4]) };
    yield { content, row: rootReachRecord.parse(value) };
  }
}

function isSameRow(a: RootReachRecord, b: RootReachRecord): boolean {
  const isSameWay = a.via.length === b.via.length && a.via.every((at, i) => at === b.via[i]);
  return isSameWay && a.denied === b.denied && a.statement === b.statement && a.covered === b.covered;
}
