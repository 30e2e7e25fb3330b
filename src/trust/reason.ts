/** Why a piece of evidence counts for nothing: stable codes, each with what it means to whoever reads a decision. */
export const REASONS = {
  // What was found is not read.
  "too-large": "it has more bytes than evidence may have",
  "too-many-layers": "its manifest has more layers than are considered",
  "blob-missing": "its bytes are not in this repository",
  "unknown-format": "it is none of the formats of evidence that are read here",
  "malformed-json": "it is not JSON that every reader takes alike",
  "malformed-bundle": "it has not the form of a Sigstore bundle",
  "malformed-legacy-signature": "the annotations of the cosign signature have not the form they must have",
  "malformed-notation": "it has not the form of a Notation signature",
  "too-many-log-entries": "it has more log entries than are considered",

  // It is evidence, but not of the kind asked for.
  "other-signer-type": "it is not signed in the way that this authority signs",
  "unsupported-format": "this authority cannot sign in this format",

  // What it says.
  "payload-type": "its payload is not an in-toto statement",
  "malformed-payload": "its payload is not what its type says",
  "statement-type": "its statement has a type that is not read here",
  "subject-mismatch": "it is about another artifact",
  "legacy-claim": "the signed claim is not a cosign container image signature",
  "signature-expired": "the signer meant it to hold until a time that has passed",
  "unknown-critical-attribute": "the signer marked an attribute critical that is not known here",

  // Who signed.
  "signature-invalid": "no key that this authority may sign with made the signature",
  "unsupported-key": "its key or algorithm is not accepted here",
  "identity-mismatch": "the certificate is that of another identity",
  "malformed-certificate": "its certificate is not well formed",
  "leaf-is-ca": "its certificate is that of an authority, not of a signer",
  "leaf-key-usage": "its certificate is not for signing code",
  "leaf-names": "its certificate does not have exactly one subject alternative name",
  "certificate-untrusted": "its certificate does not lead to an authority that the trust root or the policy names",
  "certificate-expired": "its certificate was not valid when it was signed",
  "ct-missing": "its certificate was not logged in as many certificate logs as asked for",
  "ct-invalid": "the proof that its certificate was logged is not valid",
  "key-not-valid-then": "the key was not valid, or revoked, when it was signed",

  // When, and what is publicly known of it.
  "timestamp-missing": "it has fewer trusted timestamps, each of another authority, than asked for",
  "timestamp-invalid": "a timestamp is not one of a trusted authority, or not of this signature",
  "timestamp-malformed": "a timestamp is not well formed",
  "timestamp-duplicate": "it has one timestamp twice",
  "log-entry-missing": "it is in fewer trusted logs than asked for",
  "log-entry-duplicate": "it has one log entry twice",
  "log-entry-mismatch": "a log entry is about another signature or payload",
  "log-entry-other-signer": "a log entry names another key or certificate than the signer's",
  "log-promise-invalid": "the log's promise to include the entry is not valid",
  "log-proof-invalid": "the proof that the log includes the entry is not valid",
  "log-key-expired": "the log's key was not in use when it was signed",

  // A list of files.
  "files-malformed": "its list of files has not the form that model signing gives it",
  "files-unsupported": "its list of files is made in a way that cannot be compared with an artifact without reading all its bytes",
  "files-root": "the digest of its list of files is not the one that was signed",
  "file-unnamed": "the artifact has content without a file name, or one name twice",
  "file-missing": "the artifact lacks a file that was signed",
  "file-differs": "a file of the artifact has other content than was signed",
  "file-unsigned": "the artifact has a file that was not signed",

  // What stands in the way of an answer.
  "trust-root-missing": "the trust root that the authority names is not known",
  "trust-root-stale": "the trust root that the authority names was not updated for longer than the policy allows",
  malformed: "it is broken in a way of its own",
} as const satisfies Record<string, string>;

/** A stable code of `REASONS`. */
export type Reason = keyof typeof REASONS;

/** How a step of a verification ends it. Never leaves this folder: `verifyCandidate` and `candidatesOf` make results of it. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: Reason;

  constructor(code: Reason, message: string = REASONS[code]) {
    super(message);
    this.code = code;
  }
}
