import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, algorithmOf, digestOf, encodedOf } from "../oci/digest.ts";
import { OCI_IMAGE } from "../oci/media-types.ts";
import { SIGSTORE_BUNDLE } from "./dsse.ts";
import type { State } from "./state.ts";

/** The predicate of the links of an artifact's chain. */
export const LIFECYCLE_PREDICATE = "https://ai-model-registry.dev/attestations/lifecycle/v1";
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
        name: `${hostOf(facts.registry)}/${facts.repository}`,
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
      effectiveAt: statementTime(facts.at),
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
  readonly bundle: Uint8Array;
}

/** What a statement is attached to, as its manifest names it. */
export interface StatementSubject {
  readonly repository: string;
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** What people and clients that list referrers are told of a statement; nothing reads it for a decision. `at` is epoch milliseconds. */
export interface StatementLabel {
  readonly predicateType: string;
  readonly at: number;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The label of a link of an artifact's chain (interface.md §6). */
export function lifecycleLabel({
  state,
  sequence,
  actor,
  at,
}: Pick<StatementFacts, "state" | "sequence" | "actor" | "at">): StatementLabel {
  const annotations = {
    "dev.ai-model-registry.lifecycle.state": state,
    "dev.ai-model-registry.lifecycle.seq": String(sequence),
    "dev.ai-model-registry.lifecycle.actor": actor,
  };
  return { predicateType: LIFECYCLE_PREDICATE, at, annotations };
}

/** What the referrers API and `oras discover` show of a signed statement (trust.md §5.3); a function of bundle, subject and label alone. */
export function statementManifest(bundle: Uint8Array, subject: StatementSubject, label: StatementLabel): StatementManifest {
  const { manifest, config } = manifestAround({ mediaType: SIGSTORE_BUNDLE, bytes: bundle }, subject, {
    artifactType: SIGSTORE_BUNDLE,
    label,
  });
  return { manifest, config, bundle };
}

/** The manifest around a statement, in whatever form it is; attached to its subject, where that has a digest. */
export function manifestAround(
  layer: { readonly mediaType: string; readonly bytes: Uint8Array },
  { repository, ...subject }: StatementSubject | { readonly repository: string },
  { artifactType, label }: { readonly artifactType: string; readonly label: StatementLabel },
): { readonly manifest: Uint8Array; readonly config: Uint8Array } {
  const config = statementConfig(repository);
  const isBundle = layer.mediaType === SIGSTORE_BUNDLE;
  const manifest = canonicalJson({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    artifactType,
    config: { mediaType: STATEMENT_CONFIG, digest: digestOf(config), size: config.byteLength },
    layers: [{ mediaType: layer.mediaType, digest: digestOf(layer.bytes), size: layer.bytes.byteLength }],
    ...("digest" in subject ? { subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size } } : {}),
    annotations: {
      "org.opencontainers.image.created": statementTime(label.at),
      ...(isBundle && { "dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": label.predicateType }),
      ...label.annotations,
    },
  });
  return { manifest: new TextEncoder().encode(manifest), config };
}

/** RFC 3339 in UTC, whole seconds: times in statements are information for people. */
export function statementTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** How statements name a registry whose URL this is. */
export function hostOf(registry: string): string {
  return registry.replace(/^https?:\/\//, "");
}
