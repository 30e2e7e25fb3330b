import { stateSchema } from "../../lifecycle/state.ts";
import type { Services } from "../../registry/ports.ts";
import { type WaitingArtifact, waitingArtifacts } from "../../registry/waiting-artifacts.ts";
import { type QueuedArtifact, reviewPage } from "../../ui/review.ts";
import type { Door } from "../route.ts";
import type { Pages } from "./page.ts";

const MAX_SHOWN = 60;

/** The page of what waits for a decision. */
export function reviewDoors(services: Pick<Services, "metadata" | "clock">, pages: Pages): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/ui/review",
      action: "session",
      handle: async (c, caller) => {
        const { artifacts, isComplete } = await waitingArtifacts(services, caller);
        const queued = artifacts.slice(0, MAX_SHOWN).map((each) => shown(each, services.clock()));
        const main = reviewPage({ artifacts: queued, more: artifacts.length - queued.length, isComplete });
        return pages.show(c, { title: "Review queue", section: "/ui/review", main });
      },
    },
  ];
}

function shown({ artifact, refusedAt }: WaitingArtifact, now: number): QueuedArtifact {
  return {
    repository: artifact.repository,
    digest: artifact.digest,
    tags: artifact.tags,
    state: stateSchema.parse(artifact.state),
    age: Math.max(0, now - Date.parse(artifact.changed_at)),
    pushedBy: artifact.pushed_by,
    refusedAt: refusedAt === undefined ? undefined : new Date(refusedAt).toISOString(),
  };
}
