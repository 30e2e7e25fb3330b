import type { Actor, AuditEvent } from "../audit/event.ts";
import { keyStatementPayload } from "../lifecycle/key-statement.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change } from "../storage/metadata-store.ts";
import { type AttestationKeyRecord, attestationKeyRecord } from "../storage/records.ts";
import type { Signer } from "../storage/signing-keys.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import type { Caller, Services } from "./ports.ts";
import { type ActiveKey, activeKey, signedBundle } from "./sign.ts";
import { SYSTEM } from "./system-actor.ts";
import { mayHaveUnsigned } from "./unsigned-statements.ts";

type Needs = Pick<Services, "metadata" | "signing" | "clock" | "newId" | "log" | "settings">;

const SECOND = 1000;
/** Keys are made by hand; nobody rotates so often. */
const MAX_KEYS = 1000;
/** The first key vouches for all that was there before it. */
const ALWAYS = 0;

/** A key as anyone may know it. Times are epoch milliseconds, whole seconds, and both ends are within. */
export interface PublicAttestationKey {
  readonly id: string;
  readonly algorithm: string;
  readonly pem: string;
  readonly validFrom: number;
  /** Null for the one that signs now. */
  readonly validUntil: number | null;
  /** The statement that names the key, as a Sigstore bundle: signed by the key before, or by itself where that was not there. */
  readonly bundle: string;
}

/** Every key that ever signed statements, oldest first. */
export async function listAttestationKeys({ metadata }: Pick<Services, "metadata">): Promise<readonly PublicAttestationKey[]> {
  const entries = await metadata.list(under(keys.attestationKeys(), MAX_KEYS));
  const records = entries.map(({ value }) => attestationKeyRecord.parse(value));
  return records.map(({ id, algorithm, publicPem, validFrom, bundle }, at) => ({
    id,
    algorithm,
    pem: publicPem,
    validFrom,
    validUntil: records[at + 1]?.validFrom ?? null,
    bundle,
  }));
}

/**
 * Sees to it that there is a key to sign with: makes the first one; changes over to the one that the operator gives; and replaces one that
 * is lost, which nothing but the new one itself can vouch for then.
 */
export async function prepareSigningKey(services: Needs): Promise<void> {
  const active = await activeKey(services);
  const { given } = services.signing;
  const isTheWanted = given === undefined || given.keyId === active?.record.id;
  if (active !== undefined && isTheWanted && (await services.signing.open(active.record.id)) !== undefined) return;
  const made = await succeed(
    services,
    { actor: SYSTEM, name: SYSTEM.principal, reason: null },
    (now) => now?.record.id === active?.record.id,
  );
  if (active === undefined || made === undefined || made.signedBy !== made.record.id) return;
  services.log.warn(
    { lost: active.record.id, key: made.record.id },
    "THE SIGNING KEY IS LOST, and was replaced: nobody but the new key vouches for it",
  );
}

/** Destroys the keys that crashes left: made and never used, or followed by another. For who holds the data directory alone. */
export async function tidySigningKeys(services: Needs): Promise<void> {
  const active = await activeKey(services);
  if (active !== undefined) await services.signing.destroyAllBut(active.record.id);
}

/**
 * Has a new key sign from now on. The old one signs that it is followed by the new one, and is destroyed. Throws CONFLICT where the
 * registry does not make its keys, and while statements of an earlier version wait for their signature.
 */
export async function rotateSigningKey(services: Needs, caller: Caller, reason: string | null): Promise<PublicAttestationKey> {
  if (services.signing.given !== undefined) {
    throw new RegistryError(
      "CONFLICT",
      "keys are made where the signing command has them: give the registry another one, and start it again",
    );
  }
  if (await mayHaveUnsigned(services)) {
    throw new RegistryError("CONFLICT", "statements of an earlier version are being signed: try again when that is done");
  }
  const made = await succeed(services, { actor: caller.actor, name: caller.principal.name, reason }, () => true);
  if (made === undefined) throw new RegistryError("INTERNAL");
  const { id, algorithm, publicPem, validFrom, bundle } = made.record;
  return { id, algorithm, pem: publicPem, validFrom, validUntil: null, bundle };
}

interface Told {
  readonly actor: Actor;
  readonly name: string;
  readonly reason: string | null;
}

interface Made {
  readonly record: AttestationKeyRecord;
  readonly signedBy: string;
}

/** Makes a key the active one, if the one that is active then is still `due` for it; undefined if not. */
async function succeed(services: Needs, told: Told, due: (active: ActiveKey | undefined) => boolean): Promise<Made | undefined> {
  const { signing } = services;
  const signer = await signing.make();
  const isOurs = signing.given === undefined;
  let old: string | undefined;
  let made: Made | undefined;
  try {
    made = await decideAndCommit(services, async () => {
      const active = await activeKey(services);
      old = active?.record.id;
      return due(active) ? decided(services, told, { signer, active }) : { result: undefined };
    });
  } finally {
    if (made === undefined && isOurs) await signing.destroy(signer.keyId);
  }
  if (made !== undefined && old !== undefined) await signing.destroy(old);
  return made;
}

async function decided(
  services: Needs,
  told: Told,
  { signer, active }: { readonly signer: Signer; readonly active: ActiveKey | undefined },
): Promise<{ readonly change: Change; readonly result: Made }> {
  const before = active && (await services.signing.open(active.record.id));
  const by = before ?? signer;
  const place = placeAfter(active);
  const now = Math.floor(services.clock() / SECOND) * SECOND;
  const validFrom = active === undefined ? ALWAYS : Math.max(now, active.record.validFrom);
  const payload = keyStatementPayload({
    registry: services.settings.publicUrl,
    key: signer,
    sequence: place.sequence,
    previous: place.previous,
    at: Math.max(now, validFrom),
    actor: told.name,
    reason: told.reason,
    signedBy: by.keyId,
  });
  const bundle = new TextDecoder().decode(await signedBundle(services, by, payload));
  const { keyId: id, algorithm, publicPem } = signer;
  const record: AttestationKeyRecord = { v: 1, id, algorithm, publicPem, validFrom, bundle, statement: digestOf(payload) };
  const change: Change = {
    expect: [place.unchanged],
    put: [
      { key: keys.attestationKey(place.sequence), value: record },
      { key: keys.activeAttestationKey(), value: place.sequence },
    ],
    remove: [],
    audit: [eventOf(services, told, { active, record, signedBy: by.keyId })],
  };
  return { change, result: { record, signedBy: by.keyId } };
}

/** Where in the chain the key comes that follows the active one. */
function placeAfter(active: ActiveKey | undefined): Pick<ActiveKey, "sequence" | "unchanged"> & { readonly previous: Digest | null } {
  if (active === undefined) return { sequence: 1, previous: null, unchanged: { key: keys.activeAttestationKey(), version: "absent" } };
  return { sequence: active.sequence + 1, previous: active.record.statement, unchanged: active.unchanged };
}

function eventOf(
  services: Needs,
  { actor, reason }: Told,
  { active, record, signedBy }: Made & { readonly active: ActiveKey | undefined },
): AuditEvent {
  return auditEvent(services, actor, {
    type: active === undefined ? "signing-key.create" : "signing-key.rotate",
    target: { kind: "registry", name: "signing-key" },
    ...(reason === null ? {} : { reason }),
    before: active === undefined ? {} : { id: active.record.id },
    after: { id: record.id, signedBy, statement: record.statement },
  });
}
