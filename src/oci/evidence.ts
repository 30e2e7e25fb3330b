import { annotationOf } from "./annotation.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Manifest } from "./manifest.ts";
import { OCI_EMPTY, essenceOf } from "./media-types.ts";

/** What a manifest says about another one, for people and gates to judge. */
export type EvidenceKind = "signature" | "attestation" | "sbom" | "scan-report";

const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle(?:[.+]|$)/;
const BUNDLE_CONTENT = "dev.sigstore.bundle.content";
const BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType";
/** The predicate of cosign's plain signatures. */
const COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1";

const NOTATION = "application/vnd.cncf.notary.signature";
const NOTATION_ENVELOPES: ReadonlySet<string> = new Set(["application/jose+json", "application/cose"]);
const NOTATION_THUMBPRINT = "io.cncf.notary.x509chain.thumbprint#S256";

const LAYER_KINDS: ReadonlyMap<string, EvidenceKind> = new Map([
  ["application/vnd.dev.cosign.simplesigning.v1+json", "signature"],
  ["application/vnd.dsse.envelope.v1+json", "attestation"],
  ["application/vnd.in-toto+json", "attestation"],
  ["application/vnd.cyclonedx", "sbom"],
  ["application/vnd.cyclonedx+json", "sbom"],
  ["application/vnd.cyclonedx+xml", "sbom"],
  ["application/vnd.syft+json", "sbom"],
  ["application/spdx+json", "sbom"],
  ["text/spdx", "sbom"],
  ["text/spdx+json", "sbom"],
  ["text/spdx+xml", "sbom"],
  ["application/sarif+json", "scan-report"],
  ["application/vnd.security.vulnerability.report", "scan-report"],
  ["application/vnd.scanner.adapter.vuln.report.harbor+json", "scan-report"],
]);

/** Configs that say nothing of their own, besides those of an evidence type. */
const PLAIN_CONFIGS: ReadonlySet<string> = new Set([
  OCI_EMPTY,
  NOTATION,
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.dev.cosign.artifact.sig.v1+json",
  "application/vnd.dev.cosign.artifact.sbom.v1+json",
  // What oras wrote before image-spec 1.1.
  "application/vnd.unknown.config.v1+json",
]);

/**
 * What kind of evidence a manifest is, by the types of all its content, never by its artifactType alone: cosign writes none, and
 * anybody can write any (protocol.md §2). One part of an unknown type makes it no evidence, so that nothing rides along.
 */
export function evidenceKind(manifest: Manifest): EvidenceKind | undefined {
  if (manifest.kind === "index" || !hasPlainConfig(manifest)) return undefined;
  const kinds = [...manifest.layers, ...manifest.blobs].map((layer) => layerKind(layer, manifest));
  return kinds.includes(undefined) ? undefined : kinds[0];
}

function hasPlainConfig({ config }: Manifest): boolean {
  if (config === undefined) return true;
  const type = essenceOf(config.mediaType);
  return PLAIN_CONFIGS.has(type) || LAYER_KINDS.has(type) || BUNDLE.test(type);
}

function layerKind({ mediaType }: Descriptor, manifest: Manifest): EvidenceKind | undefined {
  const type = essenceOf(mediaType);
  if (BUNDLE.test(type)) return bundleKind(manifest);
  if (NOTATION_ENVELOPES.has(type)) return isNotation(manifest) ? "signature" : undefined;
  return LAYER_KINDS.get(type);
}

/** A Sigstore bundle holds a signature or an attestation; only its annotations tell without opening it. */
function bundleKind({ annotations }: Manifest): EvidenceKind {
  const predicate = annotationOf(annotations, BUNDLE_PREDICATE);
  if (annotationOf(annotations, BUNDLE_CONTENT) === "message-signature" || predicate === undefined) return "signature";
  return predicate === COSIGN_SIGN ? "signature" : "attestation";
}

/** The envelopes of notation have types that others use too. */
function isNotation({ config, annotations }: Manifest): boolean {
  return config?.mediaType === NOTATION || annotationOf(annotations, NOTATION_THUMBPRINT) !== undefined;
}
