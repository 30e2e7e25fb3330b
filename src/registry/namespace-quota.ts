import { registryRights } from "../identity/authorize.ts";
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

/** A namespace to who may see it: operators, auditors, and whoever has a role there. To others it is not there. */
export async function showNamespace(needs: Needs, { principal }: Caller, name: string): Promise<HeldNamespace> {
  const rights = registryRights(principal);
  const maySee = rights.has("audit") || rights.has("administer:system") || principal.bindings.some(({ namespace }) => namespace === name);
  if (!maySee) throw unknown();
  return held(needs, name);
}

/** Sets what a namespace may hold; what is left out is as the configuration says. What it holds beyond that stays, and grows no more. */
export async function setQuota(needs: Needs, caller: Caller, name: string, wanted: OwnQuota): Promise<HeldNamespace> {
  if (!isOperatorWithKey(caller.principal)) throw new RegistryError("DENIED", "only an operator sets quotas, with an API key");
  await decideAndCommit(needs, async () => {
    const { own: before } = await held(needs, name);
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
  return held(needs, name);
}

async function held(needs: Needs, name: string): Promise<HeldNamespace> {
  const namespace = isNamespaceName(name) ? await findNamespace(needs, name) : undefined;
  if (namespace === undefined) throw unknown();
  const entry = await needs.metadata.get(keys.quota(name));
  const { v: _, ...own } = entry === undefined ? { v: 1 } : quotaRecord.parse(entry.value);
  return { namespace, own, quota: await quotaOf(needs, name), usage: await usageOf(needs, name) };
}

function unknown(): RegistryError {
  return new RegistryError("NOT_FOUND", "there is no such namespace, or you have no role in it");
}
