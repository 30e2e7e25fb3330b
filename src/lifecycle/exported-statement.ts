import { IN_TOTO, SIGSTORE_BUNDLE } from "./dsse.ts";
import { KEY_PREDICATE } from "./key-statement.ts";
import { authorityRevokedSchema, linkSchema, keyLinkSchema } from "./proof-statement.ts";
import { predicateOf } from "./registry-statement.ts";
import { SNAPSHOT_PREDICATE } from "./snapshot.ts";
import { type StatementSubject, lifecycleLabel, manifestAround } from "./statement.ts";

/** The type of a statement that nobody has signed, as artifact; what was only pushed has one. */
export const UNSIGNED_STATEMENT = "application/vnd.ai-model-registry.lifecycle.v1+json";
const EXPIRES = "dev.ai-model-registry.snapshot.expires";
const REGISTRY_SEQUENCE = "dev.ai-model-registry.statement.seq";
const KEY_SEQUENCE = "dev.ai-model-registry.signing-key.seq";

/** A statement as it is put into a layout: its manifest, and the two blobs of that. */
export interface ExportedStatement {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
  readonly layer: Uint8Array;
}

/** The first link of a chain before it is signed: the snapshot of the layout vouches for it by its digest. */
export function unsignedLink(payload: string, subject: StatementSubject): ExportedStatement {
  const { state, seq, actor, effectiveAt } = linkSchema.parse(JSON.parse(payload)).predicate;
  const label = lifecycleLabel({ state, sequence: seq, actor, at: effectiveAt });
  const layer = new TextEncoder().encode(payload);
  return { ...manifestAround({ mediaType: IN_TOTO, bytes: layer }, subject, { artifactType: UNSIGNED_STATEMENT, label }), layer };
}

/** A snapshot, attached to what it was taken of. Times are epoch milliseconds. */
export function exportedSnapshot(
  bundle: Uint8Array,
  subject: StatementSubject,
  { takenAt, expiresAt }: { readonly takenAt: number; readonly expiresAt: number },
): ExportedStatement {
  const annotations = { [EXPIRES]: new Date(expiresAt).toISOString() };
  return exported(bundle, subject, { predicateType: SNAPSHOT_PREDICATE, at: takenAt, annotations });
}

/** A link of the chain of keys. It is attached to nothing: it is about no artifact. */
export function exportedKey(bundle: Uint8Array, payload: string, repository: string): ExportedStatement {
  const { seq, effectiveAt } = keyLinkSchema.parse(JSON.parse(payload)).predicate;
  return exported(bundle, { repository }, { predicateType: KEY_PREDICATE, at: effectiveAt, annotations: { [KEY_SEQUENCE]: String(seq) } });
}

/** That an authority is believed no more. It is attached to nothing: it is about no artifact. */
export function exportedRevocation(bundle: Uint8Array, payload: string, repository: string): ExportedStatement {
  const { seq, effectiveAt } = authorityRevokedSchema.parse(JSON.parse(payload)).predicate;
  const annotations = { [REGISTRY_SEQUENCE]: String(seq) };
  return exported(bundle, { repository }, { predicateType: predicateOf("authority-revoked"), at: effectiveAt, annotations });
}

function exported(
  bundle: Uint8Array,
  subject: Parameters<typeof manifestAround>[1],
  label: Parameters<typeof manifestAround>[2]["label"],
): ExportedStatement {
  const parts = { artifactType: SIGSTORE_BUNDLE, label };
  return { ...manifestAround({ mediaType: SIGSTORE_BUNDLE, bytes: bundle }, subject, parts), layer: bundle };
}
