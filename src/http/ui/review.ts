import { stateSchema } from "../../lifecycle/state.ts";
import { compareToTrusted } from "../../registry/compare-artifacts.ts";
import { sealedMoment } from "../../registry/page-moment.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { trustedBase } from "../../registry/trusted-base.ts";
import { type WaitingArtifact, waitingArtifacts } from "../../registry/waiting-artifacts.ts";
import { repositoryNameSchema } from "../../oci/reference.ts";
import { summaryOf } from "../../ui/changes.ts";
import { type QueuedArtifact, reviewPage } from "../../ui/review.ts";
import type { Door } from "../route.ts";
import type { Pages } from "./page.ts";

type Needs = Parameters<typeof compareToTrusted>[0] & Pick<Services, "random" | "secretFor">;

const PAGE = 20;
/** Where both manifests have at most so many bytes their difference is told: a page of many is not to read megabytes. */
const MAX_MANIFEST = 65_536;

/** The page of what waits for a decision. */
export function reviewDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/ui/review",
      action: "session",
      handle: async (c, caller) => {
        const since = await sealedMoment(services, caller);
        const cursor = c.req.query("cursor");
        const { artifacts, next, isComplete } = await waitingArtifacts(services, caller, { cursor, limit: PAGE });
        const queued: QueuedArtifact[] = [];
        for (const each of artifacts) {
          queued.push({ ...shown(each, services.clock()), difference: await differenceOf(services, caller, each) });
        }
        const main = reviewPage({ artifacts: queued, isFirst: cursor === undefined, next, isComplete });
        return pages.show(c, { title: "Review queue", section: "/ui/review", main, live: { about: "queue", since } });
      },
    },
  ];
}

/** The difference to what is trusted, in a line. */
async function differenceOf(services: Needs, caller: Caller, { artifact }: WaitingArtifact): Promise<string | undefined> {
  const repository = repositoryNameSchema.parse(artifact.repository);
  const base = await trustedBase(services, caller, repository, artifact.digest);
  if (base === undefined) return "nothing is trusted there yet";
  const compared = await compareToTrusted(services, caller, { repository, digest: artifact.digest, base }, MAX_MANIFEST);
  return compared && summaryOf(compared.counts, compared);
}

function shown({ artifact, since, refusedAt }: WaitingArtifact, now: number): Omit<QueuedArtifact, "difference"> {
  return {
    repository: artifact.repository,
    digest: artifact.digest,
    tags: artifact.tags,
    state: stateSchema.parse(artifact.state),
    age: Math.max(0, now - since),
    pushedBy: artifact.pushed_by,
    refusedAt: refusedAt === undefined ? undefined : new Date(refusedAt).toISOString(),
  };
}
