import { entryOf, headOf } from "../../api/audit.ts";
import { registryRights } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import { auditBefore } from "../../registry/audit-window.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type AuditFilter, auditHead, readAudit } from "../../registry/read-audit.ts";
import { verifyAudit } from "../../registry/verify-audit.ts";
import { type AuditFields, type ShownEvent, auditPage } from "../../ui/audit.ts";
import { proofPage } from "../../ui/audit-proof.ts";
import { type Ask, type Door, isHead } from "../route.ts";
import { whileStanding } from "../standing.ts";
import type { Pages } from "./page.ts";

const PAGE = 30;
const EXPORTED_AT_ONCE = 500;
const MAX_FIELD = 512;

type Needs = Pick<Services, "metadata">;

/** The page of what happened, the proof of its chain, and all of it to take away, for who may read the audit by the API. */
export function auditPageDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    { method: "GET", path: "/ui/audit", action: "session", handle: (c, caller) => show(services, pages, c, caller) },
    {
      method: "GET",
      path: "/ui/audit/verify",
      action: "session",
      limit: "export",
      handle: async (c, caller) => {
        demandAudit(caller);
        const after = sequenceOf(c.req.query("after")) ?? 0;
        const { last, broken, next } = await verifyAudit(services, after);
        return pages.show(c, {
          title: "Proof of the audit",
          section: "/ui/audit",
          main: proofPage({ after, last: headOf(last), broken, next }),
        });
      },
    },
    { method: "GET", path: "/ui/audit/jsonl", action: "session", limit: "export", handle: (c, caller) => download(services, c, caller) },
  ];
}

function demandAudit({ principal }: Caller): void {
  if (registryRights(principal).has("audit")) return;
  throw new RegistryError("DENIED", "the audit is for who holds the permission audit: auditors and operators");
}

async function show(services: Needs, pages: Pages, c: Ask, caller: Caller): Promise<Response> {
  demandAudit(caller);
  const fields = fieldsOf(c);
  const before = sequenceOf(c.req.query("before"));
  const head = headOf(await auditHead(services));
  const { links, next } = await auditBefore(services, { before, limit: PAGE, filter: filterOf(fields) });
  const main = auditPage({ fields, events: links.map((link) => shown(entryOf(link))), next, head });
  return pages.show(c, { title: "Audit", section: "/ui/audit", main, copies: true });
}

/** A line an event, oldest first, as `GET /v1/audit` tells it. It takes no turn: a part is read when the one before is taken. */
async function download(services: Needs, c: Ask, caller: Caller): Promise<Response> {
  demandAudit(caller);
  const headers = {
    "Content-Type": "application/jsonl",
    "Content-Disposition": 'attachment; filename="audit.jsonl"',
    "Cache-Control": "no-store",
  };
  if (isHead(c)) return c.body(null, 200, headers);
  return c.body(ReadableStream.from(whileStanding(c, linesOf(services, filterOf(fieldsOf(c))))), 200, headers);
}

async function* linesOf(services: Needs, filter: AuditFilter): AsyncGenerator<Uint8Array> {
  for (let after: number | undefined = 0; after !== undefined;) {
    const { links, next } = await readAudit(services, { after, limit: EXPORTED_AT_ONCE, filter });
    if (links.length > 0) yield Buffer.from(links.map((link) => `${JSON.stringify(entryOf(link))}\n`).join(""));
    after = next;
  }
}

function filterOf({ actor, type, artifact }: AuditFields): AuditFilter {
  return { actor: actor || undefined, type: type || undefined, artifact: artifact || undefined };
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
