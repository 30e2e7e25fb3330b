import { type OpenedStatement, isSignedWith } from "./proof-bundle.ts";
import type { ProofFault, ProofFaultCode } from "./proof-fault.ts";
import { KEY_PREDICATE } from "./key-statement.ts";
import { type ProofKey, isTrusted, keysUpTo } from "./proof-keys.ts";
import { type ProofSnapshot, snapshotSchema } from "./proof-statement.ts";
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

/** The snapshot of a proof, and the keys that it rests on, the one that signed it last. */
export interface FoundSnapshot {
  readonly said: ProofSnapshot;
  readonly keys: readonly ProofKey[];
}

/** The one snapshot that holds, or why there is none. A snapshot that does not hold is never passed over: somebody put it there. */
export function findSnapshot(statements: readonly OpenedStatement[], checker: Checker): FoundSnapshot | readonly ProofFault[] {
  const candidates = statements.filter(({ predicateType }) => predicateType === SNAPSHOT_PREDICATE);
  const keyStatements = statements.filter(({ predicateType }) => predicateType === KEY_PREDICATE);
  const [first, ...others] = candidates;
  if (first === undefined) return [{ code: "snapshot-missing", about: "the layout" }];
  const strange = others.find(({ digest }) => digest !== first.digest);
  if (strange !== undefined) return [{ code: "snapshot-ambiguous", about: strange.held.manifest }];
  const found = candidates.map((copy) => readSnapshot(copy, keyStatements, checker));
  const faults = found.filter((each) => "code" in each);
  const snapshot = found.find((each) => "said" in each);
  return faults.length > 0 || snapshot === undefined ? faults : snapshot;
}

function readSnapshot(snapshot: OpenedStatement, keyStatements: readonly OpenedStatement[], checker: Checker): FoundSnapshot | ProofFault {
  const about = snapshot.held.manifest;
  const { data: said } = snapshotSchema.safeParse(snapshot.statement);
  if (said === undefined) return { code: "forged", about };
  const keys = keysUpTo(said.predicate.keys.statement, keyStatements) ?? [];
  const last = keys.at(-1);
  if (last === undefined || keys.length !== said.predicate.keys.seq) return { code: "key-chain-broken", about };
  if (snapshot.signature?.keyId !== last.id || !isSignedWith(snapshot, last.key)) return { code: "forged", about };
  if (!isTrusted(keys, checker.trusted)) return { code: "key-untrusted", about };
  const late = untimely(said, last, checker);
  return late === undefined ? { said, keys } : { code: late, about };
}

function untimely({ predicate }: ProofSnapshot, { from }: ProofKey, { now, maxAge }: Checker): ProofFaultCode | undefined {
  const { takenAt, expires } = predicate;
  if (takenAt < from) return "key-out-of-range";
  if (takenAt > now + SKEW) return "snapshot-from-future";
  if (now > expires) return "snapshot-expired";
  return now - takenAt > maxAge ? "snapshot-too-old" : undefined;
}
