import { MAX_MODEL_MANIFEST_BYTES, type ManifestEntry, ModelManifestError, parseModelManifest } from "../audit/model-manifest.ts";
import { type ModelEvent, modelEventSchema } from "../audit/model-event.ts";
import type { RecordedModel } from "../audit/recorded-model.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { keys } from "../storage/keys.ts";
import { OwnedFileError, readOwnedFile } from "../storage/owned-file.ts";
import type { AcquireServices } from "./acquire.ts";
import { auditEvent } from "./audit-event.ts";
import { FirstModelsError, recordFile, refuse, standingOf } from "./first-models-file.ts";
import { type Entry, STEPS, registerEntries } from "./register-entries.ts";
import type { DecidingFile } from "./registration-draft.ts";
import { SYSTEM } from "./system-actor.ts";

const KIND = "predecessor-manifest";

/** Where the manifest is, and how much of it is believed. */
export interface ManifestImport {
  readonly path: string;
  readonly directory: string;
  /** Are states taken over that no history proves (ALLOW_LEGACY_MANIFEST_MIGRATION)? */
  readonly believeStates: boolean;
  /** As for a lock file. */
  readonly signal: AbortSignal;
}

/**
 * Takes the predecessor's manifest over into a store that holds nothing yet, once (RULES 26): its models in their states, its audit chain as
 * the first links of ours. Says whether there is one. A manifest that does not hold is refused loudly and registers nothing. Throws
 * `FirstModelsError` when an import was cut off and cannot go on, since nothing may be added to a chain of which a part is missing.
 */
export async function importManifest(services: AcquireServices, options: ManifestImport): Promise<boolean> {
  const known = await standingOf(services, KIND);
  const bytes = await readOwnedFile(options.path, { maxBytes: MAX_MODEL_MANIFEST_BYTES }).catch(faultOf);
  if (known.standing === "unfinished" && !isThe(bytes, known.digest)) throw cutOff(known.digest);
  if (bytes === undefined) return false;
  if (known.standing === "closed") reportUnless(isThe(bytes, known.digest), services, options);
  else if ("fault" in bytes) await refuse(services, { kind: KIND }, { reason: bytes.fault });
  else await importBytes(services, bytes, options);
  return true;
}

type Read = Uint8Array | { readonly fault: string } | undefined;

function isThe(bytes: Read, digest: Digest | undefined): boolean {
  return bytes !== undefined && !("fault" in bytes) && digestOf(bytes) === digest;
}

function faultOf(error: unknown): { readonly fault: string } {
  if (error instanceof OwnedFileError) return { fault: error.message };
  throw error;
}

function cutOff(digest: Digest): FirstModelsError {
  const remedy = `put back the one with the digest ${digest}, for its owner alone to write`;
  return new FirstModelsError(`the import of manifest.json was cut off, and the file is not as it was: ${remedy}`);
}

function reportUnless(isKnown: boolean, { log }: AcquireServices, { path }: ManifestImport): void {
  if (!isKnown) log.warn({ path }, "MANIFEST.JSON IS NOT READ: the registry has begun with other records; move the file away");
}

async function importBytes(services: AcquireServices, bytes: Uint8Array, options: ManifestImport): Promise<void> {
  const file = { kind: KIND, digest: digestOf(bytes) } as const;
  const manifest = readManifest(bytes, options.directory);
  if ("fault" in manifest) return refuse(services, file, { reason: manifest.fault });
  const { entries, chain } = manifest;
  const events = chain?.events ?? [];
  services.log.info(
    { path: options.path, digest: file.digest, models: entries.length, events: events.length },
    "the predecessor's manifest is imported",
  );
  if (chain === undefined && entries.length > 0) warnOfHistory(services, options);
  await recordFile(services, file, "under-way", { after: { models: entries.length, events: events.length } });
  await importChain(services, file, events);
  const counts = await registerEntries(services, file, registrations(file, entries, options), options.signal);
  await recordFile(services, file, "done", { after: { ...counts, events: events.length } });
  services.log.info({ digest: file.digest, ...counts }, "the predecessor's manifest is imported; the file stays as it is");
}

function readManifest(bytes: Uint8Array, directory: string): ReturnType<typeof parseModelManifest> | { readonly fault: string } {
  try {
    return parseModelManifest(bytes, directory);
  } catch (error) {
    if (error instanceof ModelManifestError) return { fault: error.message };
    throw error;
  }
}

function warnOfHistory({ log }: AcquireServices, { believeStates }: ManifestImport): void {
  if (believeStates) log.warn("ALLOW_LEGACY_MANIFEST_MIGRATION: states are taken over that no audit history proves");
  else
    log.warn(
      "the manifest has no audit history: what it calls trusted comes in as acquired, unless ALLOW_LEGACY_MANIFEST_MIGRATION is true",
    );
}

const BATCH = 500;

/** The links are the first of ours, as they are; those that a start which was cut off has written are not written again. */
async function importChain(services: AcquireServices, file: DecidingFile, events: readonly ModelEvent[]): Promise<void> {
  const key = keys.modelEventHead();
  const head = await services.metadata.get(key);
  let version = head?.version;
  const written = head === undefined ? 0 : modelEventSchema.parse(head.value).sequence;
  for (let from = written; from < events.length; from += BATCH) {
    const batch = events.slice(from, from + BATCH);
    const outcome = await services.metadata.commit({
      expect: [{ key, version: version ?? "absent" }],
      put: [...batch.map((event) => ({ key: keys.modelEvent(event.sequence), value: event })), { key, value: batch.at(-1) }],
      remove: [],
      audit: [
        auditEvent(services, SYSTEM, {
          type: "registry.first-models",
          target: { kind: "registry", name: file.kind, digest: file.digest },
          after: { events: from + batch.length },
        }),
      ],
    });
    if (outcome !== "committed") throw new Error("another process imports the manifest at the same time");
    version = (await services.metadata.get(key))?.version;
  }
}

/** First what is deleted: its file may be another's by now. */
function registrations(file: DecidingFile, entries: readonly ManifestEntry[], options: ManifestImport): readonly Entry[] {
  const all = entries.map((entry) => entryOf(file, entry, options));
  return [...all.filter(isDeleted), ...all.filter((entry) => !isDeleted(entry))];
}

function isDeleted(entry: Entry): boolean {
  return "registration" in entry && entry.registration.model.state === "deleted";
}

function entryOf(file: DecidingFile, entry: ManifestEntry, { believeStates }: ManifestImport): Entry {
  if ("fault" in entry) return entry;
  const { position, name, history } = entry;
  const model = history !== undefined || believeStates ? entry.model : unproven(entry.model);
  const [steps, acquiredAt, chain] =
    history === undefined
      ? ([STEPS[model.state].map(({ event }) => ({ event, at: model.promotedAt })), model.promotedAt, "begins"] as const)
      : ([history.steps, history.acquiredAt, "told"] as const);
  return { position, name, registration: { file, model, steps, acquiredAt, bytes: "wanted", chain } };
}

/** Nothing proves that it was ever trusted, or held back. What keeps it out of service is believed without proof. */
function unproven(model: RecordedModel): RecordedModel {
  return model.state === "revoked" || model.state === "deleted" ? model : { ...model, state: "acquired" };
}
