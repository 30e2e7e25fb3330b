import { expect, test } from "vitest";
import type { AuditEvent } from "../../src/audit/event.ts";
import { MetricSet } from "../../src/metrics/metric-set.ts";
import { measuredMetadata } from "../../src/registry/measured.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

type Said = Pick<AuditEvent, "type" | "before" | "after"> & Partial<Pick<AuditEvent, "outcome">>;

async function transitionsOf(...events: readonly Said[]): Promise<readonly string[]> {
  await using at = await temporaryMetadata();
  const metrics = new MetricSet();
  const metadata = measuredMetadata(at.metadata, metrics);
  for (const [index, said] of events.entries()) {
    const event: AuditEvent = {
      id: `event ${index}`,
      time: 1,
      actor: { principal: "operating", kind: "human" },
      target: { kind: "artifact", name: "models/m" },
      outcome: "allow",
      ...said,
    };
    await metadata.commit({ expect: [], put: [], remove: [], audit: [event] });
  }
  return (metrics.snapshot()["registry_transitions_total"] ?? []).map(({ labels, value }) => `${labels.join(" ")} ${value}`);
}

const [trusted, revoked] = [{ state: "trusted" }, { state: "revoked" }];

test("a transition is counted by the states that it leads between", async () => {
  expect(await transitionsOf({ type: "artifact.revoke", before: trusted, after: revoked })).toEqual(["trusted revoked allow 1"]);
  expect(await transitionsOf({ type: "manifest.push", after: { state: "acquired" } })).toEqual(["none acquired allow 1"]);
  const denied = { type: "artifact.promote", outcome: "deny", before: { state: "acquired" }, after: { state: "acquired" } } as const;
  expect(await transitionsOf(denied)).toEqual(["acquired trusted deny 1"]);
});

test("what stays as it is was no transition, whoever looked at it or asked for it once more", async () => {
  expect(await transitionsOf({ type: "artifact.reevaluate", after: trusted })).toEqual([]);
  for (const type of ["manifest.push", "artifact.promote", "artifact.revoke"])
    expect(await transitionsOf({ type, before: revoked, after: revoked })).toEqual([]);
});
