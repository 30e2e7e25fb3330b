import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, algorithmOf, digestOf, encodedOf } from "../oci/digest.ts";
import type { State } from "./state.ts";

const LIFECYCLE_PREDICATE = "https://ai-model-registry.dev/attestations/lifecycle/v1";
const IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const UNSIGNED_STATEMENT = "application/vnd.ai-model-registry.lifecycle.v1+json";
const IN_TOTO = "application/vnd.in-toto+json";
const STATEMENT_CONFIG = "application/vnd.ai-model-registry.lifecycle.config.v1+json";

/**
 * The config blob of a repository's statements. Never `{}`: clients push and delete that blob themselves, and a statement's config may not
 * go (protocol.md §5.4). Each repository has its own, so that transitions of different repositories have no record in common.
 */
export function statementConfig(repository: string): Uint8Array {
  return new TextEncoder().encode(canonicalJson({ kind: "lifecycle", repository, version: 1 }));
}

/** One link of the chain of an artifact (trust.md §5.2). `at` is epoch milliseconds. */
export interface StatementFacts {
  readonly registry: string;
  readonly repository: string;
  readonly subject: { readonly sha256: Digest; readonly sha512: Digest };
  readonly state: State;
  readonly sequence: number;
  /** Digest of the payload of the link before; null at the first. */
  readonly previous: Digest | null;
  readonly everywhere: boolean;
  readonly at: number;
  readonly actor: string;
  readonly reason: string | null;
  /** Written in every `revoked` statement and in no other. */
  readonly permanent: boolean;
  readonly policy: string | null;
  /** Digests of what the decision rested on. */
  readonly inputs: readonly Digest[];
}

/** The in-toto statement of a transition as canonical JSON; its sha256 is the statement digest that the next link names. */
export function statementPayload(facts: StatementFacts): string {
  const { subject } = facts;
  return canonicalJson({
    _type: "https://in-toto.io/Statement/v1",
    subject: [
      {
        name: `${facts.registry.replace(/^https?:\/\//, "")}/${facts.repository}`,
        digest: { sha256: encodedOf(subject.sha256), sha512: encodedOf(subject.sha512) },
      },
    ],
    predicateType: LIFECYCLE_PREDICATE,
    predicate: {
      registry: facts.registry,
      repository: facts.repository,
      state: facts.state,
      seq: facts.sequence,
      prev: facts.previous && { [algorithmOf(facts.previous)]: encodedOf(facts.previous) },
      scope: facts.everywhere ? "digest" : "repository",
      effectiveAt: timestamp(facts.at),
      actor: facts.actor,
      ...(facts.reason === null ? {} : { reason: facts.reason }),
      ...(facts.state === "revoked" ? { permanent: facts.permanent } : {}),
      ...(facts.policy === null ? {} : { policy: { uri: facts.policy } }),
      inputs: facts.inputs.map((digest) => ({ digest: { [algorithmOf(digest)]: encodedOf(digest) } })),
    },
  });
}

/** A statement as an OCI manifest, with the bytes of its two blobs. */
export interface StatementManifest {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
  readonly payload: Uint8Array;
}

/** What the referrers API and `oras discover` show of a statement (interface.md §6); a function of payload and subject alone. */
export function statementManifest(
  payload: string,
  subject: { readonly mediaType: string; readonly digest: Digest; readonly size: number },
  facts: Pick<StatementFacts, "repository" | "state" | "sequence" | "actor" | "at">,
): StatementManifest {
  const bytes = new TextEncoder().encode(payload);
  const config = statementConfig(facts.repository);
  const manifest = canonicalJson({
    schemaVersion: 2,
    mediaType: IMAGE_MANIFEST,
    artifactType: UNSIGNED_STATEMENT,
    config: { mediaType: STATEMENT_CONFIG, digest: digestOf(config), size: config.byteLength },
    layers: [{ mediaType: IN_TOTO, digest: digestOf(bytes), size: bytes.byteLength }],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    annotations: {
      "org.opencontainers.image.created": timestamp(facts.at),
      "dev.ai-model-registry.lifecycle.state": facts.state,
      "dev.ai-model-registry.lifecycle.seq": String(facts.sequence),
      "dev.ai-model-registry.lifecycle.actor": facts.actor,
    },
  });
  return { manifest: new TextEncoder().encode(manifest), config, payload: bytes };
}

/** RFC 3339 in UTC, whole seconds: times in statements are information for people. */
function timestamp(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}
