import { liveRightsOn, mayDeleteOthersUploads } from "../identity/authorize.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { refuseDeletingEvidence } from "./append-only-tag.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import type { Caller, Services } from "./ports.ts";
import { refuseReservedTag } from "./reserved-tag.ts";
import { giveWay } from "./right-of-way.ts";
import { movePointer, promotedPointer, pushedPointer } from "./tags.ts";

/** What a person should know after a tag was deleted. */
export type DeletedTag = { readonly warning: string | undefined };

/** Removes the pushed pointer of a tag (RULES 10): what readers see under it stays until it is removed by `push:any`. */
export async function deleteTag(
  services: Pick<Services, "metadata" | "clock" | "newId">,
  caller: Caller,
  repository: RepositoryName,
  tag: Tag,
): Promise<DeletedTag> {
  const { principal } = caller;
  // By its live roles: a token for DELETE need not cover reads.
  const maySee = liveRightsOn(principal, repository).has("pull:any");
  return decideAndCommit(services, async () => {
    const way = await giveWay(services, repository);
    const free = await refuseReservedTag(services, { repository, tags: [tag] });
    const pushed = maySee ? await pushedPointer(services, repository, tag) : undefined;
    if (pushed === undefined) throw new RegistryError("MANIFEST_UNKNOWN");
    if (pushed.record.by !== principal.name && !mayDeleteOthersUploads(principal, repository)) {
      throw new RegistryError("DENIED", "you may delete only tags that you moved last; a maintainer may delete the rest");
    }
    refuseDeletingEvidence(principal, repository, [tag]);
    const promoted = await promotedPointer(services, repository, tag);
    const moved = await movePointer(services, { repository, tag, which: "pushed", by: principal.name, at: services.clock() }, undefined);
    const { digest } = pushed.record;
    const audit = [
      auditEvent(services, caller.actor, {
        type: "tag.delete",
        target: { kind: "tag", name: repository, tag, digest },
        before: { pushed: digest },
        after: { pushed: null, promoted: promoted?.record.digest ?? null },
      }),
    ];
    const warning =
      promoted && `readers still get ${promoted.record.digest} under this tag: a maintainer can remove that with securectl tag remove`;
    return { change: { ...moved, expect: [way, ...moved.expect, ...free], audit }, result: { warning } };
  });
}
