import type { ModelView } from "../audit/model-event.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import { formatOf } from "../oci/model-name.ts";
import type { ManifestRecord, ModelDetails } from "../storage/records.ts";
import { runtimeFiles } from "./runtime-files.ts";

/** The record of a registered artifact as the predecessor shows it: its lifecycle is that of the manifest, there is no other. */
export function registeredView(details: ModelDetails, record: Pick<ManifestRecord, "state" | "changedAt">): ModelView {
  const { name, format, filename, blob, size, source } = details;
  const { scanResults, scannerVersions, policyVersion, sourceRevision, fingerprint, tensorManifest } = details;
  return {
    name,
    format,
    filename,
    sha256: encodedOf(blob),
    size_bytes: size,
    ...(source !== "" && { source }),
    promoted_at: wholeSeconds(record.changedAt),
    state: record.state,
    ...(isSaid(scanResults) && { scan_results: scanResults }),
    ...(isSaid(scannerVersions) && { scanner_versions: scannerVersions }),
    ...(policyVersion !== "" && { policy_version: policyVersion }),
    ...(sourceRevision !== "" && { source_revision: sourceRevision }),
    ...(isSaid(fingerprint) && { gguf_guard_fingerprint: fingerprint }),
    ...(tensorManifest.path !== "" && { gguf_guard_manifest: tensorManifest.path }),
  };
}

/**
 * An artifact that was pushed by OCI, in the predecessor's words. With one file, format, filename, digest and size are that file's; else
 * the digest is the manifest's and the size that of all. `manifest` is undefined once its content is deleted.
 */
export function pushedView(name: string, record: ManifestRecord, manifest: Manifest | undefined): ModelView {
  const { filename, digest, size } = (manifest && onlyFile(manifest)) ?? {
    filename: "",
    digest: record.digest,
    size: record.closureBytes,
  };
  return {
    name,
    format: formatOf(filename) ?? "oci",
    filename,
    sha256: encodedOf(digest),
    size_bytes: size,
    promoted_at: wholeSeconds(record.changedAt),
    state: record.state,
  };
}

/** The only layer of a manifest, when it is named by the digest that the predecessor knows. */
function onlyFile(manifest: Manifest): { readonly filename: string; readonly digest: Digest; readonly size: number } | undefined {
  const [layer, ...more] = manifest.layers;
  const [file] = runtimeFiles(manifest).files;
  if (layer === undefined || file === undefined || more.length > 0 || algorithmOf(layer.digest) !== "sha256") return undefined;
  return { filename: file.path, digest: layer.digest, size: layer.size };
}

function isSaid(value: object): boolean {
  return Object.keys(value).length > 0;
}

function wholeSeconds(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
