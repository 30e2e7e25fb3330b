import { type Digest, algorithmOf, isDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { RepositoryName } from "../../oci/reference.ts";
import { type IncomingChunk, appendUpload } from "../../registry/append-upload.ts";
import { cancelUpload } from "../../registry/cancel-upload.ts";
import { finishUpload, uploadAtOnce } from "../../registry/finish-upload.ts";
import { mountBlob } from "../../registry/mount-blob.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { readUpload } from "../../registry/read-upload.ts";
import { refuseDigestLikeName, startUpload } from "../../registry/start-upload.ts";
import { UploadHashes } from "../../registry/upload-hashes.ts";
import { OFFSET_PARAMETER, type UploadOwner, uploadHeaders } from "../../registry/upload-id.ts";
import { guardedBody } from "../progress.ts";
import type { Ask, Door, RepositoryDoor } from "../route.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "tree" | "clock" | "newId" | "random" | "secretFor" | "log" | "limits" | "settings">;
type Uploading = Needs & { readonly hashes: UploadHashes };

/** The doors to uploads (distribution-spec end-4 to end-6, end-11, end-13 and end-14). All of them are for who may push. */
export function uploadDoors(services: Needs): readonly Door[] {
  const uploading: Uploading = { ...services, hashes: new UploadHashes(services.blobs) };
  const door = (
    method: RepositoryDoor["method"],
    path: string,
    handle: (uploading: Uploading, c: Ask, caller: Caller, repository: RepositoryName) => Promise<Response>,
  ): Door => ({
    method,
    path,
    action: "push",
    inRepository: true,
    handle: (c, caller, repository) => handle(uploading, c, caller, repository),
  });
  return [
    door("POST", "/v2/:name/blobs/uploads/", begin),
    door("GET", "/v2/:name/blobs/uploads/:upload", show),
    door("PATCH", "/v2/:name/blobs/uploads/:upload", append),
    door("PUT", "/v2/:name/blobs/uploads/:upload", finish),
    door("DELETE", "/v2/:name/blobs/uploads/:upload", cancel),
  ];
}

async function begin(services: Uploading, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  refuseDigestLikeName({ repository });
  const mount = digestIn(c, "mount");
  // Some clients send it empty.
  const { from } = c.req.query();
  if (mount !== undefined && (await mountBlob(services, caller, { repository, digest: mount, from: from || undefined })))
    return created(c, repository, mount);
  const digest = digestIn(c, "digest");
  if (digest !== undefined) {
    await uploadAtOnce(services, caller, { repository, digest, chunk: chunkOf(c, true) });
    return created(c, repository, digest);
  }
  const algorithm = c.req.query("digest-algorithm") ?? (mount && algorithmOf(mount));
  const upload = await startUpload(services, ownerOf(caller, repository), { algorithm, bytes: 0 });
  return c.body(null, 202, { ...uploadHeaders(repository, upload, 0), "Content-Length": "0" });
}

async function show(services: Uploading, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  const { upload, size } = await readUpload(services, ownerOf(caller, repository), idIn(c));
  return c.body(null, 204, uploadHeaders(repository, upload, size));
}

async function append(services: Uploading, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  const owner = ownerOf(caller, repository);
  const status = await readUpload(services, owner, idIn(c));
  const size = await appendUpload(services, owner, status, chunkOf(c, false));
  return c.body(null, 202, { ...uploadHeaders(repository, status.upload, size), "Content-Length": "0" });
}

async function finish(services: Uploading, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  const status = await readUpload(services, ownerOf(caller, repository), idIn(c));
  const digest = digestIn(c, "digest");
  if (digest === undefined) throw new RegistryError("DIGEST_INVALID", "the closing PUT needs ?digest=<digest of the whole blob>");
  await finishUpload(services, caller, status, { repository, digest, chunk: chunkOf(c, true) });
  return created(c, repository, digest);
}

async function cancel(services: Uploading, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  await cancelUpload(services, ownerOf(caller, repository), idIn(c));
  return c.body(null, 204);
}

function created(c: Ask, repository: RepositoryName, digest: Digest): Response {
  return c.body(null, 201, { Location: `/v2/${repository}/blobs/${digest}`, "Docker-Content-Digest": digest, "Content-Length": "0" });
}

function chunkOf(c: Ask, closing: boolean): IncomingChunk {
  // Of the location only this one parameter counts: clients send the others reordered, re-encoded and with a digest among them.
  const offset = c.req.query(OFFSET_PARAMETER);
  return {
    bytes: guardedBody(c),
    contentRange: c.req.header("content-range"),
    contentLength: bodyLength(c),
    stateOffset: offset === undefined ? undefined : Number(offset),
    closing,
  };
}

/** RFC 9112 §6.3: a request with neither header has no body. */
function bodyLength(c: Ask): number | undefined {
  if (c.req.header("transfer-encoding") !== undefined) return undefined;
  return Number(c.req.header("content-length") ?? 0);
}

function digestIn(c: Ask, parameter: "digest" | "mount"): Digest | undefined {
  const text = c.req.query(parameter);
  if (text === undefined) return undefined;
  if (!isDigest(text))
    throw new RegistryError("DIGEST_INVALID", `${parameter} must be a digest: sha256:<64 lower-case hex digits> or sha512:<128>`);
  return text;
}

function idIn(c: Ask): string {
  return c.req.param("upload") ?? "";
}

function ownerOf({ principal }: Caller, repository: RepositoryName): UploadOwner {
  return { repository, identity: principal.name };
}
