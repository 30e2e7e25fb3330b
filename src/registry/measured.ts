import type { AuditEvent } from "../audit/event.ts";
import type { Meter } from "../metrics/metric-set.ts";
import type { Inspector } from "../scan/inspector.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import type { RefusalLog } from "./refusals.ts";

/** A metadata store that counts what its changes say of themselves in the audit log: every change is counted, whoever makes it. */
export function measuredMetadata(store: MetadataStore, meter: Meter): MetadataStore {
  return {
    get: (key) => store.get(key),
    list: (range) => store.list(range),
    commit: async (change) => {
      const outcome = await store.commit(change);
      if (outcome === "committed") for (const event of change.audit) countEvent(event, meter);
      return outcome;
    },
    close: () => store.close(),
  };
}

function countEvent({ type, outcome }: AuditEvent, meter: Meter): void {
  meter.add("registry_audit_events_total", { type });
  const [kind, event = ""] = type.split(".");
  if (kind === "artifact") meter.add("registry_transitions_total", { event, outcome });
  if (type === "blob.damage") meter.add("registry_integrity_failures_total");
}

/** A log of refusals that counts those for want of a permission. */
export function measuredRefusals(log: RefusalLog, meter: Meter): RefusalLog {
  return {
    note: (event) => {
      const permission = event.type === "auth.denied" ? /^lacks ([a-z:]+)$/.exec(event.reason ?? "")?.[1] : undefined;
      if (permission !== undefined) meter.add("registry_authz_denials_total", { permission });
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
    generate: (...args) => timed("tensor-manifest", inspector.generate(...args)),
    verify: (...args) => timed("tensor-verification", inspector.verify(...args)),
    diff: (...args) => timed("tensor-diff", inspector.diff(...args)),
  };
}
