import type { Actor, AuditEvent } from "../audit/event.ts";
import type { Services } from "./ports.ts";

/** What is to be said of a change; the rest of the event comes from the caller and the clock. */
export type Said = Omit<AuditEvent, "id" | "time" | "actor" | "outcome"> & Partial<Pick<AuditEvent, "outcome">>;

/** An audit event of now. */
export function auditEvent(services: Pick<Services, "clock" | "newId">, actor: Actor, said: Said): AuditEvent {
  return { id: services.newId(), time: services.clock(), actor, outcome: "allow", ...said };
}
