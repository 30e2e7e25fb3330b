import { join } from "node:path";
import { secretKindOf } from "../identity/api-key.ts";
import type { Binding } from "../identity/principal.ts";
import { keys, under } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import type { IdentityRecord } from "../storage/records.ts";
import { SecretFileError, readSecretFile, writeSecretFile } from "../storage/secret-file.ts";
import { auditEvent } from "./audit-event.ts";
import { type FreshCredential, credentialPuts, freshCredential } from "./credential-rows.ts";
import { identityPuts } from "./identities.ts";
import { namespacePuts } from "./namespaces.ts";
import type { Services } from "./ports.ts";
import type { ServiceTokenPlace } from "./service-token.ts";
import { SYSTEM } from "./system-actor.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

const NAMESPACE = "models";
/** interface.md §3. The publisher owns the namespace; the operator runs everything and never pushes; the runtime pulls what is trusted. */
const IDENTITIES: Readonly<Record<string, Binding>> = {
  operator: { role: "operator", namespace: "*" },
  publisher: { role: "owner", namespace: NAMESPACE },
  runtime: { role: "reader", namespace: "*" },
};
const SERVICE_TOKEN_BYTES = 32;

/** What a first start made; the secrets are in the files alone. */
export interface FirstStart {
  readonly namespace: string;
  /** The identities, which are both the names of the files and the user names to log in with. */
  readonly identities: readonly string[];
  readonly credentialsFolder: string;
}

/**
 * Makes the first identities, their keys and their namespace in a store that holds no identity; else does nothing, so that files that
 * were moved away stay away (RULES 18). The files come first: a start that is cut off between goes on with the secrets that they hold.
 */
export async function firstStart(
  services: Needs,
  credentialsFolder: string,
  serviceToken: ServiceTokenPlace,
): Promise<FirstStart | undefined> {
  const [known] = await services.metadata.list(under(keys.identities(), 1));
  if (known !== undefined) return undefined;
  const made: Made[] = [];
  for (const [name, binding] of Object.entries(IDENTITIES)) {
    made.push(firstIdentity(services, name, binding, await secretIn(join(credentialsFolder, name))));
  }
  for (const { identity, key } of made) await writeSecretFile(join(credentialsFolder, identity.name), key.secret);
  await makeServiceToken(services, serviceToken);
  await commit(services, made);
  return { namespace: NAMESPACE, identities: Object.keys(IDENTITIES), credentialsFolder };
}

interface Made {
  readonly identity: IdentityRecord;
  readonly binding: Binding;
  readonly key: FreshCredential;
}

function firstIdentity(services: Needs, name: string, binding: Binding, existing: string | undefined): Made {
  const now = services.clock();
  const identity: IdentityRecord = {
    v: 1,
    name,
    kind: "service",
    bindings: [binding],
    disabled: false,
    epoch: 0,
    createdBy: SYSTEM.principal,
    createdAt: now,
    countsAs: name,
  };
  // Neither expires nor idles out: nobody may be there yet to renew it (RULES 18).
  const choice = { createdBy: SYSTEM.principal, expiresAt: null, idleMilliseconds: null, parent: null, epoch: 0 } as const;
  return { identity, binding, key: freshCredential(services, { kind: "api-key", identity: name, ...choice }, existing) };
}

/** The key that a start which was cut off has left, or that was put there beforehand. */
async function secretIn(path: string): Promise<string | undefined> {
  const file = await readSecretFile(path);
  if (file === undefined) return undefined;
  if (secretKindOf(file.secret) === "api-key" && !file.readableByOthers) return file.secret;
  throw new SecretFileError(`${path} exists, and is not an API key that only its owner can read: move it away, and start again`);
}

async function makeServiceToken({ random }: Needs, { path, makable }: ServiceTokenPlace): Promise<void> {
  if (!makable || (await readSecretFile(path)) !== undefined) return;
  await writeSecretFile(path, Buffer.from(random(SERVICE_TOKEN_BYTES)).toString("hex"));
}

async function commit(services: Needs, made: readonly Made[]): Promise<void> {
  const namespace = { v: 1, owner: "publisher", createdBy: SYSTEM.principal, createdAt: services.clock() } as const;
  const put: readonly Put[] = [
    ...made.flatMap(({ identity, key }) => [...identityPuts(identity), ...credentialPuts(key.record)]),
    ...namespacePuts(NAMESPACE, namespace),
  ];
  const outcome = await services.metadata.commit({
    expect: made.map(({ identity }) => ({ key: keys.identity(identity.name), version: "absent" })),
    put,
    remove: [],
    audit: eventsOf(services, made),
  });
  if (outcome === "conflict") throw new Error("another process made the first identities at the same time");
}

function eventsOf(services: Needs, made: readonly Made[]): ReturnType<typeof auditEvent>[] {
  const identities = made.flatMap(({ identity: { name }, binding, key: { record } }) => [
    auditEvent(services, SYSTEM, { type: "identity.create", target: { kind: "identity", name }, after: { ...binding } }),
    auditEvent(services, SYSTEM, {
      type: "credential.create",
      target: { kind: "credential", name: record.id },
      after: { identity: name, expiresAt: null },
    }),
  ]);
  const target = { kind: "namespace", name: NAMESPACE } as const;
  return [...identities, auditEvent(services, SYSTEM, { type: "namespace.create", target, after: { owner: "publisher" } })];
}
