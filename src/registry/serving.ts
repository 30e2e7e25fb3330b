import { z } from "zod";
import { liveRightsOn, rightsOn } from "../identity/authorize.ts";
import type { Rights } from "../identity/permission.ts";
import type { Principal } from "../identity/principal.ts";
import { type BlobFacts, type ManifestFacts, type Reach, type Reader, type Serving, serve } from "../lifecycle/serving.ts";
import { type Digest, algorithmOf, digestOf, digestSchema } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type Content, keys, under } from "../storage/keys.ts";
import type { Entry, Key } from "../storage/metadata-store.ts";
import {
  type BlobRecord,
  type LinkRecord,
  type ManifestRecord,
  blobRecord,
  edgeRecord,
  everywhereRecord,
  linkRecord,
  manifestRecord,
  reachRecord,
} from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { isPart } from "./reach-rows.ts";

type Needs = Pick<Services, "metadata">;

/** How many roots or parents a read looks at when the first one is revoked; beyond them it fails closed. */
const MAX_CANDIDATES = 16;
/** How many edges it looks through when the first ones are closed, which is seldom. */
const MAX_CLOSED = 1024;

/** What a caller's rights let it read. */
export function readerOf(rights: Rights): Reader {
  const pullAny = rights.has("pull:any");
  const reviews = rights.has("scan") || rights.has("approve") || rights.has("revoke:everywhere");
  return { pull: rights.has("pull"), pullAny, forensic: pullAny && reviews };
}

/**
 * What a caller reads of a repository: what its token covers, and revoked content when it reviews by its live roles, since no scope of a
 * token names the permissions for that (RULES 14).
 */
export function readerFor(principal: Principal, repository: RepositoryName): Reader {
  const reader = readerOf(rightsOn(principal, repository));
  return { ...reader, forensic: reader.pullAny && readerOf(liveRightsOn(principal, repository)).forensic };
}

export interface FoundManifest {
  readonly record: ManifestRecord;
  readonly version: number;
}

/** The record of a manifest under either of its names (RULES 4). */
export async function findManifest({ metadata }: Needs, repository: RepositoryName, digest: Digest): Promise<FoundManifest | undefined> {
  const canonical = await canonicalName({ metadata }, repository, digest);
  const entry = await metadata.get(keys.manifest(repository, canonical));
  return entry && { record: manifestRecord.parse(entry.value), version: entry.version };
}

/** The sha256 name of a manifest; one that nothing has for a sha512 name that this repository does not know. */
async function canonicalName({ metadata }: Needs, repository: RepositoryName, digest: Digest): Promise<Digest> {
  if (algorithmOf(digest) === "sha256") return digest;
  const entry = await metadata.get(keys.manifestName(repository, digest));
  return entry === undefined ? MISSING.digest : digestSchema.parse(entry.value);
}

const { shape } = manifestRecord;
/** What the facts of a manifest are found by: of its record, far less than the whole. */
const knownManifest = z.object({
  digest: shape.digest,
  state: shape.state,
  statement: shape.statement,
  onceTrusted: shape.onceTrusted,
  revocation: shape.revocation,
});
type Known = z.infer<typeof knownManifest>;

/** What is looked for in the place of a manifest that is not there. No bytes is no manifest, so that none has this digest. */
const MISSING: Known = { digest: digestOf(""), state: "deleted", statement: false, onceTrusted: false, revocation: null };

/** May this reader see this manifest of this repository? What is hidden takes the same reads as what is missing (protocol.md §3). */
export async function serveManifest(needs: Needs, reader: Reader, repository: RepositoryName, record: Known | undefined): Promise<Serving> {
  const facts = await manifestFacts(needs, repository, record ?? MISSING, reader.pull || reader.pullAny);
  return serve(reader, record && facts);
}

/** The same by either of its names, for who shows no more of it than that it is there. */
export async function serveNamed(needs: Needs, reader: Reader, repository: RepositoryName, name: Digest): Promise<Serving> {
  const entry = await needs.metadata.get(keys.manifest(repository, await canonicalName(needs, repository, name)));
  return serveManifest(needs, reader, repository, entry && knownManifest.parse(entry.value));
}

/**
 * What the serving decision needs to know of a manifest. What is trusted and not revoked is shown to whoever reads there at all (`reads`), so
 * that no other root is looked up for them: by itself it is reached in any case.
 */
export async function manifestFacts(needs: Needs, repository: RepositoryName, record: Known, reads = false): Promise<ManifestFacts> {
  // What this registry itself wrote stays readable though a copy of it was pushed elsewhere and revoked.
  const everywhere = record.statement ? undefined : await revokedEverywhere(needs, record.digest);
  const here = record.state === "revoked" ? (record.revocation?.reason ?? "no reason recorded") : undefined;
  const revokedBecause = here ?? everywhere;
  const isShown = reads && record.state === "trusted" && revokedBecause === undefined;
  return {
    kind: "manifest",
    state: record.state,
    onceTrusted: record.onceTrusted,
    revokedBecause,
    statement: record.statement,
    reach: isShown ? { by: "trusted" } : await reachOf(needs, repository, { kind: "manifest", digest: record.digest }),
  };
}

export interface ServedBlob {
  readonly serving: Serving;
  /** Set exactly when the repository holds a link to a present blob; to be used only when `serving` allows it. */
  readonly blob: { readonly link: LinkRecord; readonly record: BlobRecord } | undefined;
  /** Does a trusted root reach it? What is served without one is untrusted. */
  readonly trusted: boolean;
}

/** May this reader see this blob of this repository? What is hidden takes the same reads as what is missing (protocol.md §3). */
export async function serveBlob(needs: Needs, reader: Reader, repository: RepositoryName, digest: Digest): Promise<ServedBlob> {
  const [link, blob] = [await needs.metadata.get(keys.link(repository, digest)), await needs.metadata.get(keys.blob(digest))];
  const reach = await reachOf(needs, repository, { kind: "blob", digest });
  const namedBy = reach.by !== "trusted" && reader.pullAny ? await namedByOf(needs, repository, digest) : NOT_NAMED;
  if (link === undefined || blob === undefined) return { serving: serve(reader, undefined), blob: undefined, trusted: false };
  const found = { link: linkRecord.parse(link.value), record: blobRecord.parse(blob.value) };
  const serving = serve(reader, { kind: "blob", damaged: found.record.damaged, namedBy, reach });
  return { serving, blob: found, trusted: reach.by === "trusted" };
}

/** What whoever holds `pull:any` and no more reads. */
const UNREVIEWED: Reader = { pull: true, pullAny: true, forensic: false };

const NOT_NAMED: BlobFacts["namedBy"] = { by: "none" };

/**
 * The blob `{}` (image-spec §Guidance for an Empty Descriptor) is part of most artifacts and says nothing. Were it denied to publishers once a
 * revoked artifact alone names it, nobody could push there again: clients ask for it first.
 */
const EMPTY_BLOBS: ReadonlySet<Digest> = new Set([digestOf("{}"), digestOf("{}", "sha512")]);

/** Which manifests name the blob, as whoever holds `pull:any` and no more sees them. */
async function namedByOf(needs: Needs, repository: RepositoryName, digest: Digest): Promise<BlobFacts["namedBy"]> {
  if (EMPTY_BLOBS.has(digest)) return { by: "visible" };
  const blob = { kind: "blob", digest } as const;
  let reason: string | undefined;
  for (const { key } of await openEdges(needs, keys.edges(repository, blob))) {
    const parent = await findManifest(needs, repository, digestSchema.parse(key[4]));
    const facts = parent && (await manifestFacts(needs, repository, parent.record));
    if (serve(UNREVIEWED, facts).effect === "allow") return { by: "visible" };
    reason ??= facts && whyRevoked(facts);
  }
  const [dead] = await needs.metadata.list(under(keys.deadEdges(repository, blob), 1));
  if (dead !== undefined) reason ??= await reasonOf(needs, repository, digestSchema.parse(dead.key[4]), []);
  return reason === undefined ? NOT_NAMED : { by: "revoked", reason };
}

function whyRevoked({ revokedBecause, reach }: ManifestFacts): string | undefined {
  return revokedBecause ?? (reach.by === "revoked" ? reach.reason : undefined);
}

function isOpen({ value }: Entry): boolean {
  return edgeRecord.parse(value).closed !== true;
}

/** The first edges that are not closed. */
async function openEdges({ metadata }: Needs, family: Key): Promise<readonly Entry[]> {
  const first = await metadata.list(under(family, MAX_CANDIDATES));
  if (first.length < MAX_CANDIDATES || first.some(isOpen)) return first.filter(isOpen);
  return (await metadata.list(under(family, MAX_CLOSED))).filter(isOpen).slice(0, MAX_CANDIDATES);
}

/** Does the repository hold this blob as revoked content, which only forensics may read (RULES 14)? Whatever its bytes are like. */
export async function isRevokedContent(needs: Needs, repository: RepositoryName, digest: Digest): Promise<boolean> {
  if ((await needs.metadata.get(keys.link(repository, digest))) === undefined) return false;
  const reach = await reachOf(needs, repository, { kind: "blob", digest });
  const namedBy = await namedByOf(needs, repository, digest);
  return serve(UNREVIEWED, { kind: "blob", damaged: false, namedBy, reach }).effect === "denied";
}

/** How trusted roots reach some content: a range look-up of limit 1 in the usual case (RULES 3). */
async function reachOf(needs: Needs, repository: RepositoryName, content: Content): Promise<Reach> {
  const [first] = await needs.metadata.list(under(keys.reaches(repository, content), 1));
  if (first !== undefined) {
    if ((await revokedOnTheWay(needs, first)) === undefined) return { by: "trusted" };
    return reachByOthers(needs, repository, content);
  }
  const [denied] = await needs.metadata.list(under(keys.denials(repository, content), 1));
  if (denied === undefined) return { by: "none" };
  const { via } = reachRecord.parse(denied.value);
  return { by: "revoked", reason: await reasonOf(needs, repository, digestSchema.parse(denied.key[4]), via) };
}

/** The rare case: the first root is revoked everywhere, and the job that rewrites the rows has not come here yet. */
async function reachByOthers(needs: Needs, repository: RepositoryName, content: Content): Promise<Reach> {
  let reason = "revoked everywhere";
  for (const row of await needs.metadata.list(under(keys.reaches(repository, content), MAX_CANDIDATES))) {
    const revoked = await revokedOnTheWay(needs, row);
    if (revoked === undefined) return { by: "trusted" };
    reason = revoked;
  }
  return { by: "revoked", reason };
}

/**
 * Does a trusted root contain a manifest, as itself or as a child? What it only covers is served, but is no part of it, and so has no
 * folder in `trusted/` (RULES 23).
 */
export async function isPartOfTrusted(needs: Needs, repository: RepositoryName, manifest: Digest): Promise<boolean> {
  const family = keys.reaches(repository, { kind: "manifest", digest: manifest });
  let after: readonly (string | number)[] = [];
  for (;;) {
    const page = await needs.metadata.list(under(family, MAX_CANDIDATES, after));
    for (const row of page) {
      if (isPart(reachRecord.parse(row.value)) && (await revokedOnTheWay(needs, row)) === undefined) return true;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < MAX_CANDIDATES) return false;
    after = last.key.slice(family.length);
  }
}

/** Why the root of a reach row, or a manifest between, is revoked everywhere. */
async function revokedOnTheWay(needs: Needs, row: Entry): Promise<string | undefined> {
  const { via, statement } = reachRecord.parse(row.value);
  if (statement) return undefined;
  for (const manifest of [digestSchema.parse(row.key[4]), ...via]) {
    const reason = await revokedEverywhere(needs, manifest);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Why a manifest is revoked in every repository, if it is. */
export async function revokedEverywhere({ metadata }: Needs, digest: Digest): Promise<string | undefined> {
  const entry = await metadata.get(keys.revokedEverywhere(digest));
  return entry && everywhereRecord.parse(entry.value).reason;
}

/** The recorded reason of the first revoked manifest on the way from a root. */
async function reasonOf(needs: Needs, repository: RepositoryName, root: Digest, via: readonly Digest[]): Promise<string> {
  for (const manifest of [root, ...via]) {
    const found = await findManifest(needs, repository, manifest);
    const reason = found?.record.revocation?.reason ?? (await revokedEverywhere(needs, manifest));
    if (reason !== undefined) return reason;
  }
  return "what it belongs to was revoked";
}
