import { z } from "zod";
import type { AuditEvent } from "../audit/event.ts";
import { stateSchema } from "../lifecycle/state.ts";
import type { Meter } from "../metrics/metric-set.ts";
import type { Inspector } from "../scan/inspector.ts";
import { keys } from "../storage/keys.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import type { RefusalLog } from "./refusals.ts";

/** A metadata store that counts what its changes say of themselves in the audit log: every change is counted, whoever makes it. */
export function measuredMetadata(store: MetadataStore, meter: Meter): MetadataStore {
  return {
    get: (key) => store.get(key),
    list: (range) => store.list(range),
    commit: async (change) => {
      const outcome = await store.commit(change);
      if (outcome === "committed") {
        for (const event of change.audit) countEvent(event, meter);
        for (const { key, value } of change.put) if (key[0] === DECISION) countChecks(value, meter);
      }
      return outcome;
    },
    close: () => store.close(),
  };
}

const [DECISION] = keys.allDecisions();
const decisionChecks = z.looseObject({
  decision: z.looseObject({ checks: z.array(z.looseObject({ id: z.string(), status: z.string() })) }),
});

/** Those of written policies have the policy's name, which says something of what is kept here. */
function countChecks(record: unknown, meter: Meter): void {
  // What is committed already is not undone for a count.
  const { checks = [] } = decisionChecks.safeParse(record).data?.decision ?? {};
  for (const { id, status } of checks) meter.add("registry_policy_checks_total", { check: /^[a-z-]*/.exec(id)?.[0] ?? "", status });
}

function countEvent(event: AuditEvent, meter: Meter): void {
  meter.add("registry_audit_events_total", { type: event.type });
  countTransition(event, meter);
  if (event.type === "blob.damage") meter.add("registry_integrity_failures_total");
}

/** What is pushed, promoted or revoked once more moves no state; what is denied is a promotion, whose event tells the state that stays. */
function countTransition({ type, outcome, before, after }: AuditEvent, meter: Meter): void {
  const [from, to] = [stateSchema.safeParse(before?.["state"]).data, stateSchema.safeParse(after?.["state"]).data];
  if (to === undefined || (outcome === "allow" && from === to)) return;
  // The event of what was looked at again and stays as it is has no state before.
  if (type === "artifact.reevaluate" && from === undefined) return;
  meter.add("registry_transitions_total", { from: from ?? "none", to: outcome === "deny" ? "trusted" : to, outcome });
}

/** What was asked for and why it was denied, in words of ours alone: what else an event says may come from the client. */
function denialOf({ type, reason = "" }: AuditEvent): { readonly permission: string; readonly reason: string } {
  const permission = /^lacks ([a-z:]+)$/.exec(reason)?.[1];
  if (type === "auth.denied" && permission !== undefined) return { permission, reason: "permission" };
  if (type === "auth.login") return { permission: "login", reason: /^[a-z-]{1,32}$/.test(reason) ? reason : "other" };
  if (type === "manifest.read") return { permission: "pull", reason: "hidden" };
  return { permission: "", reason: type === "request.refused" ? "rule" : "other" };
}

/** A log of refusals that counts those for want of a permission. */
export function measuredRefusals(log: RefusalLog, meter: Meter): RefusalLog {
  return {
    note: (event) => {
      if (event.outcome === "deny") meter.add("registry_authz_denials_total", denialOf(event));
      log.note(event);
    },
    flush: () => log.flush(),
    close: () => log.close(),
  };
}

/** An inspector that takes the time of each look into a file. */
export function measuredInspector(inspector: Inspector, meter: Meter): Inspector {
  const timed = async <T>(scanner: string, work: Promise<T>): Promise<T> => {
    const began = performance.now();
    try {
      return await work;
    } finally {
      meter.observe("registry_scan_duration_seconds", { scanner }, (performance.now() - began) / 1000);
    }
  };
  return {
    facts: (...args) => timed("header", inspector.facts(...args)),
    details: (...args) => timed("details", inspector.details(...args)),
    files: (...args) => timed("archive", inspector.files(...args)),
    card: (...args) => timed("card", inspector.card(...args)),
    generate: (...args) => timed("tensor-manifest", inspector.generate(...args)),
    verify: (...args) => timed("tensor-verification", inspector.verify(...args)),
    diff: (...args) => timed("tensor-diff", inspector.diff(...args)),
  };
}
