import { acquireRequest, modelAnswerJson } from "../../api/models.ts";
import { RegistryError } from "../../oci/errors.ts";
import { goJson } from "../../oci/go-json.ts";
import { isModelName } from "../../oci/model-name.ts";
import { type AcquireServices, acquire } from "../../registry/acquire.ts";
import { countStates } from "../../registry/count-states.ts";
import { deleteArtifact } from "../../registry/delete-artifact.ts";
import { type TagMeaning, demand } from "../../registry/find-artifact.ts";
import { type FoundModel, type ShownModel, findModel, viewOf } from "../../registry/find-model.ts";
import { listModels } from "../../registry/list-models.ts";
import { locateModel } from "../../registry/locate-model.ts";
import type { Caller } from "../../registry/ports.ts";
import { quarantine } from "../../registry/quarantine.ts";
import { revokeAndFollow } from "../../registry/revoke-everywhere.ts";
import { countDamaged } from "../../registry/verify-damage.ts";
import { verifyTensorManifest } from "../../registry/verify-tensor-manifest.ts";
import { jsonArray } from "../json-array.ts";
import type { Ask, CallerDoor, Door } from "../route.ts";
import { whileStanding } from "../standing.ts";
import { goBody } from "./go-body.ts";
import { acquisitionOf } from "./named-file.ts";
import { promoted } from "./promote-model.ts";

/** The doors of the predecessor's API to artifacts (secai-behaviour 1.6), over the same records as all others. */
export function modelDoors(services: AcquireServices): readonly Door[] {
  return [
    {
      ...read("GET", "/v1/models", (c, caller) => jsonArray(c, whileStanding(c, shownModels(services, caller)))),
      limit: "search",
    },
    read("GET", "/v1/model", async (c, caller) => answer(c, await shown(services, await named(services, c, caller, "seen")))),
    read("GET", "/v1/model/path", async (c, caller) =>
      answer(c, goJson(await locateModel(services, await named(services, c, caller, "served")))),
    ),
    read("GET", "/v1/stats", async (c) => answer(c, goJson(await stats(services)))),
    read("POST", "/v1/model/verify-manifest", async (c, caller) => verified(services, c, await named(services, c, caller, "seen"))),
    change("POST", "/v1/model/acquire", async (c, caller) => {
      const body = await goBody(c, ACQUIRE_BODY);
      return answer(c, await shown(services, await acquire(services, caller, acquisitionOf(body))), 201);
    }),
    change("POST", "/v1/model/promote", async (c, caller) => answer(c, await shown(services, await promoted(services, c, caller)), 201)),
    change("POST", "/v1/model/quarantine", async (c, caller) => {
      const found = await named(services, c, caller, "pushed");
      demand(found.rights, "quarantine", "quarantining");
      const before = found.record.state;
      if (before !== "acquired" && before !== "quarantined") {
        throw conflict(`cannot quarantine artifact "${found.name}": must be in acquired state, currently ${before}`);
      }
      await quarantine(services, caller, found, null);
      return status(c, found, before === "quarantined" ? "already_quarantined" : "quarantined");
    }),
    change("POST", "/v1/model/revoke", async (c, caller) => {
      const found = await named(services, c, caller, "only");
      demand(found.rights, "revoke", "revoking");
      const before = found.record.state;
      if (before === "deleted") throw conflict(`cannot revoke artifact "${found.name}": already in deleted state`);
      await revokeAndFollow(services, caller, found, { reason: "revoked through /v1/model/revoke", permanent: false, everywhere: false });
      return status(c, found, before === "revoked" ? "already_revoked" : "revoked");
    }),
    change("DELETE", "/v1/model/delete", async (c, caller) => {
      const found = await named(services, c, caller, "only");
      const before = found.record.state;
      await deleteArtifact(services, caller, found, null);
      return status(c, found, before === "deleted" ? "already_deleted" : "deleted");
    }),
  ];
}

const ACQUIRE_BODY = {
  types: { name: "string", filename: "string", sha256: "string", size_bytes: "int64", source: "string" },
  schema: acquireRequest,
  refusal: () => "valid name, filename, sha256, and size are required",
} as const;

/** A door of the predecessor's that programs of this machine may use without a credential. */
export function read(method: "GET" | "POST", path: string, handle: CallerDoor["handle"]): CallerDoor {
  return { method, path, action: { registered: "read" }, handle };
}

/** One that needs a credential. */
export function change(method: "POST" | "DELETE", path: string, handle: CallerDoor["handle"]): CallerDoor {
  return { method, path, action: { registered: "change" }, handle };
}

const JSON_TYPE = { "Content-Type": "application/json" } as const;

/** A JSON text as the predecessor ends it. */
export function answer(c: Ask, json: string, code: 200 | 201 | 202 | 409 = 200): Response {
  return c.body(`${json}\n`, code, JSON_TYPE);
}

function status(c: Ask, { name }: FoundModel, now: string): Response {
  return answer(c, goJson({ name, status: now }));
}

/** A refusal that the predecessor answers by JSON. */
function conflict(error: string): RegistryError {
  return new RegistryError("CONFLICT", error, { detail: { error } });
}

async function* shownModels(services: AcquireServices, caller: Caller): AsyncGenerator<string> {
  for await (const found of listModels(services, caller)) yield shown(services, found);
}

async function shown(services: AcquireServices, found: ShownModel): Promise<string> {
  const { repository, record } = found;
  return modelAnswerJson(await viewOf(services, found), { repository, digest: record.names[0] ?? record.digest });
}

/** The artifact that `?name=` means. */
export async function named(services: Pick<AcquireServices, "metadata">, c: Ask, caller: Caller, meaning: TagMeaning): Promise<FoundModel> {
  const name = nameIn(new URL(c.req.url).search.slice(1));
  if (!isModelName(name) && parsesAsNothing(name)) throw new RegistryError("INVALID", "missing ?name= parameter");
  return findModel(services, caller, name, meaning);
}

/** As the predecessor reads a query: the first value counts, and what is badly escaped is not there. */
function nameIn(query: string): string {
  for (const pair of query.split("&")) {
    const [key = "", ...value] = pair.split("=");
    const name = unescaped(key) === "name" ? unescaped(value.join("=")) : undefined;
    if (name !== undefined) return name;
  }
  return "";
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** A reference may be longer than a name. */
function parsesAsNothing(name: string): boolean {
  return !/^[^@:\s]{1,255}[@:]\S{1,140}$/.test(name);
}

/** What the predecessor shows of a tool's output at most (bytes). */
const MAX_DETAIL = 4096;

async function verified(services: AcquireServices, c: Ask, found: FoundModel): Promise<Response> {
  const { name } = found;
  const result = await verifyTensorManifest(services, found);
  switch (result.outcome) {
    case "skipped":
      return answer(c, goJson({ name, reason: "no gguf-guard manifest available", status: "skipped" }));
    case "match":
      return answer(c, goJson({ detail: "PASS: all tensors match manifest", name, status: "verified" }));
    case "mismatch":
      throw unverified(name, [`FAIL: ${result.count} mismatches`, ...result.lines.map((line) => `  ${line}`)].join("\n"));
    case "cannot-check":
      throw unverified(name, `cannot check: ${result.lines.join("; ")}`);
  }
}

function unverified(name: string, output: string): RegistryError {
  const error = Buffer.byteLength(output) > MAX_DETAIL ? `${Buffer.from(output).subarray(0, MAX_DETAIL).toString()}...[truncated]` : output;
  return new RegistryError("CONFLICT", error, { detail: { error, name, status: "failed" } });
}

async function stats(services: AcquireServices): Promise<Record<string, unknown>> {
  const counts = await countStates(services);
  const damaged = await countDamaged(services);
  const occurring = Object.entries(counts).filter(([, count]) => count > 0);
  return {
    complete: damaged.complete,
    damaged_count: damaged.count,
    model_count: Object.values(counts).reduce((sum, count) => sum + count, 0),
    state_counts: Object.fromEntries(occurring.toSorted(([a], [b]) => (a < b ? -1 : 1))),
    trusted_count: counts.trusted,
  };
}
