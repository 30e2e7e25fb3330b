import { etagOf, isNotModified, isRangeCurrent } from "../../oci/conditional.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { parseRange } from "../../oci/range.ts";
import type { RepositoryName } from "../../oci/reference.ts";
import { warningHeader } from "../../oci/warning.ts";
import { deleteBlob } from "../../registry/delete-blob.ts";
import { OpenDownloads } from "../../registry/open-downloads.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type PulledBlob, pullBlob } from "../../registry/pull-blob.ts";
import type { RefusalLog } from "../../registry/refusals.ts";
import { type Downloading, sendDownload } from "../download.ts";
import { setHeaders } from "../headers.ts";
import { type Ask, type Door, isHead } from "../route.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log" | "settings"> & {
  readonly refusals: Pick<RefusalLog, "note">;
};

/** The doors to blobs (distribution-spec end-2 and end-10). */
export function blobDoors(services: Needs): readonly Door[] {
  const downloading = { downloads: new OpenDownloads(services), log: services.log };
  const path = "/v2/:name/blobs/:digest";
  return [
    {
      method: "GET",
      path,
      action: "pull",
      limit: "read-blob",
      inRepository: true,
      handle: async (c, caller, repository) => {
        const digest = digestInPath(c);
        return show(downloading, c, digest, await pullBlob(services, caller, repository, digest));
      },
    },
    {
      method: "DELETE",
      path,
      action: "delete",
      inRepository: true,
      handle: (c, caller, repository) => remove(services, c, caller, repository),
    },
  ];
}

async function show(downloading: Downloading, c: Ask, digest: Digest, blob: PulledBlob): Promise<Response> {
  if (isHead(c)) await blob.keep();
  const headers = headersOf(digest, blob.held);
  if (isNotModified(c.req.header("if-none-match"), digest)) return c.body(null, 304, headers);
  // HEAD comes by this door, too: no bytes are opened then, and Range means nothing (RFC 9110 §14.2).
  if (isHead(c)) {
    setHeaders(c.env.outgoing, { ...headers, "Content-Length": String(blob.size) });
    return c.body(null);
  }
  const isCurrent = isRangeCurrent(c.req.header("if-range"), digest);
  const range = parseRange(isCurrent ? c.req.header("range") : undefined, blob.size);
  if (range.kind === "unsatisfiable") {
    throw new RegistryError("RANGE_UNSATISFIABLE", undefined, { headers: { "Content-Range": `bytes */${blob.size}` } });
  }
  if (range.kind === "whole") {
    return sendDownload(downloading, c, { status: 200, headers, length: blob.size, bytes: await blob.open(), decision: blob });
  }
  const { start, end } = range;
  return sendDownload(downloading, c, {
    status: 206,
    headers: { ...headers, "Content-Range": `bytes ${start}-${end}/${blob.size}` },
    length: end - start + 1,
    bytes: await blob.open({ start, end }),
    decision: blob,
  });
}

function headersOf(digest: Digest, held: string | undefined): Readonly<Record<string, string>> {
  return {
    "Content-Type": "application/octet-stream",
    // Whatever an artifact holds, no browser shows it as a page of ours.
    "Content-Disposition": "attachment",
    "Docker-Content-Digest": digest,
    ETag: etagOf(digest),
    "Accept-Ranges": "bytes",
    // Bytes never change, but the right to them does: a cache asks the gate each time (protocol.md §9, row 22).
    "Cache-Control": "private, no-cache",
    ...(held !== undefined && { Warning: warningHeader(held) }),
  };
}

async function remove(services: Needs, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  await deleteBlob(services, caller, repository, digestInPath(c));
  return c.body(null, 202, { "Content-Length": "0" });
}

function digestInPath(c: Ask): Digest {
  const digest = c.req.param("digest") ?? "";
  if (!isDigest(digest))
    throw new RegistryError("DIGEST_INVALID", "the path must end in a digest: sha256:<64 lower-case hex digits> or sha512:<128>");
  return digest;
}
