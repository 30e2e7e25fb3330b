import { preAuthEncoding, sigstoreBundle } from "../lifecycle/dsse.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { type AttestationKeyRecord, attestationKeyRecord } from "../storage/records.ts";
import type { Signer } from "../storage/signing-keys.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "signing" | "log">;

/** The key that signs statements now, as the metadata name it. */
export interface ActiveKey {
  readonly record: AttestationKeyRecord;
  readonly sequence: number;
  /** Whatever is signed with it is committed only while it is the active one: a key that was rotated out signs nothing more. */
  readonly unchanged: Expectation;
}

/** Undefined in a registry that has no key yet. */
export async function activeKey({ metadata }: Pick<Services, "metadata">): Promise<ActiveKey | undefined> {
  const key = keys.activeAttestationKey();
  const entry = await metadata.get(key);
  if (entry === undefined) return undefined;
  const sequence = Number(entry.value);
  const row = await metadata.get(keys.attestationKey(sequence));
  return { record: attestationKeyRecord.parse(row?.value), sequence, unchanged: { key, version: entry.version } };
}

/** Signs statements with the key that is active now. */
export interface StatementSigner {
  readonly unchanged: Expectation;
  /** The Sigstore bundle of a statement; throws UNAVAILABLE when the key cannot be used. */
  bundle(payload: string): Promise<Uint8Array>;
}

/** Throws UNAVAILABLE when there is no key that can be used: then nothing may change. */
export async function statementSigner(services: Needs): Promise<StatementSigner> {
  const active = await activeKey(services);
  const signer = active && (await available(services, () => services.signing.open(active.record.id)));
  if (active === undefined || signer === undefined) throw noSigningKey();
  return { unchanged: active.unchanged, bundle: (payload) => signedBundle(services, signer, payload) };
}

/** A statement, signed by some key. */
export async function signedBundle(services: Pick<Needs, "log">, signer: Signer, payload: string): Promise<Uint8Array> {
  const signature = await available(services, () => signer.sign(preAuthEncoding(payload)));
  return sigstoreBundle(payload, signature, signer.keyId);
}

/** There is no key with which anything could be signed. */
export function noSigningKey(): RegistryError {
  return unavailable("the key is not there");
}

async function available<T>({ log }: Pick<Needs, "log">, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    log.error({ err: error }, "the signing key cannot be used: no artifact changes its state until it can");
    throw unavailable(error);
  }
}

const RETRY_AFTER = { "Retry-After": "5" };

function unavailable(cause: unknown): RegistryError {
  const message = "the registry cannot sign statements now, and so nothing was changed: its operator finds the cause in the log; try again";
  return new RegistryError("UNAVAILABLE", message, { headers: RETRY_AFTER, cause });
}
