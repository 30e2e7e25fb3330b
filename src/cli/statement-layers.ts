import { IN_TOTO, SIGSTORE_BUNDLE } from "../lifecycle/dsse.ts";
import { UNSIGNED_STATEMENT } from "../lifecycle/exported-statement.ts";
import type { HeldStatement } from "../lifecycle/proof-bundle.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { type Manifest } from "../oci/manifest.ts";
import { essenceOf } from "../oci/media-types.ts";

/** Statements of the registry are smaller, but for snapshots of artifacts with thousands of parts. */
export const MAX_STATEMENT_BYTES = 16 * 1_048_576;
/** The registry's have one. */
const MAX_LAYERS = 16;

/** The layers of a manifest that may hold a statement of the registry; nothing but their type is looked at. */
export function statementLayers(manifest: Manifest): readonly { readonly layer: Descriptor; readonly form: HeldStatement["form"] }[] {
  return manifest.layers
    .filter(({ size }) => size <= MAX_STATEMENT_BYTES)
    .slice(0, MAX_LAYERS)
    .flatMap((layer) => {
      const form = formOf(essenceOf(layer.mediaType), manifest.artifactType);
      return form === undefined ? [] : [{ layer, form }];
    });
}

/** A statement as `prove` takes it. */
export function heldIn(manifest: Manifest, digest: Digest, form: HeldStatement["form"], bytes: Uint8Array): HeldStatement {
  return { manifest: digest, subject: manifest.subject?.digest, form, bytes };
}

function formOf(type: string, artifactType: string | undefined): HeldStatement["form"] | undefined {
  if (type === SIGSTORE_BUNDLE) return "bundle";
  return type === IN_TOTO && artifactType === UNSIGNED_STATEMENT ? "payload" : undefined;
}
