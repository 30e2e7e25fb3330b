import { type AuditPage, type AuditQuery, type AuditVerification, auditQuerySchema, entryOf, headOf } from "../../api/audit.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { modelEventAnswerJson } from "../../api/models.ts";
import { modelEvents } from "../../registry/model-events.ts";
import { beginWork } from "../../registry/begin-work.ts";
import { type AuditFilter, auditHead, readAudit } from "../../registry/read-audit.ts";
import { verifyAudit } from "../../registry/verify-audit.ts";
import { queryOf } from "../body.ts";
import { jsonArray } from "../json-array.ts";
import type { Ask, Door } from "../route.ts";

type Needs = Pick<Services, "metadata" | "limits">;

const PAGE = 100;
const AUDIT = { permission: "audit", on: "registry" } as const;

/** The doors to the audit: its pages, and the proof of its chain. */
export function auditDoors(services: Needs): readonly Door[] {
  return [
    { method: "GET", path: "/v1/audit", action: AUDIT, limit: "export", handle: (c: Ask, caller: Caller) => list(services, c, caller) },
    { method: "GET", path: "/v1/audit/verify", action: AUDIT, limit: "export", handle: (c: Ask) => prove(services, c) },
  ];
}

async function list(services: Needs, c: Ask, caller: Caller): Promise<Response> {
  const query: AuditQuery = queryOf(c, auditQuerySchema);
  const filter = filterFor(caller, query);
  const plain = caller.principal.kind === "service-token" && Object.keys(query).length === 0;
  if (plain) {
    await takeTurn(services, c);
    return jsonArray(c, predecessorsEvents(services));
  }
  const { links, next } = await readAudit(services, { after: query.after ?? 0, limit: query.limit ?? PAGE, filter });
  const page: AuditPage = { events: links.map(entryOf), next: next ?? null, head: headOf(await auditHead(services)) };
  return c.json(page);
}

/** All of the audit log is read for one at a time; the others wait a moment, and then come again. The turn ends with the answer. */
async function takeTurn({ limits }: Pick<Services, "limits">, c: Ask): Promise<void> {
  await beginWork(limits, "export");
  c.env.outgoing.once("close", () => limits.done("export"));
  if (c.env.outgoing.closed) limits.done("export");
}

async function prove(services: Pick<Services, "metadata">, c: Ask): Promise<Response> {
  const query = queryOf(c, auditQuerySchema);
  const { checked, last, broken, next } = await verifyAudit(services, query.after ?? 0);
  const answer: AuditVerification = {
    intact: broken === undefined,
    checked,
    next: next ?? null,
    head: headOf(last),
    broken: broken ?? null,
  };
  return c.json(answer);
}

/** The service token reads what its predecessor's audit held: what happened to artifacts, and no logins or grants. */
function filterFor({ principal }: Caller, { actor, artifact, type }: AuditQuery): AuditFilter {
  const artifactsOnly = principal.kind === "service-token" && type?.startsWith("artifact.") !== true;
  return { actor, artifact, type: artifactsOnly ? "artifact" : type };
}

async function* predecessorsEvents(services: Pick<Services, "metadata">): AsyncGenerator<string> {
  for await (const event of modelEvents(services)) yield modelEventAnswerJson(event);
}
