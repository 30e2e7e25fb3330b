import { registryRights, rightsOn } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import { parseArtifactReference, repositoryNameSchema } from "../../oci/reference.ts";
import { type FoundArtifact, findArtifact } from "../../registry/find-artifact.ts";
import type { FollowedPage } from "../../registry/followed-pages.ts";
import { seesAll } from "../../registry/list-artifacts.ts";
import type { Caller, Services } from "../../registry/ports.ts";

type Concern = FollowedPage["concerns"];
type AuditEvent = Parameters<Concern>[0];
type Target = AuditEvent["target"];

/** What the page of operations is about: jobs and how far they are, and damage. */
export const JOBS = "jobs";
/** Events of what that page shows, besides what moves without one. */
const OF_JOBS = /^(?:verification\.|blob\.(?:damage|heal)$)/;
/** What no page of artifacts shows any differently: reads, bytes without a manifest, refusals and logins. */
const SILENT = /^(?:manifest\.read|blob\.|request\.|auth\.)/;
/** What the queue is about, by its repository. */
const QUEUED: ReadonlySet<string> = new Set(["artifact", "tag", "repository"]);
/** What a decision about any artifact may rest on. */
const REGISTRY_WIDE: ReadonlySet<string> = new Set(["policy", "registry", "identity"]);
/** What moves the tags that readers find things by. */
const READERS_TAGS: ReadonlySet<string> = new Set(["tag.remove", "tag.rollback"]);

/**
 * Which events a page of the caller is told of: those alone that it could find out about on pages of its own, since when something happened
 * is a hint that it did. `about` is an artifact, by its reference, `queue` or `jobs`. Throws NOT_FOUND for what the caller may not see.
 */
export async function concernOf(services: Pick<Services, "metadata">, caller: Caller, about: string): Promise<Concern> {
  if (about === "queue") return ({ type, target }) => !SILENT.test(type) && isOfQueue(caller, target);
  if (about === JOBS && registryRights(caller.principal).has("audit")) return ({ type }) => OF_JOBS.test(type);
  const at = parseArtifactReference(about);
  if (at === undefined) throw new RegistryError("NOT_FOUND", "no such artifact, or none that you may see");
  const artifact = await findArtifact(services, caller, at, "seen");
  const concerns = seesAll(artifact.rights) ? toWhoSeesAll(caller, artifact) : toReaders(artifact);
  return (event) => !SILENT.test(event.type) && (concerns(event) || isRevokedEverywhere(artifact, event));
}

/** The queue shows what is not trusted yet, to who sees that; of others' repositories its page learns not even that something happened. */
function isOfQueue(caller: Caller, target: Target): boolean {
  if (target === undefined || target.kind === "policy") return true;
  return QUEUED.has(target.kind) && rightsAt(caller, target.name).has("pull:any");
}

/** Everything in the repository, what decisions rest on, and what becomes of the same manifest where the caller sees all as well. */
function toWhoSeesAll(caller: Caller, { repository, record }: FoundArtifact): Concern {
  const names: ReadonlySet<string> = new Set(record.names);
  return ({ target }) =>
    target === undefined ||
    REGISTRY_WIDE.has(target.kind) ||
    target.name === repository ||
    (names.has(target.digest ?? "") && seesAll(rightsAt(caller, target.name)));
}

/** What becomes of the artifact itself, of others that are or were trusted, and the promoted tags: a push or a refusal is nothing to readers. */
function toReaders({ repository, record }: FoundArtifact): Concern {
  const names: ReadonlySet<string> = new Set(record.names);
  return (event) => {
    const { type, target, outcome } = event;
    if (target?.name !== repository || outcome !== "allow") return false;
    if (target.kind === "tag") return READERS_TAGS.has(type);
    if (target.kind !== "artifact" || type === "manifest.push") return false;
    return names.has(target.digest ?? "") || isOfTrusted(event);
  };
}

function isOfTrusted({ before, after }: AuditEvent): boolean {
  return before?.["state"] === "trusted" || after?.["state"] === "trusted";
}

/** It holds here at once, and its own statement follows. */
function isRevokedEverywhere({ record }: FoundArtifact, { type, target, after }: AuditEvent): boolean {
  return type === "artifact.revoke" && after?.["everywhere"] === true && record.names.some((name) => name === target?.digest);
}

function rightsAt({ principal }: Caller, name: string): ReturnType<typeof rightsOn> {
  const repository = repositoryNameSchema.safeParse(name).data;
  return repository === undefined ? new Set() : rightsOn(principal, repository);
}
