import type { Digest } from "../oci/digest.ts";
import type { OpenedStatement } from "./proof-bundle.ts";
import { signatureOn } from "./proof-chains.ts";
import type { ProofFault, ProofFaultCode } from "./proof-fault.ts";
import type { ProofKey } from "./proof-keys.ts";
import { type ProofSnapshot, authorityRevokedSchema } from "./proof-statement.ts";
import { predicateOf } from "./registry-statement.ts";

/** An authority that was believed no more when the snapshot was taken. Times are epoch milliseconds. */
export interface ProvenAuthority {
  readonly statement: Digest;
  /** JSON, as the statement has it. */
  readonly authority: unknown;
  /** From which time on; null: whenever it signed. */
  readonly from: number | null;
  readonly at: number;
  readonly actor: string;
  readonly reason: string;
}

/** The revoked authorities of a proof, and what is wrong with them. */
export interface ProvenAuthorities {
  /** Undefined where the snapshot tells of none, since an earlier version took it. */
  readonly authorities: readonly ProvenAuthority[] | undefined;
  readonly faults: readonly ProofFault[];
}

/** Finds the statement of each revocation that the snapshot names: evidence of whom they are about counts no more (trust.md §7.4). */
export function proveAuthorities(
  snapshot: ProofSnapshot["predicate"],
  statements: readonly OpenedStatement[],
  keys: readonly ProofKey[],
): ProvenAuthorities {
  const { revokedAuthorities: named, registryStatements: last } = snapshot;
  if (named === undefined) return { authorities: undefined, faults: [] };
  const byDigest = Map.groupBy(
    statements.filter(({ predicateType }) => predicateType === predicateOf("authority-revoked")),
    ({ digest }) => digest,
  );
  const found = named.map((digest) => revocationIn(digest, byDigest.get(digest) ?? [], { keys, last: last?.seq ?? 0 }));
  return {
    authorities: found.flatMap((each) => ("code" in each ? [] : each)),
    faults: found.flatMap((each) => ("code" in each ? each : [])),
  };
}

function revocationIn(
  statement: Digest,
  copies: readonly OpenedStatement[],
  { keys, last }: { readonly keys: readonly ProofKey[]; readonly last: number },
): ProvenAuthority | ProofFault {
  const [first] = copies;
  const refused = (code: ProofFaultCode): ProofFault => ({ code, about: statement });
  if (first === undefined) return refused("authority-missing");
  const { data } = authorityRevokedSchema.safeParse(first.statement);
  if (data === undefined || data.predicate.seq > last) return refused("chain-broken");
  const { authority, from, effectiveAt: at, actor, reason } = data.predicate;
  const signatures = new Set(copies.map((copy) => signatureOn(copy, at, keys)));
  if (signatures.has("none")) return refused("forged");
  if (!signatures.has("right")) return refused("key-out-of-range");
  return { statement, authority, from: from ?? null, at, actor, reason };
}
