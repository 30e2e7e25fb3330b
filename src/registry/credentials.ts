import { type Grant, administersKeysOf, decideGrant } from "../identity/grant.ts";
import type { Binding } from "../identity/principal.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import { type CredentialRecord, type IdentityRecord, credentialRecord } from "../storage/records.ts";
import { type Said, auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { type FreshCredential, credentialKeys, credentialPuts, credentialsOf, freshCredential } from "./credential-rows.ts";
import { endOf } from "./find-credential.ts";
import { type FoundIdentity, findIdentity, identityPuts } from "./identities.ts";
import { findNamespace } from "./namespaces.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

const DAY = 24 * 60 * 60 * 1000;
/** A key that nobody uses for so long is refused (identity.md §4). */
const IDLE = 30 * DAY;
/** Keys of one identity that are in force at a time: room for several rotations under way. */
const MAX_LIVE_KEYS = 20;
/** Records of ended keys that are kept beside; the audit has all of them. */
const MAX_ENDED_KEYS = 50;

export interface KeyRequest {
  /** The service identity, which is made when there is none. */
  readonly name: string;
  readonly binding: Binding;
  /** Seconds. */
  readonly lifetime: number;
  /** The version of the identity for which somebody decided it: only while it still has that is there another key. */
  readonly restsOn?: number | "absent" | undefined;
}

/** Makes a service identity with exactly one role, and a key for it (RULES 17); or another key, when it exists with that role. */
export async function createKey(
  services: Needs,
  caller: Caller,
  { name, binding, lifetime, restsOn }: KeyRequest,
): Promise<FreshCredential> {
  return decideAndCommit(services, async () => {
    const found = await findIdentity(services, name.slice(0, 64));
    const version = found?.version ?? "absent";
    const grant = permitted(decideGrant(caller.principal, name, binding, found?.record));
    demandUnchanged(restsOn, version);
    await checkNamespace(services, binding);
    const identity = found?.record ?? newIdentity(services, caller, { name, binding, countsAs: grant.countsAs });
    const key = freshKey(services, identity, { createdBy: caller.principal.name, lifetime, parent: null });
    const made = auditEvent(services, caller.actor, {
      type: "identity.create",
      target: { kind: "identity", name },
      after: { role: binding.role, namespace: binding.namespace, countsAs: identity.countsAs },
    });
    const change = {
      expect: [{ key: keys.identity(name), version }],
      // What rested on a version of the identity raises it: the same request again makes no other key.
      put: [...(found === undefined || restsOn !== undefined ? identityPuts(identity) : []), ...credentialPuts(key.record)],
      remove: await endedBeyondBound(services, name),
      audit: [
        ...(found === undefined ? [made] : []),
        auditEvent(services, caller.actor, { type: "credential.create", ...told(key.record) }),
      ],
    } as const;
    return { change, result: key };
  });
}

/** How a key is followed by another one; both times in seconds. */
interface Rotation {
  readonly lifetime: number;
  readonly overlap: number;
  /** The version of the key for which somebody decided it. */
  readonly restsOn?: number | undefined;
}

/** Makes a successor of a key; the old one lives on for `overlap` seconds at most. */
export async function rotateKey(
  services: Needs,
  caller: Caller,
  id: string,
  { lifetime, overlap, restsOn }: Rotation,
): Promise<FreshCredential> {
  return decideAndCommit(services, async () => {
    const { record: old, version, identity } = await administered(services, caller, id);
    demandUnchanged(restsOn, version);
    if (old.kind !== "api-key") throw new RegistryError("CONFLICT", "a refresh token is not rotated; log in again");
    const now = services.clock();
    const ended = endOf(old, now);
    if (ended !== undefined) throw new RegistryError("CONFLICT", `the key is ${ended}; make a new one with \`securectl key create\``);
    const key = freshKey(services, identity.record, { createdBy: caller.principal.name, lifetime, parent: old.id });
    const leaving = { ...old, expiresAt: Math.min(old.expiresAt ?? Infinity, now + overlap * 1000) };
    const before = { id, expiresAt: old.expiresAt };
    const after = { ...told(key.record).after, previousExpiresAt: leaving.expiresAt };
    const change = {
      // The identity as well: no key may be made for one that is disabled at the same moment.
      expect: [
        { key: keys.credential(id), version },
        { key: keys.identity(identity.record.name), version: identity.version },
      ],
      put: [{ key: keys.credential(id), value: leaving }, ...credentialPuts(key.record)],
      remove: await endedBeyondBound(services, identity.record.name),
      audit: [auditEvent(services, caller.actor, { type: "credential.rotate", ...told(key.record), before, after })],
    } as const;
    return { change, result: key };
  });
}

/** Revokes a key or a refresh token, with every token that was made from it, from the next request on; its downloads end within a second. */
export async function revokeCredential(services: Needs, caller: Caller, id: string): Promise<CredentialRecord> {
  return decideAndCommit(services, async () => {
    const { record, version } = await administered(services, caller, id);
    if (record.revokedAt !== null) return { result: record };
    const revoked: CredentialRecord = { ...record, revokedAt: services.clock() };
    const change = {
      expect: [{ key: keys.credential(id), version }],
      put: [
        { key: keys.credential(id), value: revoked },
        { key: keys.servingEpoch(), value: { at: services.clock() } },
      ],
      remove: [],
      audit: [auditEvent(services, caller.actor, { type: "credential.revoke", ...told(revoked) })],
    };
    return { change, result: revoked };
  });
}

interface Administered {
  readonly record: CredentialRecord;
  readonly version: number;
  readonly identity: FoundIdentity;
}

/** A credential that the caller may administer; one that it may not looks like one that does not exist. */
async function administered(services: Needs, { principal }: Caller, id: string): Promise<Administered> {
  const entry = id.length > 64 ? undefined : await services.metadata.get(keys.credential(id));
  const record = entry && credentialRecord.parse(entry.value);
  const identity = record && (await findIdentity(services, record.identity));
  if (entry === undefined || record === undefined || identity === undefined) throw unknownCredential();
  if (!administersKeysOf(principal, identity.record.name, identity.record)) throw unknownCredential();
  return { record, version: entry.version, identity };
}

function demandUnchanged(restsOn: number | "absent" | undefined, version: number | "absent"): void {
  if (restsOn === undefined || restsOn === version) return;
  throw new RegistryError("CONFLICT", "the identity or its key has changed since it was looked at: no key was made; look at it again");
}

function unknownCredential(): RegistryError {
  return new RegistryError("NOT_FOUND", "there is no such credential, or it is not yours; an access token cannot administer any");
}

function permitted(grant: Grant): Extract<Grant, { readonly effect: "permit" }> {
  if (grant.effect === "permit") return grant;
  throw new RegistryError(grant.effect === "forbidden" ? "DENIED" : "INVALID", grant.reason);
}

/** A role in a namespace that does not exist yet would be waiting for whoever makes one of that name. */
async function checkNamespace(services: Needs, { namespace }: Binding): Promise<void> {
  if (namespace === "*" || (await findNamespace(services, namespace)) !== undefined) return;
  const remedy = "an operator makes it with `securectl namespace create NAME --owner IDENTITY`";
  throw new RegistryError("INVALID", `there is no namespace ${JSON.stringify(namespace)}; ${remedy}`);
}

function newIdentity(
  services: Needs,
  { principal }: Caller,
  { name, binding, countsAs }: { readonly name: string; readonly binding: Binding; readonly countsAs: string },
): IdentityRecord {
  return {
    v: 1,
    name,
    kind: "service",
    bindings: [binding],
    disabled: false,
    epoch: 0,
    createdBy: principal.name,
    createdAt: services.clock(),
    countsAs,
  };
}

interface KeyChoice {
  readonly createdBy: string;
  /** Seconds. */
  readonly lifetime: number;
  readonly parent: string | null;
}

function freshKey(services: Needs, identity: IdentityRecord, { createdBy, lifetime, parent }: KeyChoice): FreshCredential {
  if (identity.disabled) throw new RegistryError("CONFLICT", `the identity ${identity.name} is disabled`);
  return freshCredential(services, {
    kind: "api-key",
    identity: identity.name,
    createdBy,
    expiresAt: services.clock() + lifetime * 1000,
    idleMilliseconds: IDLE,
    parent,
    epoch: identity.epoch,
  });
}

/** Refuses one key too many, and names the rows of the oldest ended keys, so that an identity's credentials stay few. */
async function endedBeyondBound(services: Needs, identity: string): Promise<ReturnType<typeof credentialKeys>> {
  const now = services.clock();
  const held = (await credentialsOf(services, identity)).filter(({ kind }) => kind === "api-key");
  const ended = held.filter((each) => endOf(each, now) !== undefined);
  if (held.length - ended.length >= MAX_LIVE_KEYS) {
    throw new RegistryError("CONFLICT", `${identity} has ${MAX_LIVE_KEYS} keys; revoke one first with \`securectl key revoke\``);
  }
  return ended.slice(0, Math.max(0, ended.length - MAX_ENDED_KEYS)).flatMap(credentialKeys);
}

/** What the audit says of a credential. */
function told({ id, identity, expiresAt }: CredentialRecord): Pick<Said, "target" | "after"> {
  return { target: { kind: "credential", name: id }, after: { identity, expiresAt } };
}
