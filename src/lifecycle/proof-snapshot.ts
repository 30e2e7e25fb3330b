import { canonicalJson } from "../oci/canonical-json.ts";
import type { Digest } from "../oci/digest.ts";
import { type OpenedStatement, isSignedWith } from "./proof-bundle.ts";
import type { ProofFault, ProofFaultCode } from "./proof-fault.ts";
import { KEY_PREDICATE } from "./key-statement.ts";
import { type ProofKey, isTrusted, keysUpTo } from "./proof-keys.ts";
import { type ProofHead, type ProofSnapshot, digestIn, snapshotSchema } from "./proof-statement.ts";
import { SNAPSHOT_PREDICATE } from "./snapshot.ts";

/** Clocks differ; a snapshot from later than this (ms) is not believed. */
const SKEW = 300_000;

/** How a proof is held against the present. Times are epoch milliseconds. */
export interface Checker {
  /** Ids of the keys that are trusted beforehand. */
  readonly trusted: ReadonlySet<string>;
  readonly now: number;
  /** How old (ms) a snapshot may be, besides what it says itself. */
  readonly maxAge: number;
}

/** A snapshot that holds, and the keys that it rests on, the one that signed it last. */
interface HoldingSnapshot {
  readonly said: ProofSnapshot;
  readonly statement: OpenedStatement;
  readonly keys: readonly ProofKey[];
}

/** What all snapshots of a proof say together. */
export interface FoundSnapshots {
  /** The times are those of the one that was taken, and of the one that expires, first. */
  readonly said: ProofSnapshot["predicate"];
  /** What they were taken of, in order. */
  readonly artifacts: readonly Digest[];
  readonly keys: readonly ProofKey[];
}

/**
 * The snapshots that hold, one of each artifact, or why there are none. One that does not hold is never passed over, since somebody put it
 * there, unless another registry took it: that says nothing of this one.
 */
export function findSnapshots(statements: readonly OpenedStatement[], checker: Checker): FoundSnapshots | readonly ProofFault[] {
  const keyStatements = statements.filter(({ predicateType }) => predicateType === KEY_PREDICATE);
  const candidates = statements.filter(({ predicateType }) => predicateType === SNAPSHOT_PREDICATE);
  if (candidates.length === 0) return [{ code: "snapshot-missing", about: "the layout" }];
  const strange = another(candidates);
  if (strange !== undefined) return [{ code: "snapshot-ambiguous", about: strange.held.manifest }];
  const read = candidates.map((statement) => ({ statement, found: readSnapshot(statement, keyStatements, checker) }));
  const holding = read.flatMap(({ found }) => ("said" in found ? found : []));
  const names = new Set(holding.flatMap(({ said, keys }) => [said.predicate.registry, ...keys.map(({ registry }) => registry)]));
  const faults = read.flatMap(({ statement, found }) => ("said" in found || isOfAnother(statement, found, names) ? [] : found));
  return faults.length > 0 ? faults : merged(holding);
}

/** One that says something else of an artifact than another one, both in the name of one registry. */
function another(candidates: readonly OpenedStatement[]): OpenedStatement | undefined {
  const known = new Map<string, Digest>();
  return candidates.find(({ statement, digest }) => {
    const { data } = snapshotSchema.safeParse(statement);
    if (data === undefined) return false;
    const about = canonicalJson([data.predicate.registry, data.predicate.repository, data.subject[0]?.digest.sha256 ?? null]);
    if ((known.get(about) ?? digest) !== digest) return true;
    known.set(about, digest);
    return false;
  });
}

/** Did another registry take it, by its own word and by none of our keys? */
function isOfAnother({ statement }: OpenedStatement, { code }: ProofFault, names: ReadonlySet<string>): boolean {
  const { data } = snapshotSchema.safeParse(statement);
  const isUntrusted = code === "key-untrusted" || code === "key-chain-broken";
  return data !== undefined && isUntrusted && names.size > 0 && !names.has(data.predicate.registry);
}

/** Snapshots that were taken together say the same of everything that more than one of them tells of. */
function merged(holding: readonly HoldingSnapshot[]): FoundSnapshots | readonly ProofFault[] {
  const [first] = holding;
  if (first === undefined) return [{ code: "snapshot-missing", about: "the layout" }];
  const artifacts = new Set<string>();
  const subjects: Record<string, ProofHead> = {};
  for (const { said, statement } of holding) {
    const ambiguous = [{ code: "snapshot-ambiguous", about: statement.held.manifest } as const];
    if (commonOf(said) !== commonOf(first.said)) return ambiguous;
    artifacts.add(said.subject[0]?.digest.sha256 ?? "");
    for (const [name, head] of Object.entries(said.predicate.subjects)) {
      if (canonicalJson(subjects[name] ?? head) !== canonicalJson(head)) return ambiguous;
      subjects[name] = head;
    }
  }
  const { predicate } = first.said;
  const takenAt = Math.min(...holding.map(({ said }) => said.predicate.takenAt));
  const expires = Math.min(...holding.map(({ said }) => said.predicate.expires));
  const told = [...artifacts].toSorted().map((hex) => digestIn({ sha256: hex }));
  return { said: { ...predicate, subjects, takenAt, expires }, artifacts: told, keys: first.keys };
}

function commonOf({ predicate }: ProofSnapshot): string {
  const { registry, repository, keys, registryStatements = null, revokedAuthorities = null } = predicate;
  return canonicalJson({ registry, repository, keys, registryStatements, revokedAuthorities });
}

function readSnapshot(
  snapshot: OpenedStatement,
  keyStatements: readonly OpenedStatement[],
  checker: Checker,
): HoldingSnapshot | ProofFault {
  const about = snapshot.held.manifest;
  const { data: said } = snapshotSchema.safeParse(snapshot.statement);
  if (said === undefined) return { code: "forged", about };
  const keys = keysUpTo(said.predicate.keys.statement, keyStatements) ?? [];
  const last = keys.at(-1);
  if (last === undefined || keys.length !== said.predicate.keys.seq) return { code: "key-chain-broken", about };
  if (snapshot.signature?.keyId !== last.id || !isSignedWith(snapshot, last.key)) return { code: "forged", about };
  if (!isTrusted(keys, checker.trusted)) return { code: "key-untrusted", about };
  const late = untimely(said, last, checker);
  return late === undefined ? { said, keys, statement: snapshot } : { code: late, about };
}

function untimely({ predicate }: ProofSnapshot, { from }: ProofKey, { now, maxAge }: Checker): ProofFaultCode | undefined {
  const { takenAt, expires } = predicate;
  if (takenAt < from) return "key-out-of-range";
  if (takenAt > now + SKEW) return "snapshot-from-future";
  if (now > expires) return "snapshot-expired";
  return now - takenAt > maxAge ? "snapshot-too-old" : undefined;
}
