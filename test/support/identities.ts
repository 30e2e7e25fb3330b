import { createHmac, randomBytes, randomUUIDv7 } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent } from "../../src/audit/event.ts";
import type { Binding } from "../../src/identity/principal.ts";
import { createLogger } from "../../src/log.ts";
import { credentialPuts, freshCredential } from "../../src/registry/credential-rows.ts";
import { identityPuts } from "../../src/registry/identities.ts";
import { namespacePuts } from "../../src/registry/namespaces.ts";
import type { Caller, Services } from "../../src/registry/ports.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { Change } from "../../src/storage/metadata-store.ts";
import type { CredentialRecord, IdentityRecord } from "../../src/storage/records.ts";
import { KeptLines, refuseSecrets } from "./log-secrets.ts";
import { principalWith } from "./principal.ts";
import { NO_QUOTA } from "./limits.ts";

export const START = Date.parse("2026-11-25T12:00:00Z");

type IdentityServices = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

/** The metadata of a registry with a clock that stands until it is moved, and what use cases about identities take. */
export interface Identities {
  readonly directory: string;
  readonly services: IdentityServices;
  /** As another worker has them: the same store and secret, nothing else in common. */
  again(): IdentityServices;
  /** Moves the clock on, by milliseconds. */
  pass(milliseconds: number): void;
  /** An identity with these roles and a key of its own; the namespaces that they name exist. */
  identity(name: string, bindings: readonly Binding[], rest?: Partial<IdentityRecord>): Promise<Known>;
  /** Another key of an identity. */
  key(identity: string, rest?: Partial<CredentialRecord>): Promise<{ readonly id: string; readonly secret: string }>;
  /** A change outside of the use cases. */
  change(change: Partial<Change>): Promise<void>;
  /** What the audit holds. */
  events(): Promise<AuditEvent[]>;
  close(): Promise<void>;
}

export interface Known {
  readonly secret: string;
  readonly id: string;
  readonly caller: Caller;
}

export async function startIdentities(): Promise<Identities> {
  const directory = await mkdtemp(join(tmpdir(), "amr-identities-"));
  const metadata = await openLmdb(join(directory, "metadata"));
  const root = randomBytes(32);
  const kept = new KeptLines();
  let now = START;
  const again = (): IdentityServices => ({
    metadata,
    clock: () => now,
    newId: randomUUIDv7,
    random: (bytes) => randomBytes(bytes),
    secretFor: (purpose) => createHmac("sha256", root).update(purpose).digest(),
    log: createLogger("trace", kept),
    settings: {
      publicUrl: "https://models.example",
      duties: "standard",
      collectGrace: 86_400_000,
      snapshotLifetime: 86_400_000,
      quota: NO_QUOTA,
      promotionPolicy: "closure",
    },
  });
  const services = again();
  const change = async (part: Partial<Change>): Promise<void> => {
    const actor = { principal: "system", kind: "system" } as const;
    const audit: AuditEvent = { id: randomUUIDv7(), time: now, type: "test.change", actor, outcome: "allow" };
    await metadata.commit({ expect: [], put: [], remove: [], audit: [audit], ...part });
  };
  const key: Identities["key"] = async (identity, rest = {}) => {
    const choice = {
      kind: "api-key",
      identity,
      createdBy: "test",
      expiresAt: null,
      idleMilliseconds: null,
      parent: null,
      epoch: 0,
      ...rest,
    } as const;
    const { record, secret } = freshCredential(services, choice);
    await change({ put: credentialPuts({ ...record, ...rest }) });
    return { id: record.id, secret };
  };
  return {
    directory,
    services,
    again,
    pass: (milliseconds) => {
      now += milliseconds;
    },
    key,
    identity: async (name, bindings, rest = {}) => {
      const fresh: Omit<IdentityRecord, "countsAs" | "bindings"> = {
        v: 1,
        name,
        kind: "service",
        disabled: false,
        epoch: 0,
        createdBy: "test",
        createdAt: now,
      };
      const namespaces = bindings.filter(({ namespace }) => namespace !== "*").map(({ namespace }) => namespace);
      const record = { v: 1, owner: name, createdBy: "test", createdAt: now } as const;
      await change({
        put: [
          ...identityPuts({ ...fresh, bindings: [...bindings], countsAs: name, ...rest }),
          ...namespaces.flatMap((namespace) => namespacePuts(namespace, record)),
        ],
      });
      const made = await key(name);
      const principal = principalWith(bindings, { name, credential: made.id, countsAs: rest.countsAs ?? name });
      return { ...made, caller: { principal, actor: { principal: name, kind: "service", credential: made.id } } };
    },
    change,
    events: async () => {
      const events: AuditEvent[] = [];
      for await (const { event } of streamAudit({ metadata }, {})) events.push(event);
      return events;
    },
    close: async () => {
      await metadata.close();
      await rm(directory, { recursive: true, force: true });
      refuseSecrets(kept.lines);
    },
  };
}
