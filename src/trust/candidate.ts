import type { Bundle } from "@sigstore/bundle";
import type { Digest } from "../oci/digest.ts";
import type { Reason } from "./reason.ts";

/** How a candidate is packed, as policies name it. */
export type EvidenceFormat = "bundle" | "cosign-legacy" | "notation";

/** Something that may be evidence, read but not verified: who made it and whether it is true is open. */
export interface Candidate {
  readonly format: EvidenceFormat;
  /** The manifest and the blob that it was found in. */
  readonly manifest: Digest;
  readonly blob: Digest;
  readonly claim: Claim;
}

/** What the signature of a candidate is over. */
export type Claim =
  /** A Sigstore bundle, over the artifact's manifest or over a statement. */
  | { readonly type: "bundle"; readonly bundle: Bundle; readonly ownFile: string | undefined }
  /** cosign's simple signing: the bundle is over the payload, which names the artifact. */
  | { readonly type: "simple-signing"; readonly bundle: Bundle; readonly payload: Buffer };

/** What was found and is no candidate, and why. */
export interface Skipped {
  readonly manifest: Digest;
  /** Undefined when it is the manifest as a whole. */
  readonly blob: Digest | undefined;
  readonly code: Reason;
  readonly message: string;
}
