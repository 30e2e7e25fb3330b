import type { LifecycleEvent, State } from "../lifecycle/state.ts";
import { goJson } from "../oci/go-json.ts";
import { GENESIS, type ModelEvent, modelEventHash, modelEventSchema, modelRecordJson } from "./model-event.ts";
import { issueText, timeOf } from "./recorded-model.ts";

/** Where a chain of the predecessor does not hold, in its words (secai-behaviour 1.9). */
export class ModelChainError extends Error {
  override readonly name = "ModelChainError";
}

/** A record in a link of the chain. */
type ChainedModel = ModelEvent["artifact"];

/** A transition that a chain tells of, and when it was (epoch milliseconds; undefined where that cannot be told). */
export interface ModelStep {
  readonly event: Exclude<LifecycleEvent, "acquire">;
  readonly at: number | undefined;
}

/** What a chain tells of a name's last digest. */
export interface ModelHistory {
  readonly record: ChainedModel;
  readonly acquiredAt: number | undefined;
  /** From acquired to the state that it is in; a revocation that was lifted again is left out. */
  readonly steps: readonly ModelStep[];
}

/** A chain that holds from its first link to its last. */
export interface ModelChain {
  readonly events: readonly ModelEvent[];
  /** By name, in the order in which the names were first registered. */
  readonly histories: ReadonlyMap<string, ModelHistory>;
}

/**
 * Proves the predecessor's chain: form and sequence of its links, every hash, every transition, and that it ends in exactly these records.
 * Throws `ModelChainError`.
 */
export function provenChain(links: readonly unknown[], models: readonly unknown[]): ModelChain {
  const events: ModelEvent[] = [];
  const histories = new Map<string, ModelHistory>();
  for (const [at, link] of links.entries()) {
    const event = linkAt(at + 1, link, events.at(-1));
    const fault = faultOf(event, histories.get(event.name), isBootstrapping(events));
    if (fault !== undefined) throw invalid(event.sequence, fault);
    events.push(event);
    histories.set(event.name, historyAfter(histories.get(event.name), event));
  }
  const replayed = [...histories.values()].map(({ record }) => modelRecordJson(record));
  if (replayed.length !== models.length || replayed.some((record, at) => record !== jsonOf(models[at])))
    throw new ModelChainError("manifest models do not exactly match full audit replay");
  return { events, histories };
}

function invalid(sequence: number, why: string): ModelChainError {
  return new ModelChainError(`invalid audit event ${sequence}: ${why}`);
}

function linkAt(sequence: number, link: unknown, before: ModelEvent | undefined): ModelEvent {
  const read = modelEventSchema.safeParse(link);
  if (!read.success) throw invalid(sequence, issueText(read.error));
  const event = read.data;
  const follows = event.sequence === sequence && event.prev_hash === (before?.hash ?? GENESIS) && event.hash === modelEventHash(event);
  if (!follows) throw new ModelChainError(`audit chain break at event ${sequence}`);
  return event;
}

/** The text of a record; of what is none, another one than any record's. */
function jsonOf(model: unknown): string {
  const read = modelEventSchema.shape.artifact.safeParse(model);
  return read.success ? modelRecordJson(read.data) : goJson(null);
}

function isBootstrapping(events: readonly ModelEvent[]): boolean {
  return events.at(-1)?.action === "bootstrap" || events.length === 0;
}

const RESULT = { acquire: "acquired", quarantine: "quarantined", promote: "trusted", revoke: "revoked", delete: "deleted" } as const;

/** Which rule of the predecessor a link breaks. */
function faultOf(event: ModelEvent, known: ModelHistory | undefined, bootstrapping: boolean): string | undefined {
  const { action, from_state: from, to_state: to, artifact } = event;
  if (!isAboutItsRecord(event)) return "it is not about its own record";
  if (from !== known?.record.state) return "it does not begin in the state of the record";
  if (action === "bootstrap") return bootstrapping && known === undefined ? undefined : "a bootstrap comes first";
  return transitionFault({ action, from, to }) ?? changeFault(action, artifact, known?.record);
}

function isAboutItsRecord({ artifact, name, sha256, to_state: to }: ModelEvent): boolean {
  return artifact.name === name && artifact.sha256 === sha256 && artifact.state === to;
}

interface Told {
  readonly action: Exclude<ModelEvent["action"], "bootstrap">;
  readonly from: State | undefined;
  readonly to: State;
}

function transitionFault({ action, from, to }: Told): string | undefined {
  if (to !== RESULT[action]) return `it does not end in the state ${RESULT[action]}`;
  return mayFollow(action, from) ? undefined : `${action} does not follow the state ${from ?? "of a new name"}`;
}

/** A promotion says everything anew; all else changes the state alone. */
function changeFault(action: Told["action"], after: ChainedModel, before: ChainedModel | undefined): string | undefined {
  if (action === "promote") return after.object_path === undefined ? "a promoted record has an object_path" : undefined;
  const isSame = before === undefined || modelRecordJson({ ...before, state: after.state }) === modelRecordJson(after);
  return isSame ? undefined : "more than the state has changed";
}

function mayFollow(action: Exclude<ModelEvent["action"], "bootstrap">, from: State | undefined): boolean {
  if (action === "promote") return true;
  if (action === "acquire") return from === undefined;
  return action === "quarantine" ? from === "acquired" : from !== undefined && from !== "deleted";
}

const STEP = { quarantined: "quarantine", trusted: "promote", revoked: "revoke", deleted: "delete" } as const;
const ORDER = ["quarantine", "promote", "revoke", "delete"] as const;

/** The history with a link more; another digest begins anew. */
function historyAfter(known: ModelHistory | undefined, event: ModelEvent): ModelHistory {
  const { artifact: record, to_state: to } = event;
  const past = known?.record.sha256 === record.sha256 ? known : undefined;
  const at = timeOfStep(event);
  const [steps, acquiredAt] = [past?.steps ?? [], past?.acquiredAt ?? at];
  return { record, acquiredAt, steps: to === "acquired" ? steps : withStep(steps, { event: STEP[to], at }) };
}

/** Once of each kind, in the order of the lifecycle; a promotion lifts a revocation. */
function withStep(steps: readonly ModelStep[], step: ModelStep): readonly ModelStep[] {
  const lifted = step.event === "promote" ? "revoke" : undefined;
  const kept = steps.filter(({ event }) => event !== step.event && event !== lifted);
  return [...kept, step].toSorted((a, b) => ORDER.indexOf(a.event) - ORDER.indexOf(b.event));
}

/** The record says when it was acquired or promoted, and the link when anything else happened. */
function timeOfStep({ to_state: to, artifact, timestamp }: ModelEvent): number | undefined {
  const said = to === "trusted" || to === "acquired" ? timeOf(artifact.promoted_at) : undefined;
  return said ?? timeOf(timestamp);
}
