import { isDigest } from "../oci/digest.ts";
import type { SignerIdentity } from "../trust/verdict.ts";
import { keys, under } from "../storage/keys.ts";
import { signerRecord } from "../storage/policy-records.ts";
import { signerHash } from "./decision-rows.ts";
import { listArtifacts, namespacesKnown } from "./list-artifacts.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** A signer whose evidence decisions took, by its place in rows, and in words. */
export interface KnownSigner {
  readonly hash: string;
  readonly words: string;
}

/** Rows of signers that are looked at, those of them about which it is asked what they signed, and those that are told. */
const MAX_EXAMINED = 1_000;
const MAX_ASKED = 30;
const MAX_TOLD = 10;
const BATCH = 100;

/**
 * The signers that a text may mean: one where it says all of one, by its hash, by a key's fingerprint, or by issuer or root and subject with a
 * space between; else those whom it is a part of and who signed what the caller may know of, ten at most.
 */
export async function findSigners(needs: Needs, caller: Caller, text: string): Promise<readonly KnownSigner[]> {
  const exact = signerIn(text);
  const hash = exact === undefined ? text : signerHash(exact);
  if (exact !== undefined || /^[0-9a-f]{64}$/.test(text)) return [{ hash, words: text }];
  const known = namespacesKnown(caller.principal, "all");
  return known === "*" || known.length > 0 ? signersWith(needs, caller, text) : [];
}

function signerIn(text: string): SignerIdentity | undefined {
  if (isDigest(text)) return { type: "key", fingerprint: text };
  const [, first = "", subject = ""] = /^(\S+) +(.+)$/.exec(text) ?? [];
  if (subject === "") return undefined;
  if (isDigest(first)) return { type: "certificate", subject, root: first };
  return URL.canParse(first) ? { type: "identity", issuer: first, subject } : undefined;
}

async function signersWith(needs: Needs, caller: Caller, text: string): Promise<readonly KnownSigner[]> {
  const found: KnownSigner[] = [];
  let [examined, asked] = [0, 0];
  for await (const { key, value } of rowsOf(needs, [under(keys.signers(), BATCH)])) {
    if (examined === MAX_EXAMINED || asked === MAX_ASKED || found.length === MAX_TOLD) break;
    examined += 1;
    const words = wordsOf(signerRecord.parse(value));
    if (!words.includes(text)) continue;
    asked += 1;
    const hash = String(key[1]);
    if (await signedForAll(needs, caller, hash)) found.push({ hash, words });
  }
  return found;
}

/** Did it sign what the caller knows of, all else being nobody's to tell? */
async function signedForAll(needs: Needs, caller: Caller, hash: string): Promise<boolean> {
  const query = {
    repository: undefined,
    state: undefined,
    index: keys.signerArtifacts(hash),
    onlyIndex: true,
    cursor: undefined,
    limit: 1,
  };
  return (await listArtifacts(needs, caller, query)).artifacts.length > 0;
}

function wordsOf(signer: SignerIdentity | ReturnType<typeof signerRecord.parse>): string {
  if (signer.type === "key") return signer.fingerprint;
  return signer.type === "identity" ? `${signer.issuer} ${signer.subject}` : `${signer.root} ${signer.subject}`;
}
