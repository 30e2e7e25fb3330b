import type { CancelAnswer, ShownResult, ShownRun, VerificationAnswer } from "../../api/integrity.ts";
import { registryRights } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import { goJson, sortedMap } from "../../oci/go-json.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import type { VerifyServices } from "../../registry/verify-blob.ts";
import { type ModelVerification, recallModels, verifyModel } from "../../registry/verify-model.ts";
import { type ResultServices, readIntegrityResult } from "../../registry/verify-result.ts";
import {
  type VerificationStatus,
  cancelVerification,
  progressOf,
  refusalOfEnding,
  refusalOfStarting,
  startVerification,
  verificationStatus,
  waitForVerification,
} from "../../registry/verify-run.ts";
import type { Ask, Door } from "../route.ts";
import { whileStanding } from "../standing.ts";
import { answer, change, named, read } from "./models.ts";

interface Needs extends VerifyServices, ResultServices, Pick<Services, "clock"> {
  /** Is the server about to stop? Then nobody is kept waiting. */
  readonly draining: () => boolean;
}

const ALL = "/v1/models/verify-all";
/** Whoever lost patience finds the work going on when it comes again within so long (ms). */
const LINGER = 60_000;

/** The doors to checks of stored bytes (secai-behaviour 1.6): of one artifact, of all, and the last result. */
export function integrityDoors(services: Needs): readonly Door[] {
  return [
    read("POST", "/v1/model/verify", (c, caller) => verifyOne(services, c, caller)),
    read("POST", ALL, (c, caller) => verifyAll(services, c, caller)),
    read("GET", ALL, async (c, caller) => answer(c, goJson(await shownStatus(services, caller)))),
    change("DELETE", ALL, (c, caller) => cancel(services, c, caller)),
    read("GET", "/v1/integrity/status", async (c) => answer(c, goJson(sortedMap(await readIntegrityResult(services))))),
  ];
}

async function verifyOne(services: Needs, c: Ask, caller: Caller): Promise<Response> {
  const found = await named(services, c, caller, "seen");
  const options = { signal: c.req.raw.signal, linger: LINGER, askedBy: caller.principal.name };
  const result = await verifyModel(services, found, options);
  if (result.status !== "verified") return answer(c, goJson(sortedMap({ ...result, safe_to_use: "false" })), 409);
  const { name, sha256, state, status, isSafe } = result;
  return answer(c, goJson({ name, safe_to_use: String(isSafe === true), sha256, state, status }));
}

/** Joins the check that is under way, and waits for its end unless the client would rather come again (RFC 7240). */
async function verifyAll(services: Needs, c: Ask, caller: Caller): Promise<Response> {
  const refused = refusalOfStarting(caller);
  if (refused !== undefined) throw denied(refused);
  const id = await startVerification(services, caller);
  if (/(?:^|,)\s*respond-async\s*(?:[,;]|$)/i.test(c.req.header("prefer") ?? "")) {
    c.header("Location", ALL);
    c.header("Preference-Applied", "respond-async");
    return answer(c, goJson(await shownStatus(services, caller)), 202);
  }
  const result = await waitForVerification(services, id, { signal: c.req.raw.signal, isStopping: services.draining });
  // No verdict on the models: neither of the two that a client may take it for.
  if (result.status === "error") throw new RegistryError("UNAVAILABLE", result.detail ?? undefined);
  const models = (): ReturnType<typeof recallModels> => recallModels(services, caller, result);
  let [checked, isOk] = [0, result.status === "ok"];
  for await (const { status } of models()) {
    checked += 1;
    isOk &&= status !== "failed";
  }
  const status = isOk ? "ok" : "failed";
  c.header("Content-Type", "application/json");
  return c.body(allOf({ checked, status }, whileStanding(c, models())), isOk ? 200 : 409);
}

/** Written while it is found: any number of models in constant memory. */
function allOf(
  { checked, status }: { readonly checked: number; readonly status: "ok" | "failed" },
  models: AsyncIterable<ModelVerification>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  async function* text(): AsyncGenerator<Uint8Array> {
    let before = `{"checked":${checked},"models":[`;
    for await (const model of models) {
      yield encoder.encode(`${before}${goJson(sortedMap(elementOf(model)))}`);
      before = ",";
    }
    yield encoder.encode(`${before === "," ? "" : before}],"status":"${status}"}\n`);
  }
  return ReadableStream.from(text());
}

function elementOf(model: ModelVerification): object {
  if (model.status !== "verified") return model;
  const { name, sha256, status } = model;
  return { name, sha256, status };
}

async function cancel(services: Needs, c: Ask, caller: Caller): Promise<Response> {
  const refused = refusalOfEnding(caller);
  if (refused !== undefined) throw denied(refused);
  const cancelled = await cancelVerification(services, caller);
  const shown: CancelAnswer = { cancelled: cancelled && shownResult(cancelled, caller) };
  return answer(c, goJson(shown));
}

function denied(error: string): RegistryError {
  return new RegistryError("DENIED", error, { detail: { error } });
}

async function shownStatus(services: Needs, caller: Caller): Promise<VerificationAnswer> {
  const { current, last } = await verificationStatus(services);
  return { current: current && shownRun(current, caller), last: last && shownResult(last, caller) };
}

type Run = NonNullable<VerificationStatus["current"]>;
type Result = NonNullable<VerificationStatus["last"]>;

function shownProgress(run: Run | Result, { principal }: Caller) {
  return {
    id: run.id,
    ...(registryRights(principal).has("audit") && { by: run.by }),
    started_at: new Date(run.startedAt).toISOString(),
    blobs_checked: run.blobsChecked,
    bytes_checked: run.bytesChecked,
    blobs_damaged: run.blobsDamaged,
    blobs_unreadable: run.blobsUnreadable,
  };
}

function shownRun(run: Run, caller: Caller): ShownRun {
  return { ...shownProgress(run, caller), blobs_total: run.blobsTotal, progress: progressOf(run) };
}

function shownResult(result: Result, caller: Caller): ShownResult {
  return {
    ...shownProgress(result, caller),
    status: result.status,
    detail: result.detail,
    checked_at: new Date(result.endedAt).toISOString(),
    models_checked: result.artifactsChecked,
    failures: result.artifactsFailed,
  };
}
