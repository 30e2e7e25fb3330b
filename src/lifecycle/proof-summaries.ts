import { type Digest, digestOf } from "../oci/digest.ts";
import type { OpenedStatement } from "./proof-bundle.ts";
import { type ChainPlace, type ProvenLink, type WalkedChain, linkAt, signatureOn } from "./proof-chains.ts";
import type { ProofFault } from "./proof-fault.ts";
import type { ProofKey } from "./proof-keys.ts";
import { digestIn, summarySchema } from "./proof-statement.ts";
import { hostOf } from "./statement.ts";

/** The statements of a layout by the digest of their bundle. */
export type ByBundle = ReadonlyMap<Digest, readonly OpenedStatement[]>;

export function byBundle(statements: readonly OpenedStatement[]): ByBundle {
  return Map.groupBy(
    statements.filter(({ held }) => held.form === "bundle"),
    ({ held }) => digestOf(held.bytes),
  );
}

/** What is wrong with the verification summaries of a chain: each has to be there, and to say what its link says. */
export function summaryFaults(place: ChainPlace, chain: WalkedChain, bundles: ByBundle, keys: readonly ProofKey[]): readonly ProofFault[] {
  const lastTrusted = chain.links.findLast(({ state }) => state === "trusted")?.sequence ?? 0;
  return place.head.summaries.flatMap(({ seq, bundle }): readonly ProofFault[] => {
    const copies = bundles.get(bundle) ?? [];
    const [first] = copies;
    const about = `${place.name} ${seq}`;
    if (first === undefined) return [{ code: "summary-missing", about }];
    const link = linkAt(chain, seq);
    // The chain itself is at fault then, and says so.
    if (link === undefined) return [];
    if (!isSummaryOf(link, place, first)) return [{ code: "chain-broken", about }];
    const signature = signatureOn(first, link.at, keys);
    if (signature !== "right") return [{ code: signature === "none" ? "forged" : "key-out-of-range", about }];
    return attachmentFaults(copies, { about, chain, isListed: isStanding(link, lastTrusted) });
  });
}

function isSummaryOf(link: ProvenLink, { repository, artifact }: ChainPlace, { statement }: OpenedStatement): boolean {
  const { data } = summarySchema.safeParse(statement);
  const [subject] = data?.subject ?? [];
  return (
    data !== undefined &&
    subject !== undefined &&
    digestIn(subject.digest) === artifact &&
    data.predicate.resourceUri === `oci://${hostOf(link.registry)}/${repository}@${artifact}` &&
    data.predicate.timeVerified === link.at &&
    data.predicate.verificationResult === RESULTS.get(link.state)
  );
}

const RESULTS: ReadonlyMap<string, string> = new Map([
  ["trusted", "PASSED"],
  ["revoked", "FAILED"],
]);

/** Is it about a revocation that no later promotion lifted? Its summary is attached for all to see (trust.md §7.2). */
function isStanding({ state, permanent, sequence }: ProvenLink, lastTrusted: number): boolean {
  return state === "revoked" && (permanent || lastTrusted < sequence);
}

/** Held without a subject, where it is listed no more; else attached to what it is about. */
function attachmentFaults(
  copies: readonly OpenedStatement[],
  { about, chain, isListed }: { readonly about: string; readonly chain: WalkedChain; readonly isListed: boolean },
): ProofFault[] {
  const strange = copies.find(({ held }) => held.subject !== undefined && !chain.names.has(held.subject));
  if (strange !== undefined) return [{ code: "wrong-subject", about: strange.held.manifest }];
  const isAttached = copies.some(({ held }) => held.subject !== undefined);
  return isListed && !isAttached ? [{ code: "summary-hidden", about }] : [];
}
