import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import { linkRecord, linkUseRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { linkKeys } from "./link-blob.ts";
import type { Services } from "./ports.ts";
import { belongsToRoot } from "./reach.ts";
import { SYSTEM } from "./system-actor.ts";
import { noOtherTransition } from "./transition.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

/** A repository, and a blob that it may hold. */
export interface LinkPlace {
  readonly repository: RepositoryName;
  readonly digest: Digest;
}

/**
 * Takes away the link to a blob that no manifest of the repository names, and that nobody has made or used since a time (epoch, ms). True
 * when the repository then has no link to it.
 */
export async function expireLink(services: Needs, place: LinkPlace, before: number): Promise<boolean> {
  return decideAndCommit(services, () => decide(services, place, before));
}

async function decide(services: Needs, place: LinkPlace, before: number): Promise<Decided<boolean>> {
  const { metadata } = services;
  const { repository, digest } = place;
  const link = await metadata.get(keys.link(repository, digest));
  if (link === undefined) return { result: true };
  const { at, by, size } = linkRecord.parse(link.value);
  if (at > before) return { result: false };
  // Both are read before what names the blob: a transition puts the one, and whoever begins to need a link as old as this the other.
  const alone = await noOtherTransition(services, repository);
  const key = keys.linkUse(repository, digest);
  const use = await metadata.get(key);
  if (use !== undefined && linkUseRecord.parse(use.value).at > before) return { result: false };
  if (await isNeeded(services, place)) return { result: false };
  const change = {
    expect: [alone, { key: link.key, version: link.version }, { key, version: use?.version ?? ("absent" as const) }],
    put: [],
    remove: linkKeys(repository, digest),
    audit: [
      auditEvent(services, SYSTEM, {
        type: "blob.unlink",
        target: { kind: "blob", name: repository, digest },
        reason: "no artifact of the repository names it",
        before: { by, size },
      }),
    ],
  };
  return { change, result: true };
}

/** Does a manifest name it that is there, revoked ones included? What once belonged to a root stays in any case. */
async function isNeeded(services: Needs, { repository, digest }: LinkPlace): Promise<boolean> {
  const blob = { kind: "blob", digest } as const;
  for (const family of [keys.edges(repository, blob), keys.deadEdges(repository, blob)]) {
    if ((await services.metadata.list(under(family, 1))).length > 0) return true;
  }
  return belongsToRoot(services, repository, blob);
}
