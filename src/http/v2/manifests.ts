import { etagOf, isNotModified } from "../../oci/conditional.ts";
import { RegistryError } from "../../oci/errors.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { type Reference, type RepositoryName, type Tag, isTag, parseReference } from "../../oci/reference.ts";
import { warningHeader } from "../../oci/warning.ts";
import { type DeletionServices, deleteArtifact } from "../../registry/delete-artifact.ts";
import { deleteTag } from "../../registry/delete-tag.ts";
import { findContent } from "../../registry/find-artifact.ts";
import type { Caller } from "../../registry/ports.ts";
import { pullManifest } from "../../registry/pull-manifest.ts";
import { pushManifest } from "../../registry/push-manifest.ts";
import type { RefusalLog } from "../../registry/refusals.ts";
import { wholeBody } from "../body.ts";
import { setHeaders } from "../headers.ts";
import { type Ask, type Door, type RepositoryDoor, isHead } from "../route.ts";

type Needs = DeletionServices & { readonly refusals: Pick<RefusalLog, "note"> };

/** distribution-spec end-7b: at least ten; the URL's bound allows about sixty. */
const MAX_TAGS = 100;

/** The doors to manifests and tags (distribution-spec end-3, end-7 and end-9). */
export function manifestDoors(services: Needs): readonly Door[] {
  return [
    door("GET", "pull", async (c, caller, repository) => show(services, c, caller, repository)),
    door("PUT", "push", async (c, caller, repository) => put(services, c, caller, repository)),
    door("DELETE", "delete", async (c, caller, repository) => remove(services, c, caller, repository)),
  ];
}

function door(method: RepositoryDoor["method"], action: RepositoryDoor["action"], handle: RepositoryDoor["handle"]): RepositoryDoor {
  return { method, path: "/v2/:name/manifests/:reference", inRepository: true, action, handle };
}

async function show(services: Needs, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  const pulled = await pullManifest(services, caller, repository, referenceInPath(c));
  const headers = {
    "Content-Type": pulled.mediaType,
    "Docker-Content-Digest": pulled.digest,
    ETag: etagOf(pulled.digest),
    // A tag moves and a right ends: a cache asks the gate each time (protocol.md §9, row 22).
    "Cache-Control": "private, no-cache",
    ...(pulled.held !== undefined && { Warning: warningHeader(pulled.held) }),
  };
  if (isNotModified(c.req.header("if-none-match"), pulled.digest)) return c.body(null, 304, headers);
  if (isHead(c)) {
    setHeaders(c.env.outgoing, { ...headers, "Content-Length": String(pulled.size) });
    return c.body(null);
  }
  const bytes = Buffer.from(await pulled.read());
  setHeaders(c.env.outgoing, headers);
  return c.body(bytes, 200, { "Content-Type": pulled.mediaType });
}

async function put(services: Needs, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  const reference = referenceInPath(c);
  const tags = "tag" in reference ? [reference.tag] : tagParameters(c);
  const pushed = await pushManifest(services, caller, {
    repository,
    digest: "digest" in reference ? reference.digest : undefined,
    tags,
    contentType: c.req.header("content-type"),
    bytes: await manifestBody(c),
  });
  const headers: Record<string, string | string[]> = {
    Location: `/v2/${repository}/manifests/${pushed.digest}`,
    "Docker-Content-Digest": pushed.digest,
    "Content-Length": "0",
    ...(pushed.subject !== undefined && { "OCI-Subject": pushed.subject }),
    ...("digest" in reference && tags.length > 0 && { "OCI-Tag": [...tags] }),
    ...(pushed.warning !== undefined && { Warning: warningHeader(pushed.warning) }),
  };
  return c.body(null, 201, headers);
}

async function remove(services: Needs, c: Ask, caller: Caller, repository: RepositoryName): Promise<Response> {
  const reference = referenceInPath(c);
  if ("tag" in reference) {
    const { warning } = await deleteTag(services, caller, repository, reference.tag);
    return c.body(null, 202, { "Content-Length": "0", ...(warning !== undefined && { Warning: warningHeader(warning) }) });
  }
  await deleteArtifact(services, caller, await findContent(services, caller, repository, reference.digest), null);
  return c.body(null, 202, { "Content-Length": "0" });
}

async function manifestBody(c: Ask): Promise<Uint8Array> {
  try {
    return await wholeBody(c, MAX_MANIFEST_BYTES);
  } catch (error) {
    throw error instanceof RegistryError && error.code === "TOO_LARGE" ? new RegistryError("MANIFEST_TOO_LARGE") : error;
  }
}

function referenceInPath(c: Ask): Reference {
  const text = c.req.param("reference") ?? "";
  const reference = parseReference(text);
  if (reference !== undefined) return reference;
  if (text.includes(":")) {
    throw new RegistryError("DIGEST_INVALID", "a digest is sha256:<64 lower-case hex digits> or sha512:<128>");
  }
  throw new RegistryError("MANIFEST_INVALID", "a tag is 1 to 128 letters, digits, _ . or -, not beginning with . or -");
}

/** `?tag=a&tag=b` on a push by digest (distribution-spec end-7b). */
function tagParameters(c: Ask): readonly Tag[] {
  const tags = [...new Set(c.req.queries("tag") ?? [])];
  if (tags.length > MAX_TAGS) throw new RegistryError("MANIFEST_INVALID", `a push may name at most ${MAX_TAGS} tags`);
  if (!tags.every((tag) => isTag(tag))) {
    throw new RegistryError("MANIFEST_INVALID", "a tag is 1 to 128 letters, digits, _ . or -, not beginning with . or -");
  }
  return tags;
}
