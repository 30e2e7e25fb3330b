import { statementTime } from "../lifecycle/statement.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { parseTrustRoot } from "../trust/trust-root.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import { type TrustRootRecord, type TrustRootUpdateRecord, trustRootUpdateRecord } from "../storage/policy-records.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import type { Caller, Services } from "./ports.ts";
import { type StatingServices, stated } from "./registry-statements.ts";
import { checkTrustRootName, saidOfTrustRoot } from "./trust-roots.ts";

type Needs = StatingServices;

const MAX_UPDATED = 64;
/** How far (ms) a time may lie ahead: clocks differ. */
const AHEAD = 300_000;

/** A trusted root as a TUF client fetched and verified it; times are epoch milliseconds. */
export interface FetchedTrustRoot extends Pick<TrustRootUpdateRecord, "updatedAt" | "expiresAt" | "versions"> {
  /** Of the root metadata that the client began with. */
  readonly rootDigest: Digest;
  readonly bytes: Uint8Array;
}

/** A trust root that is updated. */
export interface UpdatedRoot {
  readonly name: string;
  readonly rootDigest: Digest;
  readonly record: TrustRootUpdateRecord;
}

/**
 * Keeps what a TUF client fetched, for policies that name the trust root by the root metadata that the first update began with. Throws
 * CONFLICT for metadata older than those of the last update, which whoever holds a mirror might offer.
 */
export async function updateTrustRoot(services: Needs, caller: Caller, name: string, fetched: FetchedTrustRoot): Promise<UpdatedRoot> {
  checkTrustRootName(name);
  const { digest } = parseTrustRoot(fetched.bytes);
  if (fetched.updatedAt > services.clock() + AHEAD)
    throw new RegistryError("INVALID", "updated_at lies in the future: set the clock right");
  return decideAndCommit(services, async () => decideUpdate(services, caller, name, { ...fetched, digest }));
}

async function decideUpdate(
  services: Needs,
  caller: Caller,
  name: string,
  { rootDigest, bytes, digest, updatedAt, expiresAt, versions }: FetchedTrustRoot & { readonly digest: Digest },
): Promise<Decided<UpdatedRoot>> {
  const { update: before, expect } = await findTrustRootUpdate(services, { name, rootDigest });
  if (before === undefined) await checkRoom(services);
  else refuseOlder(before, { updatedAt, versions });
  const said = { by: caller.principal.name, at: services.clock() };
  const record: TrustRootUpdateRecord = { v: 1, digest, size: bytes.byteLength, updatedAt, expiresAt, versions, ...said };
  const change = {
    expect: [expect],
    put: [
      { key: keys.trustRootUpdate(name, rootDigest), value: record },
      { key: keys.trustRootContent(digest), value: Uint8Array.from(bytes) },
      ...(before === undefined || before.digest === digest ? [] : [endedRow(name, before)]),
    ],
    remove: [],
    audit: [
      auditEvent(services, caller.actor, {
        type: "trust-root.update",
        target: { kind: "policy", name, digest },
        ...(before !== undefined && { before: { digest: before.digest, updatedAt: before.updatedAt, versions: before.versions } }),
        after: { rootDigest, updatedAt, expiresAt, versions },
      }),
    ],
  };
  const says = { event: "update", rootDigest, updatedAt: statementTime(updatedAt), versions };
  const told = saidOfTrustRoot({ name, digests: [digest], ...said, says });
  return { change: (await stated(services, told, () => change)).change, result: { name, rootDigest, record } };
}

/** What an update brought and the next one replaced: decisions go on naming it. */
export function endedRow(name: string, { digest, size, by, at }: Pick<TrustRootUpdateRecord, "digest" | "size" | "by" | "at">): Put {
  const value: TrustRootRecord = { v: 1, size, by, at };
  return { key: keys.endedTrustRoot(name, digest), value };
}

function refuseOlder(before: TrustRootUpdateRecord, { updatedAt, versions }: Pick<TrustRootUpdateRecord, "updatedAt" | "versions">): void {
  for (const role of ["root", "timestamp", "snapshot", "targets"] as const) {
    if (versions[role] >= before.versions[role]) continue;
    const older = `the mirror offers ${role} metadata of version ${versions[role]}, and the last update had ${before.versions[role]}`;
    throw new RegistryError(
      "CONFLICT",
      `${older}: it may be kept back at an old state; if the repository was made anew, delete the trust root first`,
    );
  }
  if (updatedAt < before.updatedAt) throw new RegistryError("CONFLICT", "there was a later update already");
}

async function checkRoom(services: Pick<Services, "metadata">): Promise<void> {
  if ((await listTrustRootUpdates(services)).length < MAX_UPDATED) return;
  throw new RegistryError("CONFLICT", `there are ${MAX_UPDATED} trust roots that are updated, and more are not allowed: delete one`);
}

/** What updates brought, by name. */
export async function listTrustRootUpdates({ metadata }: Pick<Services, "metadata">): Promise<readonly UpdatedRoot[]> {
  const rows = await metadata.list(under(keys.trustRootUpdates(), MAX_UPDATED));
  return rows.map(({ key, value }) => ({
    name: String(key[1]),
    rootDigest: digestSchema.parse(key[2]),
    record: trustRootUpdateRecord.parse(value),
  }));
}

/** What the last update of a trust root brought, and what says that it is the last one. */
export async function findTrustRootUpdate(
  { metadata }: Pick<Services, "metadata">,
  { name, rootDigest }: { readonly name: string; readonly rootDigest: Digest },
): Promise<{ readonly update: TrustRootUpdateRecord | undefined; readonly expect: Expectation }> {
  const key = keys.trustRootUpdate(name, rootDigest);
  const entry = await metadata.get(key);
  return { update: entry && trustRootUpdateRecord.parse(entry.value), expect: { key, version: entry?.version ?? "absent" } };
}
