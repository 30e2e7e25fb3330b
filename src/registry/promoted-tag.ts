import type { AuditEvent } from "../audit/event.ts";
import { rightsOn } from "../identity/authorize.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import type { TagRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { demand } from "./find-artifact.ts";
import type { Caller, Services } from "./ports.ts";
import { giveWay } from "./right-of-way.ts";
import { findManifest, readerOf, serveManifest } from "./serving.ts";
import { type Target, demandRoomForTags, movePointer, promotedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

/** The two pointers of a tag after a change. */
export interface TagPointers {
  readonly repository: RepositoryName;
  readonly tag: Tag;
  readonly promoted: TagRecord | null;
}

/** Rolls the readers' pointer of a tag to a trusted digest, or removes it (RULES 10); the pushed pointer stays. */
export async function setPromotedTag(
  services: Needs,
  caller: Caller,
  at: { readonly repository: RepositoryName; readonly tag: Tag },
  target: { readonly digest: Digest | null; readonly reason: string | null },
): Promise<TagPointers> {
  const rights = rightsOn(caller.principal, at.repository);
  if (!rights.has("pull") && !rights.has("pull:any")) throw new RegistryError("NOT_FOUND", "no such tag, or none that you may see");
  demand(rights, "push:any", "moving what readers see under a tag");
  return decideAndCommit(services, async () => decide(services, caller, at, target));
}

async function decide(
  services: Needs,
  caller: Caller,
  { repository, tag }: { readonly repository: RepositoryName; readonly tag: Tag },
  { digest, reason }: { readonly digest: Digest | null; readonly reason: string | null },
): Promise<Decided<TagPointers>> {
  const way = await giveWay(services, repository);
  const old = (await promotedPointer(services, repository, tag))?.record.digest ?? null;
  if (digest === null && old === null) throw new RegistryError("NOT_FOUND", "the tag is not promoted");
  const move = { repository, tag, which: "promoted" as const, by: caller.principal.name, at: services.clock() };
  const target = digest === null ? NO_TARGET : await trustedTarget(services, repository, digest);
  if (target.pointer !== undefined) {
    await demandRoomForTags(services, { repository, manifest: target.pointer.canonical }, "promoted", [tag]);
  }
  const moved = await movePointer(services, move, target.pointer);
  const said = { digest, old, reason, at: { repository, tag } };
  const promoted = digest && { v: 1 as const, digest, by: move.by, at: move.at };
  return {
    change: {
      ...moved,
      expect: [way, ...moved.expect, ...target.expect],
      put: [...moved.put, ...target.put],
      audit: [movedEvent(services, caller, said)],
    },
    result: { repository, tag, promoted },
  };
}

function movedEvent(
  services: Needs,
  { actor }: Caller,
  said: {
    readonly at: { readonly repository: RepositoryName; readonly tag: Tag };
    readonly old: Digest | null;
    readonly digest: Digest | null;
    readonly reason: string | null;
  },
): AuditEvent {
  const { at, old, digest, reason } = said;
  return auditEvent(services, actor, {
    type: digest === null ? "tag.remove" : "tag.rollback",
    target: { kind: "tag", name: at.repository, tag: at.tag, ...(digest !== null && { digest }) },
    ...(reason !== null && { reason }),
    before: { promoted: old },
    after: { promoted: digest },
  });
}

interface RollBack {
  readonly pointer: Target | undefined;
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
}

const NO_TARGET: RollBack = { pointer: undefined, expect: [], put: [] };

/** What a rolled-back tag may point at, and that it has to be so still when the change is made. */
async function trustedTarget(services: Needs, repository: RepositoryName, digest: Digest): Promise<RollBack> {
  const found = await findManifest(services, repository, digest);
  const serving = await serveManifest(services, readerOf(new Set(["pull"] as const)), repository, found?.record);
  if (found?.record.state !== "trusted" || serving.effect !== "allow") {
    throw new RegistryError("CONFLICT", "a tag can be rolled back only to a digest that is trusted in this repository: promote it first");
  }
  const canonical = found.record.digest;
  const key = keys.manifest(repository, canonical);
  return {
    pointer: { digest, canonical, trusted: true },
    expect: [{ key, version: found.version }],
    // Unchanged: its new version tells a transition of it that its tags have changed (`movePointer`).
    put: [{ key, value: found.record }],
  };
}
