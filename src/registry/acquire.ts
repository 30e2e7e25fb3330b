import type { ModelView } from "../audit/model-event.ts";
import { modelPackConfig, modelPackManifest } from "../formats/model-pack.ts";
import { rightsOnRegistered } from "../identity/authorize.ts";
import { type Digest, digestOf, encodedOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type ModelFormat, repositoryOfModel } from "../oci/model-name.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Entry, Key, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, type ModelDetails, modelDetailsRecord } from "../storage/records.ts";
import { InspectionError } from "../scan/inspection.ts";
import type { Inspector } from "../scan/inspector.ts";
import { auditEvent } from "./audit-event.ts";
import { type BlobFolders, syncFolders } from "./blob-folders.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import type { ShownModel } from "./find-model.ts";
import { demand } from "./find-artifact.ts";
import { type Verified, linkVerified } from "./finish-upload.ts";
import { holdName, taken } from "./hold-name.ts";
import { modelEventRows } from "./model-events.ts";
import { registeredView } from "./model-view.ts";
import { publishOwnBlobs } from "./own-blobs.ts";
import type { Caller, Services } from "./ports.ts";
import { type CheckedPush, decideManifest } from "./push-manifest.ts";
import { RESERVED_TAG } from "./reserved-tag.ts";
import { type TakenFile, takeInFile } from "./take-in-file.ts";
import { inTurn } from "./turns.ts";

export type AcquireServices = Pick<
  Services,
  "metadata" | "blobs" | "tree" | "files" | "inspector" | "signing" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings"
>;

/** A file of the data directory that is to be registered under a name; bounds and spelling are checked. */
export interface Acquisition {
  readonly name: string;
  readonly filename: string;
  /** The filename in its one spelling. */
  readonly path: string;
  readonly format: ModelFormat;
  /** 64 hexadecimal digits; undefined: whatever the file has. */
  readonly sha256: string | undefined;
  /** Bytes; zero: undeclared. */
  readonly size: number;
  readonly source: string;
}

/**
 * Registers a file under a name as an acquired artifact, or again when what the name means is neither trusted nor revoked. The same file
 * with the same words is no change.
 */
export async function acquire(services: AcquireServices, caller: Caller, acquisition: Acquisition): Promise<ShownModel> {
  await demandAcquiring(services, caller, acquisition);
  return inTurn(services.metadata, `acquire ${acquisition.name}`, () =>
    withAcquisition(services, caller, acquisition, async (decide) => {
      const { folders, model } = await decideAndCommit(services, decide);
      if (folders !== undefined) await syncFolders(services, folders);
      return model;
    }),
  );
}

/** Refuses a name or a file that is not free for the caller, before the file is read. */
export async function demandAcquiring(
  services: Pick<Services, "metadata">,
  { principal }: Caller,
  acquisition: Pick<Acquisition, "name" | "path">,
): Promise<void> {
  const repository = repositoryOfModel(acquisition.name);
  demand(rightsOnRegistered(principal, repository), "acquire", "acquiring");
  await holdName(services, repository, acquisition);
}

/** Reads the file and hands on the decision that registers it, which may be taken as often as need be while the file is held. */
export async function withAcquisition<T>(
  services: AcquireServices,
  caller: Caller,
  acquisition: Acquisition,
  use: (decide: DecisionToAcquire) => Promise<T>,
): Promise<T> {
  const copy = await takeInFile(services, acquisition.path);
  try {
    refuseOtherBytes(acquisition, copy);
    return await use(decisionToAcquire(services, caller, acquisition, copy));
  } finally {
    await services.blobs.discard(copy.upload).catch((error: unknown) => services.log.warn({ err: error }, "a copy could not be discarded"));
  }
}

/** To be taken as often as need be: the change that registers a file. */
export type DecisionToAcquire = () => Promise<Decided<Acquired>>;

interface Acquired {
  /** Those of `trusted/` that follow the change. */
  readonly folders: BlobFolders | undefined;
  readonly model: ShownModel;
}

/** Bytes that an artifact is recorded with although nobody has them. */
export interface AbsentFile {
  readonly upload: undefined;
  readonly digest: Digest;
  readonly size: number;
  readonly identity: null;
}

/** The decision that registers a file that was taken in, or that is not there. */
export function decisionToAcquire(
  services: AcquireServices,
  caller: Caller,
  acquisition: Acquisition,
  copy: TakenFile | AbsentFile,
): DecisionToAcquire {
  const described = describeOnce(services, acquisition, copy);
  return () => decideAcquisition(services, caller, { acquisition, copy, described });
}

/** Refuses bytes that are not those which an acquisition says. */
export function refuseOtherBytes(acquisition: Pick<Acquisition, "sha256" | "size">, copy: Pick<TakenFile, "digest" | "size">): void {
  const problem = otherBytes(acquisition, copy);
  if (problem !== undefined) throw new RegistryError("CONFLICT", problem);
}

/** Why bytes are not those which are said, in the predecessor's words; undefined where they are. */
export function otherBytes(
  { sha256, size }: Pick<Acquisition, "sha256" | "size">,
  copy: Pick<TakenFile, "digest" | "size">,
): string | undefined {
  const actual = encodedOf(copy.digest);
  if (sha256 !== undefined && sha256 !== actual) return `hash verification failed: hash mismatch: expected ${sha256}, got ${actual}`;
  return size !== 0 && size !== copy.size ? "declared size does not match artifact" : undefined;
}

/** The OCI artifact that the file becomes: the same file and words make the same digest. */
interface Described {
  readonly config: Uint8Array;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  readonly digest: Digest;
}

/** The file's header is read once, by a process of its own, from the copy that was hashed: what is kept under the digest may be damaged. */
function describeOnce(services: AcquireServices, acquisition: Acquisition, copy: TakenFile | AbsentFile): () => Promise<Described> {
  let described: Promise<Described> | undefined;
  return () => (described ??= describe(services, acquisition, copy));
}

async function describe(
  { blobs, inspector }: AcquireServices,
  { name, path, format, source }: Acquisition,
  copy: TakenFile | AbsentFile,
): Promise<Described> {
  const facts = copy.upload === undefined ? undefined : await blobs.inStagedFile(copy.upload, (file) => factsOf(inspector, file, path));
  const config = modelPackConfig({ name, format, facts, diffId: copy.digest });
  const bytes = modelPackManifest({
    config: { digest: digestOf(config), size: config.byteLength },
    layer: { digest: copy.digest, size: copy.size, path },
    annotations: { "dev.ai-model-registry.name": name, ...(source !== "" && { "dev.ai-model-registry.source": source }) },
  });
  return { config, bytes, manifest: parseManifest(bytes, undefined), digest: digestOf(bytes) };
}

/** A header that could not be looked at now must not make another artifact of the same file. */
async function factsOf(inspector: Inspector, file: string, path: string): ReturnType<Inspector["facts"]> {
  try {
    return await inspector.facts(file, path);
  } catch (error) {
    if (!(error instanceof InspectionError)) throw error;
    throw new RegistryError("UNAVAILABLE", "the file's header cannot be read now; try again", { cause: error });
  }
}

interface Deciding {
  readonly acquisition: Acquisition;
  readonly copy: TakenFile | AbsentFile;
  readonly described: () => Promise<Described>;
}

async function decideAcquisition(
  services: AcquireServices,
  caller: Caller,
  { acquisition, copy, described }: Deciding,
): Promise<Decided<Acquired>> {
  const repository = repositoryOfModel(acquisition.name);
  const held = await holdName(services, repository, acquisition);
  const linked = await linkCopy(services, caller, repository, copy);
  const artifact = await described();
  const config = await publishOwnBlobs(services, repository, [artifact.config], caller.principal.name);
  const pushed = await decideManifest(services, caller, pushOf(repository, artifact));
  const { record, isNew } = pushed.result;
  if (record.state !== "acquired" && record.state !== "quarantined") throw taken();
  const known = await services.metadata.get(keys.model(repository, artifact.digest));
  const details = detailsAfter(acquisition, copy, isNew ? undefined : known);
  const result = { folders: linked.result, model: { name: details.name, repository, record, details } };
  const isThere = pushed.change === undefined && linked.change === undefined && config.put.length === 0;
  if (isThere && isSame(known, details)) return { result };
  const view = registeredView(details, record);
  const events = pushed.change === undefined ? NOTHING : await modelEventRows(services, { action: "acquire", from: held.state, view });
  const event = said(services, caller, { repository, artifact: artifact.digest, view, from: held.state });
  const named = {
    expect: held.expect,
    put: modelRows(repository, artifact.digest, details),
    remove: [keys.modelFileRemoval(acquisition.path)],
  };
  const asKnown = detailsUnchanged(keys.model(repository, artifact.digest), known);
  return { change: joined([linked.change, pushed.change, config, events, named, asKnown], event), result };
}

/** What nobody else may have written of the artifact meanwhile, since this writes it anew. */
function detailsUnchanged(key: Key, known: Entry | undefined): Pick<Change, "expect"> {
  return { expect: [{ key, version: known?.version ?? "absent" }] };
}

/** One change of what several decisions want; a part that wants nothing is undefined. */
function joined(parts: readonly (Partial<Change> | undefined)[], event: Change["audit"][number]): Change {
  return {
    expect: parts.flatMap((part) => part?.expect ?? []),
    put: parts.flatMap((part) => part?.put ?? []),
    remove: parts.flatMap((part) => part?.remove ?? []),
    audit: [event],
  };
}

const NOTHING = { expect: [], put: [] } as const;

async function linkCopy(
  services: AcquireServices,
  caller: Caller,
  repository: RepositoryName,
  copy: TakenFile | AbsentFile,
): Promise<Decided<BlobFolders | undefined>> {
  return copy.upload === undefined ? { result: undefined } : linkVerified(services, caller, verifiedCopy(repository, copy));
}

function verifiedCopy(repository: RepositoryName, { upload, size, digest }: TakenFile): Verified {
  return { upload: { id: upload, algorithm: "sha256" }, size, repository, digest, sha256: digest, isWritten: true };
}

function pushOf(repository: RepositoryName, { bytes, manifest, digest }: Described): CheckedPush {
  const push = { repository, digest: undefined, tags: [RESERVED_TAG], contentType: undefined, bytes };
  return { push, manifest, named: digest, sha256: digest, sha512: digestOf(bytes, "sha512") };
}

/** What is kept of the artifact: what was said of it before stays, as does the spelling of its filename, unless it is new. */
function detailsAfter(
  { name, filename, path, format, source }: Acquisition,
  copy: TakenFile | AbsentFile,
  known: Entry | undefined,
): ModelDetails {
  const before = known === undefined ? UNSAID : modelDetailsRecord.parse(known.value);
  return { filename, ...before, v: 1, name, path, format, blob: copy.digest, size: copy.size, source, file: copy.identity };
}

const UNSAID = {
  scanResults: {},
  scannerVersions: {},
  policyVersion: "",
  sourceRevision: "",
  fingerprint: {},
  tensorManifest: { path: "", digest: null },
} as const;

function isSame(known: Entry | undefined, details: ModelDetails): boolean {
  if (known === undefined) return false;
  return JSON.stringify(modelDetailsRecord.parse(known.value)) === JSON.stringify(modelDetailsRecord.parse(details));
}

function modelRows(repository: RepositoryName, artifact: Digest, details: ModelDetails): readonly Put[] {
  return [
    { key: keys.model(repository, artifact), value: details },
    { key: keys.modelName(details.name), value: { v: 1, repository, digest: artifact } },
    { key: keys.modelRepository(repository), value: { v: 1, name: details.name } },
    { key: keys.modelFile(details.path), value: { v: 1, name: details.name } },
  ];
}

function said(
  services: AcquireServices,
  { actor }: Caller,
  {
    repository,
    artifact,
    view,
    from,
  }: { repository: RepositoryName; artifact: Digest; view: ModelView; from: ManifestRecord["state"] | undefined },
): Change["audit"][number] {
  const { name, filename, sha256, state } = view;
  return auditEvent(services, actor, {
    type: "artifact.acquire",
    target: { kind: "artifact", name: repository, digest: artifact },
    before: from === undefined ? {} : { state: from },
    after: { state, name, filename: filename.slice(0, 1024).toWellFormed(), sha256 },
  });
}
