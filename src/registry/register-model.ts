import type { ModelStep } from "../audit/model-chain.ts";
import type { RecordedModel } from "../audit/recorded-model.ts";
import type { AuditEvent } from "../audit/event.ts";
import type { State } from "../lifecycle/state.ts";
import { type Digest, encodedOf, isDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { listed } from "../policy/check.ts";
import { type FirstModelsFile, keys } from "../storage/keys.ts";
import type { Change } from "../storage/metadata-store.ts";
import { withPendingChange } from "../storage/pending-change.ts";
import type { ModelDetails } from "../storage/records.ts";
import { type AbsentFile, type AcquireServices, type Acquisition, decisionToAcquire, demandAcquiring } from "./acquire.ts";
import { syncFolders } from "./blob-folders.ts";
import type { BuiltTransition } from "./change-state.ts";
import { type FoundModel, findRegistered } from "./find-model.ts";
import { type ModelHappening, modelEventRows } from "./model-events.ts";
import { registeredView } from "./model-view.ts";
import { decidePlainTransition } from "./plain-transition.ts";
import type { Caller } from "./ports.ts";
import { decidePromotion } from "./promote.ts";
import { RESERVED_TAG } from "./reserved-tag.ts";
import { decideRevocation } from "./revoke.ts";
import { syncRuntimeFolders } from "./runtime-folders.ts";
import { SYSTEM } from "./system-actor.ts";
import { type TakenFile, takeInFile, tensorManifestOf } from "./take-in-file.ts";

/** The file by which the operator decided what an empty store begins with. */
export interface DecidingFile {
  readonly kind: FirstModelsFile;
  readonly digest: Digest;
}

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
      const problem = mismatch(copy, { sha256, size: bytes === "demanded" ? size : 0 });
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

function mismatch(copy: TakenFile, { sha256, size }: Pick<RecordedModel, "sha256" | "size">): string | undefined {
  const actual = encodedOf(copy.digest);
  if (sha256 !== undefined && sha256 !== actual) return `hash verification failed: hash mismatch: expected ${sha256}, got ${actual}`;
  return size !== 0 && size !== copy.size ? "declared size does not match artifact" : undefined;
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
  const draft = new Draft(services, file);
  const acquired = await decisionToAcquire(draft.services(acquiredAt), acquirer, acquisitionOf(model), copy)();
  draft.add(acquired.change);
  const details = detailsOf(await draft.found(model.name), model, await namedTensorManifest(services, model));
  draft.add({ put: [{ key: keys.model(details.repository, details.digest), value: details.details }] });
  const built: BuiltTransition[] = [];
  for (const step of steps) {
    const next = await decideStep(draft, registration, step);
    draft.add(next.change);
    built.push(next);
  }
  const { record } = await draft.found(model.name);
  const view = registeredView(details.details, record);
  await draft.commit(happeningOf(registration, view));
  const { folders: healed } = acquired.result;
  if (healed !== undefined) await syncFolders(services, healed);
  for (const { folders, pending } of built) {
    const touched = [...folders].map((manifest) => ({ repository: details.repository, manifest }));
    await syncRuntimeFolders(services, touched, pending);
  }
  return { outcome: "registered", state: record.state, withheld: problem };
}

function happeningOf({ chain, model, problem }: Withheld, view: ModelHappening["view"]): ModelHappening | undefined {
  if (chain === "begins") return { action: "bootstrap", from: undefined, view };
  return problem === undefined ? undefined : { action: "quarantine", from: model.state, view };
}

/** Changes that become one: each is decided over the store as those before will leave it. */
class Draft {
  readonly #services: AcquireServices;
  readonly #file: DecidingFile;
  #metadata: AcquireServices["metadata"];

  constructor(services: AcquireServices, file: DecidingFile) {
    this.#services = services;
    this.#file = file;
    this.#metadata = services.metadata;
  }

  /** What decisions are taken with; they are of another time where the record says when it was. */
  services(at: number | undefined): AcquireServices {
    const { clock, settings } = this.#services;
    const promotionPolicy = policyOf(this.#file);
    return {
      ...this.#services,
      metadata: this.#metadata,
      clock: at === undefined ? clock : () => at,
      settings: { ...settings, promotionPolicy },
    };
  }

  /** The predecessor's chain is written by whoever knows what it tells already. */
  add(change: Partial<Change> | undefined): void {
    if (change === undefined) return;
    const { expect = [], put = [], remove = [], audit = [] } = change;
    this.#metadata = withPendingChange(this.#metadata, {
      expect: expect.filter(({ key }) => !CHAIN.has(key[0])),
      put: put.filter(({ key }) => !CHAIN.has(key[0])),
      remove,
      audit: audit.map((event) => this.#told(event)),
    });
  }

  async found(name: string): Promise<FoundModel> {
    const found = await findRegistered(this.services(undefined), callerOf(this.#file).decider, name);
    if (found === undefined) throw new RegistryError("INTERNAL");
    return found;
  }

  async commit(happening: ModelHappening | undefined): Promise<void> {
    const { expect, put } = happening === undefined ? { expect: [], put: [] } : await modelEventRows(this.services(undefined), happening);
    const outcome = await this.#metadata.commit({ expect, put, remove: [], audit: [] });
    if (outcome !== "committed") throw new Error("another process registers models at the same time");
  }

  /** The audit says when it was recorded, and by which file. */
  #told(event: AuditEvent): AuditEvent {
    return { ...event, time: this.#services.clock(), after: { ...event.after, policy: policyOf(this.#file) } };
  }
}

const CHAIN: ReadonlySet<string> = new Set([keys.modelEventHead()[0], keys.modelEvents()[0]]);

async function decideStep(draft: Draft, { file, model, problem }: Withheld, { event, at }: ModelStep): Promise<BuiltTransition> {
  const [services, { decider }] = [draft.services(at), callerOf(file)];
  const found = await draft.found(model.name);
  const reason = (problem ?? `by the ${WORDS[file.kind]}`).slice(0, 1024);
  if (event === "revoke") return decideRevocation(services, decider, found, { reason, permanent: false, everywhere: false });
  if (event !== "promote") return decidePlainTransition(services, decider, found, { event, reason });
  const request = { refTag: RESERVED_TAG, tags: [], covers: [], evidence: [], scan: model.scan, reason: null, expected: undefined };
  const { built, evaluated } = await decidePromotion(services, decider, found, request);
  const { allowed, checks } = evaluated.decision;
  if (!allowed) throw new RegistryError("REFUSED", listed(checks.filter(({ status }) => status === "fail").map(({ message }) => message)));
  return built;
}

const WORDS: Readonly<Record<FirstModelsFile, string>> = { "boot-lock": "lock file", "predecessor-manifest": "predecessor's manifest" };

function policyOf({ kind, digest }: DecidingFile): `${FirstModelsFile}@${Digest}` {
  return `${kind}@${digest}`;
}

/**
 * The registry takes the files in, and the operator's file decides: two persons as far as duties are concerned, and one actor, the system,
 * in statements and audit.
 */
function callerOf(file: DecidingFile): { readonly acquirer: Caller; readonly decider: Caller } {
  const principal = {
    name: SYSTEM.principal,
    kind: "system",
    bindings: [
      { role: "operator", namespace: "*" },
      { role: "maintainer", namespace: "models" },
    ],
    countsAs: SYSTEM.principal,
    credential: undefined,
    access: undefined,
    duties: "standard",
  } as const;
  return {
    acquirer: { principal, actor: SYSTEM },
    decider: { principal: { ...principal, countsAs: policyOf(file) }, actor: SYSTEM },
  };
}

function acquisitionOf({ name, filename, path, format, sha256, size, source }: RecordedModel): Acquisition {
  return { name, filename, path, format, sha256, size, source };
}

interface Detailed {
  readonly repository: FoundModel["repository"];
  readonly digest: Digest;
  readonly details: ModelDetails;
}

function detailsOf(
  { repository, record, details }: FoundModel,
  model: RecordedModel,
  tensorManifest: ModelDetails["tensorManifest"],
): Detailed {
  if (details === undefined) throw new RegistryError("INTERNAL");
  const { scan, fingerprint } = model;
  const said = {
    scanResults: scan.scan_results,
    scannerVersions: scan.scanner_versions,
    policyVersion: scan.policy_version,
    sourceRevision: scan.source_revision,
    fingerprint,
    tensorManifest,
  };
  return { repository, digest: record.digest, details: { ...details, ...said } };
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
