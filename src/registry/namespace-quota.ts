import { namespacesWith, registryRights } from "../identity/authorize.ts";
import { isNamespaceName } from "../identity/name.ts";
import { isOperatorWithKey } from "../identity/own-namespace.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import { type Quota, type QuotaRecord, quotaRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { type Namespace, findNamespace } from "./namespaces.ts";
import type { Caller, Services } from "./ports.ts";
import { type Usage, quotaOf, usageOf } from "./quotas.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "settings">;

/** A namespace, what it may hold, what of that was set for it alone, and what it holds. */
export interface HeldNamespace {
  readonly namespace: Namespace;
  readonly quota: Quota;
  readonly own: OwnQuota;
  readonly usage: Usage;
}

type OwnQuota = Omit<QuotaRecord, "v">;

/** As somebody may see it. */
export type ShownNamespace = Omit<HeldNamespace, "usage"> & { readonly usage: Usage | null };

/**
 * A namespace to who may see it: operators, auditors, and whoever has a role there. To others it is not there. What it holds is not for
 * readers, whom it would tell of every push, and to the byte how much came.
 */
export async function showNamespace(needs: Needs, { principal }: Caller, name: string): Promise<ShownNamespace> {
  const rights = registryRights(principal);
  const seesAll = rights.has("audit") || rights.has("administer:system");
  if (!seesAll && !principal.bindings.some(({ namespace }) => namespace === name)) throw unknown();
  const shown = await heldNamespace(needs, name);
  const untrusted = namespacesWith(principal, "pull:any");
  return seesAll || untrusted === "*" || untrusted.includes(name) ? shown : { ...shown, usage: null };
}

/** Sets what a namespace may hold; what is left out is as the configuration says. What it holds beyond that stays, and grows no more. */
export async function setQuota(needs: Needs, caller: Caller, name: string, wanted: OwnQuota): Promise<HeldNamespace> {
  if (!isOperatorWithKey(caller.principal)) throw new RegistryError("DENIED", "only an operator sets quotas, with an API key");
  await decideAndCommit(needs, async () => {
    const { own: before } = await heldNamespace(needs, name);
    const key = keys.quota(name);
    const entry = await needs.metadata.get(key);
    const after = quotaRecord.parse({ v: 1, ...wanted });
    const { v: _, ...shown } = after;
    const event = auditEvent(needs, caller.actor, {
      type: "namespace.quota",
      target: { kind: "namespace", name },
      before: { ...before },
      after: { ...shown },
    });
    const isDefault = Object.keys(shown).length === 0;
    return {
      change: {
        expect: [{ key, version: entry?.version ?? "absent" }],
        put: isDefault ? [] : [{ key, value: after }],
        remove: isDefault ? [key] : [],
        audit: [event],
      },
      result: undefined,
    };
  });
  return heldNamespace(needs, name);
}

/** A namespace with what it holds, for who sees everything. */
export async function heldNamespace(needs: Pick<Needs, "metadata" | "settings">, name: string): Promise<HeldNamespace> {
  const namespace = isNamespaceName(name) ? await findNamespace(needs, name) : undefined;
  if (namespace === undefined) throw unknown();
  const entry = await needs.metadata.get(keys.quota(name));
  const { v: _, ...own } = entry === undefined ? { v: 1 } : quotaRecord.parse(entry.value);
  return { namespace, own, quota: await quotaOf(needs, name), usage: await usageOf(needs, name) };
}

function unknown(): RegistryError {
  return new RegistryError("NOT_FOUND", "there is no such namespace, or you have no role in it");
}
