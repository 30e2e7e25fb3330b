import { z } from "zod";
import { scanOf } from "../../api/evidence.ts";
import { promoteModelRequest } from "../../api/models.ts";
import { RegistryError } from "../../oci/errors.ts";
import { modelFilename } from "../../oci/model-name.ts";
import type { AcquireServices } from "../../registry/acquire.ts";
import type { ShownModel } from "../../registry/find-model.ts";
import type { Caller } from "../../registry/ports.ts";
import { promoteModel } from "../../registry/promote-model.ts";
import { tensorManifestOf } from "../../registry/take-in-file.ts";
import type { Ask } from "../route.ts";
import { goBody } from "./go-body.ts";
import { acquisitionOf } from "./named-file.ts";

type Body = z.output<typeof promoteModelRequest>;

/** The predecessor's promote, with its refusals in their order (secai-behaviour 1.6). */
export async function promoted(services: AcquireServices, c: Ask, caller: Caller): Promise<ShownModel> {
  const body = await goBody(c, { types: TYPES, schema: promoteModelRequest, refusal: refusalOf });
  const { gguf_guard_fingerprint: fingerprint, gguf_guard_manifest: manifest } = body;
  const path = manifest === "" ? undefined : modelFilename(manifest);
  if (path !== undefined && "refused" in path) throw new RegistryError("INVALID", "invalid gguf-guard manifest path");
  const acquisition = acquisitionOf(body);
  const tensorManifest = await tensorManifestOf(services, path?.path ?? "");
  try {
    return await promoteModel(services, caller, { acquisition, scan: scanOf(body), fingerprint, tensorManifest });
  } catch (error) {
    throw error instanceof RegistryError && error.code === "REFUSED" ? inItsWords(error, body) : error;
  }
}

const REQUIRED: ReadonlySet<string> = new Set(["name", "filename", "sha256"]);
const TYPES = {
  name: "string",
  filename: "string",
  sha256: "string",
  size_bytes: "int64",
  source: "string",
  scan_results: "map[string]string",
  scanner_versions: "map[string]string",
  policy_version: "string",
  source_revision: "string",
  gguf_guard_fingerprint: "map[string]any",
  gguf_guard_manifest: "string",
} as const;

function refusalOf(member: string): string {
  return REQUIRED.has(member) ? "name, filename, and sha256 are required" : "invalid promotion metadata";
}

const refusedDecision = z.looseObject({
  decision: z.looseObject({ checks: z.array(z.looseObject({ id: z.string(), status: z.string() })) }),
});
/** Checks of the predecessor's rule that what was said is enough, and that it is good. */
const ENOUGH: ReadonlySet<string> = new Set(["policy-version", "scan-results"]);
const GOOD: ReadonlySet<string> = new Set(["scan-results-pass", "scanner-versions", "same-scanners"]);

/** A refusal by the predecessor's own rule has its words; each comes with the decision (RULES 32). */
function inItsWords(refusal: RegistryError, body: Body): RegistryError {
  const { decision } = refusedDecision.parse(refusal.detail);
  const failed = decision.checks.filter(({ status }) => status === "fail").map(({ id }) => id);
  const error = wordsOf(failed, body) ?? refusal.message;
  return new RegistryError("REFUSED", error, { detail: { error, decision } });
}

function wordsOf(failed: readonly string[], { scan_results: results, scanner_versions: versions }: Body): string | undefined {
  const isOneMissing = failed.includes("same-scanners") && Object.keys(results).length !== Object.keys(versions).length;
  if (isOneMissing || failed.some((id) => ENOUGH.has(id))) return "promotion requires policy version and scanner evidence";
  return failed.some((id) => GOOD.has(id)) ? "promotion scanner evidence did not pass validation" : undefined;
}
