import { createHmac, timingSafeEqual } from "node:crypto";
import { type SecretKind, secretKindOf } from "../identity/api-key.ts";
import { isSessionId } from "../identity/session-id.ts";
import { keys } from "../storage/keys.ts";
import { type CredentialRecord, type IdentityRecord, credentialRecord, credentialUseRecord } from "../storage/records.ts";
import { findIdentity } from "./identities.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "secretFor">;
type Standing = Pick<Services, "metadata" | "clock">;

/** Why a credential is refused. `unknown` is a guess or a typo; the others name one that was valid once. */
export type CredentialRefusal = "unknown" | "revoked" | "expired" | "idle" | "disabled";

/** A credential that is in force, with whose it is, both as they are now. */
export interface LiveCredential {
  readonly credential: CredentialRecord;
  readonly identity: IdentityRecord;
}

export type CredentialLookUp = LiveCredential | { readonly refusal: CredentialRefusal };

/**
 * The form in which a secret is kept. The secrets have 178 random bits, so that a fast keyed hash is as good as a slow one, and no
 * request costs the server half a second (identity.md §4).
 */
export function secretHmac({ secretFor }: Pick<Services, "secretFor">, secret: string): string {
  return createHmac("sha256", secretFor("credential")).update(secret).digest("hex");
}

/** The credential that a secret of this kind opens. */
export async function findBySecret(
  services: Needs,
  kind: SecretKind,
  secret: string,
  hmac = secretHmac(services, secret),
): Promise<CredentialLookUp> {
  return secretKindOf(secret) === kind ? lookUp(services, kind, hmac) : { refusal: "unknown" };
}

/** The session that an id opens, as long as the key that it was opened with is in force. */
export async function findSession(services: Needs, id: string): Promise<CredentialLookUp> {
  return isSessionId(id) ? lookUp(services, "session", secretHmac(services, id)) : { refusal: "unknown" };
}

async function lookUp(services: Needs, kind: CredentialRecord["kind"], hmac: string): Promise<CredentialLookUp> {
  const entry = await services.metadata.get(keys.credentialSecret(hmac));
  if (typeof entry?.value !== "string") return { refusal: "unknown" };
  const credential = await loadCredential(services, entry.value);
  const same = credential !== undefined && credential.kind === kind && equalInConstantTime(credential.secretHmac, hmac);
  return same ? standingOf(services, credential) : { refusal: "unknown" };
}

/** The credential that an access token was given for. */
export async function findById(services: Standing, id: string): Promise<CredentialLookUp> {
  const credential = await loadCredential(services, id);
  return credential === undefined ? { refusal: "unknown" } : standingOf(services, credential);
}

/** A credential's record, in force or not. */
export async function loadCredential({ metadata }: Pick<Services, "metadata">, id: string): Promise<CredentialRecord | undefined> {
  const entry = await metadata.get(keys.credential(id));
  return entry && credentialRecord.parse(entry.value);
}

/** Compares secrets without telling by its time how much of them is the same. */
export function equalInConstantTime(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Is the credential in force, with its identity and, for a refresh token or a session, the key that it was given for? */
async function standingOf(services: Standing, credential: CredentialRecord): Promise<CredentialLookUp> {
  const ended = endOf(credential, services.clock()) ?? (await idleEnd(services, credential));
  if (ended !== undefined) return { refusal: ended };
  const identity = (await findIdentity(services, credential.identity))?.record;
  if (identity === undefined || identity.disabled) return { refusal: "disabled" };
  if (credential.kind === "api-key") return { credential, identity };
  const refusal = credential.epoch === identity.epoch ? await endOfParent(services, credential) : "revoked";
  return refusal === undefined ? { credential, identity } : { refusal };
}

/** How the key ended that a refresh token or a session was given for: they end with it. */
async function endOfParent(services: Standing, { parent }: CredentialRecord): Promise<CredentialRefusal | undefined> {
  const record = parent === null ? undefined : await loadCredential(services, parent);
  return record === undefined ? "revoked" : endOf(record, services.clock());
}

/** How a credential ended by itself, if it did. */
export function endOf({ revokedAt, expiresAt }: CredentialRecord, now: number): "revoked" | "expired" | undefined {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= now ? "expired" : undefined;
}

async function idleEnd({ metadata, clock }: Standing, credential: CredentialRecord): Promise<"idle" | undefined> {
  if (credential.idleMilliseconds === null) return undefined;
  const entry = await metadata.get(keys.credentialUse(credential.id));
  return isIdle(credential, entry && credentialUseRecord.parse(entry.value), clock()) ? "idle" : undefined;
}

/** Has a credential ended for want of use? `use` is the last one. */
export function isIdle(
  { idleMilliseconds, createdAt }: Pick<CredentialRecord, "idleMilliseconds" | "createdAt">,
  use: { readonly at: number } | undefined,
  now: number,
): boolean {
  return idleMilliseconds !== null && (use?.at ?? createdAt) + idleMilliseconds <= now;
}
