import { entryOf } from "../../api/audit.ts";
import { registryRights } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import { auditBefore } from "../../registry/audit-window.ts";
import type { Services } from "../../registry/ports.ts";
import { type AuditFields, type ShownEvent, auditPage } from "../../ui/audit.ts";
import type { Ask, Door } from "../route.ts";
import type { Pages } from "./page.ts";

const PAGE = 30;
const MAX_FIELD = 512;

/** The page of what happened, for who may read the audit by the API. */
export function auditPageDoors(services: Pick<Services, "metadata">, pages: Pages): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/ui/audit",
      action: "session",
      handle: async (c, { principal }) => {
        if (!registryRights(principal).has("audit")) {
          throw new RegistryError("DENIED", "the audit is for who holds the permission audit: auditors and operators");
        }
        const fields = fieldsOf(c);
        const filter = { actor: fields.actor || undefined, type: fields.type || undefined, artifact: fields.artifact || undefined };
        const { links, next } = await auditBefore(services, { before: sequenceOf(c.req.query("before")), limit: PAGE, filter });
        const main = auditPage({ fields, events: links.map((link) => shown(entryOf(link))), next });
        return pages.show(c, { title: "Audit", section: "/ui/audit", main });
      },
    },
  ];
}

function fieldsOf(c: Ask): AuditFields {
  const text = (name: string): string => (c.req.query(name) ?? "").trim().slice(0, MAX_FIELD);
  return { actor: text("actor"), type: text("type"), artifact: text("artifact") };
}

function sequenceOf(text: string | undefined): number | undefined {
  return /^[1-9]\d{0,14}$/.test(text ?? "") ? Number(text) : undefined;
}

function shown({ sequence, time, type, outcome, actor, target, reason, before, after }: ReturnType<typeof entryOf>): ShownEvent {
  return {
    sequence,
    time,
    type,
    outcome,
    actor: actor.principal,
    from: actor.address,
    requestId: actor.requestId,
    target: target && [target.kind, target.name, target.tag, target.digest].filter((part) => part !== undefined).join(" "),
    reason,
    before: before && JSON.stringify(before),
    after: after && JSON.stringify(after),
  };
}
