import type { State } from "../lifecycle/state.ts";
import { encodedOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { VerificationResult } from "../storage/records.ts";
import { reload } from "./find-artifact.ts";
import { type FoundModel, viewOf } from "./find-model.ts";
import { listModels } from "./list-models.ts";
import type { Caller, Services } from "./ports.ts";
import { readerOf, serveManifest } from "./serving.ts";
import { type ArtifactVerification, type VerifiedBlob, recallArtifact, verifyArtifact } from "./verify-artifact.ts";
import type { VerifyOptions, VerifyServices } from "./verify-blob.ts";

/** What the predecessor's API says of the bytes of an artifact. Digests are hex; `actual` is empty where there are no bytes; `isSafe` is said of bytes that were read for it. */
export type ModelVerification =
  | { readonly status: "verified"; readonly name: string; readonly sha256: string; readonly state: State; readonly isSafe?: boolean }
  | { readonly status: "failed"; readonly name: string; readonly expected: string; readonly actual: string; readonly error: string }
  | { readonly status: "skipped"; readonly name: string; readonly state: State; readonly reason: string };

/** What any reader is served. */
const READER = readerOf(new Set(["pull"]));
const DELETED = "deleted artifact bytes are intentionally absent";
const INCOMPLETE = "the repository does not hold all of the artifact";
const UNREADABLE = "the storage failed to read it, which says nothing about its bytes: try again";

/**
 * Reads an artifact's bytes anew, in any state. It is safe when readers were served it before and are after, and nothing of it is wrong.
 * Throws STORAGE_FAILED when the storage fails, which is no verdict.
 */
export async function verifyModel(services: VerifyServices, found: FoundModel, options: VerifyOptions): Promise<ModelVerification> {
  const wasServed = await isServed(services, found);
  const artifact = await verifyArtifact(services, found, options);
  if (artifact.outcome === "unreadable") throw new RegistryError("STORAGE_FAILED", UNREADABLE, { headers: { "Retry-After": "5" } });
  const after = { ...found, ...(await reload(services, found)) };
  const { sha256 } = await viewOf(services, found);
  const failure = failureOf(after, sha256, artifact);
  if (failure !== undefined) return failure;
  const isSafe = wasServed && (await isServed(services, after));
  return { status: "verified", name: found.name, sha256, state: after.record.state, isSafe };
}

async function isServed(services: Pick<Services, "metadata">, { repository, record }: FoundModel): Promise<boolean> {
  return (await serveManifest(services, READER, repository, record)).effect === "allow";
}

/** What a check of all blobs says of each artifact that a caller sees, found while it is used. */
export async function* recallModels(
  services: Pick<Services, "metadata" | "clock">,
  caller: Caller,
  { unreadable }: VerificationResult,
): AsyncGenerator<ModelVerification, void, undefined> {
  const digests = new Set(unreadable);
  for await (const found of listModels(services, caller)) {
    const { name, record } = found;
    if (record.state === "deleted") {
      yield { status: "skipped", name, state: "deleted", reason: DELETED };
      continue;
    }
    const artifact = await recallArtifact(services, found, digests);
    const { sha256 } = await viewOf(services, found);
    if (artifact.outcome === "incomplete" && isUnderWay(found)) yield { status: "skipped", name, state: record.state, reason: INCOMPLETE };
    else yield failureOf(found, sha256, artifact) ?? { status: "verified", name, sha256, state: record.state };
  }
}

/** A manifest may come before its blobs, and nobody is served it until they are there. */
function isUnderWay({ details, record }: FoundModel): boolean {
  return details === undefined && (record.state === "acquired" || record.state === "quarantined");
}

function failureOf(found: FoundModel, sha256: string, { outcome, blobs }: ArtifactVerification): ModelVerification | undefined {
  const { name, record } = found;
  if (outcome === "intact") return undefined;
  const wrong = blobs.find(({ result }) => result.outcome === "damaged" || result.outcome === "missing");
  if (outcome === "damaged" && wrong !== undefined) return { status: "failed", name, ...mismatch(wrong) };
  const error = outcome === "unreadable" ? UNREADABLE : record.state === "deleted" ? DELETED : INCOMPLETE;
  return { status: "failed", name, expected: sha256, actual: "", error };
}

function mismatch({ digest, result }: VerifiedBlob): { readonly expected: string; readonly actual: string; readonly error: string } {
  const expected = encodedOf(digest);
  if (result.outcome !== "damaged") return { expected, actual: "", error: "the stored bytes are missing" };
  const actual = encodedOf(result.actual);
  return { expected, actual, error: `hash mismatch: expected ${expected}, got ${actual}` };
}
