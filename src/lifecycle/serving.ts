import type { State } from "./state.ts";

/** What the caller may read in one repository, as plain data: `identity/` computes it. */
export interface Reader {
  /** `pull`: what is reachable from a trusted manifest. */
  readonly pull: boolean;
  /** `pull:any`: untrusted content as well. */
  readonly pullAny: boolean;
  /** `pull:any` together with `scan`, `approve` or `revoke:everywhere`: revoked content as well (RULES 14). */
  readonly forensic: boolean;
}

/**
 * How trusted roots reach the object: `trusted` when one reaches or covers it now, `revoked` when only once-trusted, now revoked
 * roots (or a revoked branch) did, `none` when no root that was ever trusted does.
 */
export type Reach = { readonly by: "trusted" } | { readonly by: "revoked"; readonly reason: string } | { readonly by: "none" };

/** What is known of a manifest in the repository. */
export interface ManifestFacts {
  readonly kind: "manifest";
  readonly state: State;
  /** Was it trusted at any time in this generation? */
  readonly onceTrusted: boolean;
  /** Why it was revoked, here or everywhere; undefined when it is not. */
  readonly revokedBecause: string | undefined;
  /** One of the registry's own statements: it has no state of its own. */
  readonly statement: boolean;
  readonly reach: Reach;
}

/** What is known of a blob that the repository holds a link to. */
export interface BlobFacts {
  readonly kind: "blob";
  /** Its bytes were found to hash wrong (RULES 15). */
  readonly damaged: boolean;
  /**
   * Which manifests of the repository name it, as whoever holds `pull:any` and no more sees them: `none`, at least one `visible` one, or
   * only revoked ones, with the reason.
   */
  readonly namedBy: { readonly by: "none" | "visible" } | { readonly by: "revoked"; readonly reason: string };
  readonly reach: Reach;
}

export type Facts = ManifestFacts | BlobFacts;

/**
 * The answer to every read. `held` is what a person should be told in a `Warning` header; `absent` is answered exactly like a
 * true miss; `denied` says why.
 */
export type Serving =
  | { readonly effect: "allow"; readonly held?: string }
  | { readonly effect: "absent" }
  | { readonly effect: "denied"; readonly reason: string };

const ABSENT: Serving = { effect: "absent" };
const ALLOW: Serving = { effect: "allow" };
const DAMAGED =
  "integrity check failed: the stored bytes do not have this digest; push the right bytes again, by `securectl push`, to heal it";

/**
 * The one decision on every read (DESIGN §1, protocol.md §3): may this reader see this object of this repository?
 * `facts` is undefined for what the repository does not have. Pure, and blind to how the door was reached.
 */
export function serve(reader: Reader, facts: Facts | undefined): Serving {
  if (facts === undefined || !(reader.pull || reader.pullAny)) return ABSENT;
  return facts.kind === "manifest" ? serveManifest(reader, facts) : serveBlob(reader, facts);
}

function serveManifest(reader: Reader, facts: ManifestFacts): Serving {
  if (facts.state === "deleted") return ABSENT;
  if (facts.revokedBecause !== undefined) {
    return revoked(reader, facts.revokedBecause, facts.onceTrusted || facts.reach.by !== "none");
  }
  if (facts.state === "trusted" || facts.reach.by === "trusted") return ALLOW;
  if (facts.reach.by === "revoked") return revoked(reader, facts.reach.reason, true);
  if (!reader.pullAny) return ABSENT;
  return facts.statement ? ALLOW : held(facts.state);
}

function serveBlob(reader: Reader, facts: BlobFacts): Serving {
  const decision = serveIntactBlob(reader, facts);
  return facts.damaged && decision.effect === "allow" ? { effect: "denied", reason: DAMAGED } : decision;
}

function serveIntactBlob(reader: Reader, { reach, namedBy }: BlobFacts): Serving {
  if (reach.by === "trusted") return ALLOW;
  if (reader.pullAny && namedBy.by === "visible") return ALLOW;
  if (reach.by === "revoked") return revoked(reader, reach.reason, true);
  if (!reader.pullAny) return ABSENT;
  return namedBy.by === "revoked" ? revoked(reader, namedBy.reason, false) : ALLOW;
}

/** Revoked content: for forensics only; others learn of it when they could have known it, that is, when it was trusted once. */
function revoked(reader: Reader, reason: string, known: boolean): Serving {
  if (reader.forensic) return { effect: "allow", held: `revoked: ${reason}` };
  return reader.pullAny || known ? { effect: "denied", reason: `revoked: ${reason}` } : ABSENT;
}

function held(state: State): Serving {
  return { effect: "allow", held: `held as ${state}: not served until promoted` };
}
