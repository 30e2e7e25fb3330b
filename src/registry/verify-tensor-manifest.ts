import { buffer } from "node:stream/consumers";
import { RegistryError } from "../oci/errors.ts";
import { digestOf } from "../oci/digest.ts";
import type { ModelDetails } from "../storage/records.ts";
import { IncomingFileError } from "../storage/incoming-files.ts";
import type { FoundModel } from "./find-model.ts";
import type { Services } from "./ports.ts";
import { MAX_TENSOR_MANIFEST } from "./take-in-file.ts";

type Needs = Pick<Services, "blobs" | "files" | "inspector">;

/** What a tensor manifest says of a model's bytes; `skipped` when the artifact has none. */
export type TensorManifestResult = Awaited<ReturnType<Services["inspector"]["verify"]>> | { readonly outcome: "skipped" };

/**
 * Holds the stored bytes of a registered model, tensor by tensor, against the manifest that was named when it was promoted and is still
 * that file; in any state. Throws CONFLICT when one of the two is not what was recorded.
 */
export async function verifyTensorManifest(services: Needs, { details }: FoundModel): Promise<TensorManifestResult> {
  if (details === undefined || details.tensorManifest.path === "") return { outcome: "skipped" };
  const { blobs, inspector } = services;
  const stored = await blobs.stat(details.blob);
  if (stored?.size !== details.size) throw new RegistryError("CONFLICT", "model integrity verification failed");
  const manifest = await recordedManifest(services, details);
  return blobs.inFile(details.blob, (file) => inspector.verify(file, details.filename, manifest));
}

/** The manifest's bytes, if they are those whose digest was recorded. */
async function recordedManifest({ files }: Needs, { tensorManifest: { path, digest } }: ModelDetails): Promise<Uint8Array> {
  const file = await files.open(path).catch((error: unknown) => {
    if (error instanceof IncomingFileError) return undefined;
    throw error;
  });
  try {
    // Its size was bounded when it was recorded, and another size is another digest.
    const bytes = file === undefined || file.size > MAX_TENSOR_MANIFEST ? undefined : await buffer(file.bytes());
    if (bytes !== undefined && digestOf(bytes) === digest) return bytes;
  } finally {
    await file?.close();
  }
  throw new RegistryError("CONFLICT", "gguf-guard manifest integrity check failed");
}
