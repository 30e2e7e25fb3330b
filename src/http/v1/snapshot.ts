import { type SnapshotAnswer, snapshotAnswer } from "../../api/snapshot.ts";
import type { ProvenLink } from "../../registry/proven-chains.ts";
import type { Snapshot } from "../../registry/snapshot.ts";

/** A snapshot as the native API answers it. */
export function shownSnapshot({ repository, artifact, takenAt, expiresAt, bundle, chains }: Snapshot): SnapshotAnswer {
  return snapshotAnswer.parse({
    repository,
    digest: artifact,
    taken_at: new Date(takenAt).toISOString(),
    expires_at: new Date(expiresAt).toISOString(),
    snapshot: parsed(bundle),
    chains: chains.map((chain) => ({ digest: chain.artifact, state: chain.state, links: chain.links.map(shownLink) })),
  });
}

function shownLink({ sequence, digest, manifest, payload, summary, isSummaryListed }: ProvenLink): object {
  return {
    sequence,
    statement: digest,
    manifest,
    ...(manifest === null ? { payload } : {}),
    summary: summary === undefined ? null : { manifest: summary.manifest, listed: isSummaryListed },
  };
}

function parsed(json: string): unknown {
  return JSON.parse(json);
}
