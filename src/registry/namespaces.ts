import { registryRights } from "../identity/authorize.ts";
import { isIdentityName, isNamespaceName, isReservedNamespace, skeletonOf } from "../identity/name.ts";
import { refusalOfMaker, refusalOfOwner } from "../identity/own-namespace.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys, under } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import { type IdentityRecord, type NamespaceRecord, namespaceRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { type FoundIdentity, findIdentity } from "./identities.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

export interface Namespace {
  readonly name: string;
  readonly record: NamespaceRecord;
}

/** Makes a namespace that an identity owns. Throws DENIED for who makes none, and CONFLICT where the name or the owner cannot be had. */
export async function createNamespace(
  services: Needs,
  caller: Caller,
  { name, owner }: { readonly name: string; readonly owner: string },
): Promise<Namespace> {
  const refused = refusalOfMaker(caller.principal);
  if (refused !== undefined) throw new RegistryError("DENIED", refused);
  checkName(name);
  return decideAndCommit(services, async () => {
    await checkFree(services, name);
    const found = isIdentityName(owner) ? await findIdentity(services, owner) : undefined;
    if (found === undefined)
      throw new RegistryError("INVALID", `there is no identity ${quoted(owner)}; make one with \`securectl key create\``);
    const unfit = refusalOfOwner(found.record);
    if (unfit !== undefined) throw new RegistryError("CONFLICT", unfit);
    return decided(services, caller, name, found);
  });
}

/**
 * Namespaces by name, from after one: all of them for operators and auditors, for others those that a role of theirs names, since a
 * name alone can tell what somebody works on.
 */
export async function listNamespaces(
  { metadata }: Pick<Services, "metadata">,
  { principal }: Caller,
  { limit, after }: { readonly limit: number; readonly after: string | undefined },
): Promise<readonly Namespace[]> {
  if (registryRights(principal).has("audit") || registryRights(principal).has("administer:system")) {
    const entries = await metadata.list(under(keys.namespaces(), limit, after === undefined ? [] : [after]));
    return entries.map(({ key, value }) => ({ name: String(key[1]), record: namespaceRecord.parse(value) }));
  }
  const named = [...new Set(principal.bindings.map(({ namespace }) => namespace))].toSorted();
  const wanted = named.filter((name) => name !== "*" && (after === undefined || name > after)).slice(0, limit);
  const found = await Promise.all(wanted.map((name) => findNamespace({ metadata }, name)));
  return found.filter((namespace) => namespace !== undefined);
}

/** A namespace by its name. */
export async function findNamespace({ metadata }: Pick<Services, "metadata">, name: string): Promise<Namespace | undefined> {
  const entry = await metadata.get(keys.namespace(name));
  return entry && { name, record: namespaceRecord.parse(entry.value) };
}

function decided(services: Needs, caller: Caller, name: string, { record, version }: FoundIdentity): Decided<Namespace> {
  const namespace: NamespaceRecord = { v: 1, owner: record.name, createdBy: caller.principal.name, createdAt: services.clock() };
  const owner: IdentityRecord = { ...record, bindings: [...record.bindings, { role: "owner", namespace: name }] };
  const event = auditEvent(services, caller.actor, {
    type: "namespace.create",
    target: { kind: "namespace", name },
    after: { owner: record.name },
  });
  return {
    change: {
      expect: [
        { key: keys.namespace(name), version: "absent" },
        { key: keys.namespaceSkeleton(skeletonOf(name)), version: "absent" },
        { key: keys.identity(record.name), version },
      ],
      put: [...namespacePuts(name, namespace), { key: keys.identity(record.name), value: owner }],
      remove: [],
      audit: [event],
    },
    result: { name, record: namespace },
  };
}

/** The rows of a new namespace, but for the owner's binding. */
export function namespacePuts(name: string, record: NamespaceRecord): readonly Put[] {
  return [
    { key: keys.namespace(name), value: record },
    { key: keys.namespaceSkeleton(skeletonOf(name)), value: name },
  ];
}

function checkName(name: string): void {
  if (!isNamespaceName(name)) {
    const rule = "a namespace is one component of a repository name: lower-case letters and digits, joined by single . _ or -, at most 64";
    throw new RegistryError("NAME_INVALID", rule);
  }
  if (isReservedNamespace(name)) throw new RegistryError("CONFLICT", `the name ${name} is reserved; choose another one`);
}

async function checkFree({ metadata }: Pick<Services, "metadata">, name: string): Promise<void> {
  const taken = await metadata.get(keys.namespaceSkeleton(skeletonOf(name)));
  if (taken === undefined) return;
  const why = taken.value === name ? `the namespace ${name} exists` : `${name} could be mistaken for the namespace ${String(taken.value)}`;
  throw new RegistryError("CONFLICT", `${why}; choose another name`);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
