import type { ModelStep } from "../audit/model-chain.ts";
import type { RecordedModel } from "../audit/recorded-model.ts";
import type { State } from "../lifecycle/state.ts";
import { isDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { listed } from "../policy/check.ts";
import { type FirstModelsFile, keys } from "../storage/keys.ts";
import type { ModelDetails } from "../storage/records.ts";
import { type AbsentFile, type AcquireServices, type Acquisition, decisionToAcquire, demandAcquiring, otherBytes } from "./acquire.ts";
import { syncFolders } from "./blob-folders.ts";
import type { BuiltTransition } from "./change-state.ts";
import type { ModelHappening } from "./model-events.ts";
import { registeredView } from "./model-view.ts";
import { decidePlainTransition } from "./plain-transition.ts";
import { decidePromotion } from "./promote.ts";
import { type DecidingFile, RegistrationDraft, callerOf } from "./registration-draft.ts";
import { RESERVED_TAG } from "./reserved-tag.ts";
import { decideRevocation } from "./revoke.ts";
import { syncRuntimeFolders } from "./runtime-folders.ts";
import { withSaid } from "./said-of-model.ts";
import { type TakenFile, takeInFile, tensorManifestOf } from "./take-in-file.ts";

/** A record of such a file, on its way into the registry. */
export interface Registration {
  readonly file: DecidingFile;
  readonly model: RecordedModel;
  /** From acquired to the state of the record. */
  readonly steps: readonly ModelStep[];
  /** Epoch milliseconds; undefined: now. */
  readonly acquiredAt: number | undefined;
  /** Without its bytes, is it refused, or recorded without being trusted? What is revoked or deleted needs none. */
  readonly bytes: "demanded" | "wanted";
  /** Does the predecessor's chain tell of it already, or begin with it? */
  readonly chain: "told" | "begins";
}

/** What became of it. `known`: the name is registered already, and nothing was changed. */
export type Registered =
  | { readonly outcome: "known" }
  | {
      readonly outcome: "registered";
      readonly state: State;
      /** Why it is not in the state that its record says. */
      readonly withheld: string | undefined;
    };

/**
 * Registers a record with all that it has been through as one change: it is there as the file says, or not at all. Throws `RegistryError`
 * for what is refused.
 */
export async function registerModel(services: AcquireServices, registration: Registration): Promise<Registered> {
  const { model, file } = registration;
  if ((await services.metadata.get(keys.modelName(model.name))) !== undefined) return { outcome: "known" };
  await demandAcquiring(services, callerOf(file).acquirer, acquisitionOf(model));
  return withBytes(services, registration, async (copy) => {
    if (!("problem" in copy)) return registerCopy(services, registration, copy);
    const { problem, size } = copy;
    const mayLack = registration.bytes === "wanted" || model.state === "revoked" || model.state === "deleted";
    const digest = `sha256:${model.sha256 ?? ""}`;
    if (!mayLack || !isDigest(digest)) throw new RegistryError("CONFLICT", problem);
    return register(services, withheld(registration, problem), { upload: undefined, digest, size, identity: null });
  });
}

/** The policy decides by digest; what it refuses all the same is recorded, where that may be, and not trusted. */
async function registerCopy(services: AcquireServices, registration: Registration, copy: TakenFile): Promise<Registered> {
  try {
    return await register(services, { ...registration, problem: undefined }, copy);
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== "REFUSED" || registration.bytes === "demanded") throw error;
    return register(services, withheld(registration, error.message), copy);
  }
}

type Missing = { readonly problem: string; readonly size: number };

/** Hands on a copy of the file of the record's digest: under its own name, or where the predecessor kept one. */
async function withBytes<T>(
  services: AcquireServices,
  { model, bytes }: Registration,
  use: (copy: TakenFile | Missing) => Promise<T>,
): Promise<T> {
  const { sha256, size, state, path, objectPath } = model;
  const missing = { problem: "there are no bytes of it", size };
  if (state === "deleted") return use(missing);
  for (const place of objectPath === undefined ? [path] : [path, objectPath]) {
    const copy = await takeInFile(services, place).catch(problemOf);
    if ("problem" in copy) {
      missing.problem = copy.problem;
      continue;
    }
    try {
      const problem = otherBytes({ sha256, size: bytes === "demanded" ? size : 0 }, copy);
      if (problem === undefined) return await use(copy);
      missing.problem = problem;
    } finally {
      await services.blobs.discard(copy.upload);
    }
  }
  return use(missing);
}

function problemOf(error: unknown): { readonly problem: string } {
  if (error instanceof RegistryError && error.code === "CONFLICT") return { problem: error.message };
  throw error;
}

interface Withheld extends Registration {
  /** Why it is less than its record says. */
  readonly problem: string | undefined;
}

const WITHOUT_BYTES: Readonly<Record<"revoked" | "deleted", ReadonlySet<string>>> = {
  revoked: new Set(["quarantine", "revoke"]),
  deleted: new Set(["revoke", "delete"]),
};

/** Without its bytes nothing is trusted: it is held back, or only no longer told of as once trusted. */
function withheld(registration: Registration, problem: string): Withheld {
  const { model, steps } = registration;
  if (model.state === "trusted") return { ...registration, steps: [{ event: "quarantine", at: undefined }], problem };
  const kept = model.state === "revoked" || model.state === "deleted" ? WITHOUT_BYTES[model.state] : undefined;
  return { ...registration, steps: kept === undefined ? steps : steps.filter(({ event }) => kept.has(event)), problem: undefined };
}

async function register(services: AcquireServices, registration: Withheld, copy: TakenFile | AbsentFile): Promise<Registered> {
  const { model, file, steps, acquiredAt, problem } = registration;
  const { acquirer } = callerOf(file);
  const draft = new RegistrationDraft(services, file);
  const acquired = await decisionToAcquire(draft.services(acquiredAt), acquirer, acquisitionOf(model), copy)();
  draft.add(acquired.change);
  const { repository, record: pushed, details: known } = await draft.found(model.name);
  if (known === undefined) throw new RegistryError("INTERNAL");
  const details = withSaid(known, { ...model, tensorManifest: await namedTensorManifest(services, model) });
  draft.add({ put: [{ key: keys.model(repository, pushed.digest), value: details }] });
  const built: BuiltTransition[] = [];
  for (const step of steps) {
    const next = await decideStep(draft, registration, step);
    draft.add(next.change);
    built.push(next);
  }
  const { record } = await draft.found(model.name);
  const view = registeredView(details, record);
  await draft.commit(happeningOf(registration, view));
  const { folders: healed } = acquired.result;
  if (healed !== undefined) await syncFolders(services, healed);
  for (const { folders, pending } of built) {
    const touched = [...folders].map((manifest) => ({ repository, manifest }));
    await syncRuntimeFolders(services, touched, pending);
  }
  return { outcome: "registered", state: record.state, withheld: problem };
}

function happeningOf({ chain, model, problem }: Withheld, view: ModelHappening["view"]): ModelHappening | undefined {
  if (chain === "begins") return { action: "bootstrap", from: undefined, view };
  return problem === undefined ? undefined : { action: "quarantine", from: model.state, view };
}

async function decideStep(
  draft: RegistrationDraft,
  { file, model, problem }: Withheld,
  { event, at }: ModelStep,
): Promise<BuiltTransition> {
  const [services, { decider }] = [draft.services(at), callerOf(file)];
  const found = await draft.found(model.name);
  const reason = (problem ?? `by the ${WORDS[file.kind]}`).slice(0, 1024).toWellFormed();
  if (event === "revoke") return decideRevocation(services, decider, found, { reason, permanent: false, everywhere: false });
  if (event !== "promote") return decidePlainTransition(services, decider, found, { event, reason });
  const request = { refTag: RESERVED_TAG, tags: [], covers: [], evidence: [], scan: model.scan, reason: null, expected: undefined };
  const { built, evaluated } = await decidePromotion(services, decider, found, request);
  const { allowed, checks } = evaluated.decision;
  if (!allowed) throw new RegistryError("REFUSED", listed(checks.filter(({ status }) => status === "fail").map(({ message }) => message)));
  return built;
}

const WORDS: Readonly<Record<FirstModelsFile, string>> = { "boot-lock": "lock file", "predecessor-manifest": "predecessor's manifest" };

function acquisitionOf({ name, filename, path, format, sha256, size, source }: RecordedModel): Acquisition {
  return { name, filename, path, format, sha256, size, source };
}

/** One that cannot be read now does not keep its model out: it is named, and verifies nothing. */
async function namedTensorManifest(
  services: AcquireServices,
  { name, tensorManifest: path }: RecordedModel,
): Promise<ModelDetails["tensorManifest"]> {
  try {
    return await tensorManifestOf(services, path);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    services.log.warn({ name, reason: error.message }, "the tensor manifest of a model cannot be read");
    return { path, digest: null };
  }
}
