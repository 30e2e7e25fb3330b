import { mayResolvePushedTags } from "../identity/authorize.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { auditEvent } from "./audit-event.ts";
import type { Caller, Services } from "./ports.ts";
import type { RefusalLog } from "./refusals.ts";
import { findManifest, readerFor, serveManifest } from "./serving.ts";
import { promotedPointer, pushedPointer } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId"> & { readonly refusals: Pick<RefusalLog, "note"> };

/** A manifest that the caller may read. */
export interface PulledManifest {
  /** As the reference names it: a tag keeps the algorithm that was pushed. */
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  /** What a person should be told of it. */
  readonly held: string | undefined;
  /** The exact bytes that were pushed; a read of untrusted content is an event (RULES 29). */
  readonly read: () => Promise<Uint8Array>;
}

/** Finds a manifest for a caller (distribution-spec end-3); what is hidden, or deleted, is unknown in the same words. */
export async function pullManifest(
  services: Needs,
  caller: Caller,
  repository: RepositoryName,
  reference: Reference,
): Promise<PulledManifest> {
  const reader = readerFor(caller.principal, repository);
  const seesPushed = reader.pullAny && mayResolvePushedTags(caller.principal, repository);
  const digest = "digest" in reference ? reference.digest : await tagged(services, repository, { tag: reference.tag, seesPushed });
  const found = digest && (await findManifest(services, repository, digest));
  const serving = await serveManifest(services, reader, repository, found?.record);
  if (serving.effect === "denied") throw new RegistryError("DENIED", serving.reason);
  if (serving.effect === "absent" || found === undefined || digest === undefined) {
    if (found !== undefined) noteHidden(services, caller, repository, found.record.digest);
    throw new RegistryError("MANIFEST_UNKNOWN");
  }
  const { record } = found;
  return {
    digest,
    mediaType: record.mediaType,
    size: record.size,
    held: serving.held,
    read: async () => {
      if (serving.held !== undefined) {
        const target = { kind: "artifact", name: repository, digest } as const;
        services.refusals.note(auditEvent(services, caller.actor, { type: "manifest.read", target }));
      }
      const content = await services.metadata.get(keys.manifestContent(repository, record.digest));
      if (!(content?.value instanceof Uint8Array)) throw new RegistryError("MANIFEST_UNKNOWN");
      return content.value;
    },
  };
}

/** A reader is told nothing of what is hidden; the audit is told of the reader. */
function noteHidden(services: Needs, { actor }: Caller, repository: RepositoryName, digest: Digest): void {
  const said = { type: "manifest.read", outcome: "deny", reason: "not served to this reader: answered as unknown" } as const;
  services.refusals.note(auditEvent(services, actor, { ...said, target: { kind: "artifact", name: repository, digest } }));
}

/** A tag is the last digest pushed for who may resolve that, and the last one promoted for everybody else (DESIGN §1). */
async function tagged(
  services: Needs,
  repository: RepositoryName,
  { tag, seesPushed }: { readonly tag: Parameters<typeof pushedPointer>[2]; readonly seesPushed: boolean },
): Promise<Digest | undefined> {
  const pointer = await (seesPushed ? pushedPointer : promotedPointer)(services, repository, tag);
  return pointer?.record.digest;
}
