import type { RepositoryName } from "../oci/reference.ts";
import { type Said, auditEvent } from "./audit-event.ts";
import type { Caller, Services } from "./ports.ts";
import type { RefusalLog } from "./refusals.ts";

/** A request that a door refused to a known caller. */
export interface RefusedRequest {
  readonly method: string;
  readonly path: string;
  /** Where the door is under a repository. */
  readonly repository: RepositoryName | undefined;
  readonly reason: string;
}

/** The bounds of an event's fields. */
const MAX_NAME = 512;
const MAX_REASON = 1024;

/** Notes a refusal in the audit, coalesced with others like it. */
export function noteRefusedRequest(
  services: Pick<Services, "clock" | "newId"> & { readonly refusals: Pick<RefusalLog, "note"> },
  { actor }: Caller,
  { method, path, repository, reason }: RefusedRequest,
): void {
  const target: Said["target"] =
    repository === undefined ? { kind: "registry", name: path.slice(0, MAX_NAME) } : { kind: "repository", name: repository };
  const said: Said = { type: "request.refused", outcome: "deny", target, reason: reason.slice(0, MAX_REASON), after: { method } };
  services.refusals.note(auditEvent(services, actor, said));
}
