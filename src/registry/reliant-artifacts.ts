import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { signersIn } from "../policy/recorded-decision.ts";
import { type RevokedAuthority, isRevokedSigner, onlySigner } from "../trust/revoked-authority.ts";
import { keys, under } from "../storage/keys.ts";
import { signerRecord } from "../storage/policy-records.ts";
import type { KnownRevocation } from "./authority-revocations.ts";
import { parseDecision, signerHash } from "./decision-rows.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 256;

/** Hash of a signer, repository and artifact, in the order in which they come. */
export type ReliantPlace = [string, string, string];

/** Where a walk goes on, and what ends it early. */
export interface ReliantWalk {
  readonly after: ReliantPlace | null;
  readonly signal: AbortSignal | undefined;
}

/** Can an artifact come once for each of several signers? */
export function mayComeTwice(authority: RevokedAuthority): boolean {
  return onlySigner(authority) === undefined;
}

/**
 * The artifacts about which recorded decisions took evidence of an authority, one by one, some perhaps twice; by signer. Of an authority that is
 * one signer no other rows are looked at.
 */
export async function* reliantOn(
  needs: Needs,
  authority: RevokedAuthority,
  { after, signal }: ReliantWalk,
): AsyncGenerator<ReliantPlace, void, undefined> {
  const only = onlySigner(authority);
  if (only !== undefined) return yield* artifactsOf(needs, signerHash(only), after);
  if (after !== null) yield* artifactsOf(needs, after[0], after);
  for await (const { key, value } of rowsOf(needs, [under(keys.signers(), PAGE, after === null ? [] : [after[0]])])) {
    if (signal?.aborted === true) return;
    if (isRevokedSigner(authority, { signer: signerRecord.parse(value) })) yield* artifactsOf(needs, String(key[1]), null);
  }
}

/** Is it still to be found out what a revoked authority means for an artifact, about which a decision took evidence of it? */
export async function isToBeFollowed(
  { metadata }: Needs,
  { repository, artifact, revocations }: { repository: RepositoryName; artifact: Digest; revocations: readonly KnownRevocation[] },
): Promise<boolean> {
  const open = revocations.filter(({ record }) => record.followed === null);
  if (open.length === 0) return false;
  const manifest = await findManifest({ metadata }, repository, artifact);
  const decision = manifest?.record.state === "trusted" ? manifest.record.decision : null;
  const entry = decision === null ? undefined : await metadata.get(keys.decision(repository, artifact, decision));
  const signers = entry === undefined ? [] : signersIn(parseDecision(entry.value));
  return open.some(({ authority }) => signers.some((signer) => isRevokedSigner(authority, signer)));
}

async function* artifactsOf(needs: Needs, hash: string, after: ReliantPlace | null): AsyncGenerator<ReliantPlace, void, undefined> {
  const range = under(keys.signerArtifacts(hash), PAGE, after === null ? [] : after.slice(1));
  for await (const { key } of rowsOf(needs, [range])) yield [hash, String(key[2]), String(key[3])];
}
