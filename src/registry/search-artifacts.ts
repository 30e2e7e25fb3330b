import { z } from "zod";
import type { State } from "../lifecycle/state.ts";
import type { ModelFormat } from "../oci/model-name.ts";
import { digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { beginning, keys } from "../storage/keys.ts";
import type { Key, KeyRange } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Place, listArtifacts, listedArtifact } from "./list-artifacts.ts";
import { type Verdict, lastDecision, tookEvidenceOf } from "./last-decision.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest } from "./serving.ts";
import { openedForSession, sealedForSession } from "./session-seal.ts";
import type { ShownArtifact } from "./show-artifact.ts";

type Needs = Pick<Services, "metadata" | "clock" | "random" | "secretFor">;

/** What is looked for; what is empty does not matter. */
export interface ArtifactSearch {
  /** How the repository's name begins. */
  readonly name: string;
  /** How the digest begins, with its algorithm or without. */
  readonly digest: string;
  readonly state: State | undefined;
  readonly format?: ModelFormat | undefined;
  /** The hash of whose evidence the last decision took. */
  readonly signer?: string | undefined;
  /** What the last decision was. */
  readonly verdict?: Verdict | undefined;
  /** A part of the artifact's type or of its manifest's media type. */
  readonly type: string;
  /** Where the page before ended. */
  readonly cursor: string | undefined;
  readonly limit: number;
}

/** A page of what was found: it may hold less than was asked for and yet not be the last one, since a look through others is bounded. */
export interface FoundPage {
  readonly artifacts: readonly ShownArtifact[];
  readonly next: string | null;
}

/** So many artifacts are looked at for one page. */
const MAX_EXAMINED = 300;
/** So few digits would be those of too many artifacts: at ten million, six are those of one in all likelihood. */
const MIN_DIGITS = 6;
/**
 * Rows by digest that are looked at for one page, some at a time. Each is of another repository: behind so many that the caller may not see the
 * page ends and the next one goes on, so that who pushes copies to many hides nothing. That there are so many is told by it.
 */
const MAX_ROWS = 1_000;
const BATCH = 100;
/** What a place in rows is sealed for, and more bytes than any has: its length would tell that of the repository's name. */
const [SEALED_FOR, PLACE_BYTES] = ["search-place", 512];
const sealedPlace = z.strictObject({ repository: repositoryNameSchema, digest: digestSchema });
const DIGEST = /^(?:sha256:)?([0-9a-f]{6,64})$/;

/**
 * The artifacts that the caller may see and that are searched for. By a digest those are found, too, that are no entries of lists of their own
 * and are seen by whoever names them, such as what a trusted index holds. A name's and a digest's beginning are ranges of rows; a type is looked
 * for among what the rest finds, a bounded number at a time. So a page costs the same however much there is.
 */
export async function searchArtifacts(needs: Needs, caller: Caller, search: ArtifactSearch): Promise<FoundPage> {
  return search.digest === "" ? byName(needs, caller, search) : byDigest(needs, caller, search);
}

async function byName(needs: Needs, caller: Caller, search: ArtifactSearch): Promise<FoundPage> {
  const found: ShownArtifact[] = [];
  let { cursor } = search;
  for (let examined = 0; examined < MAX_EXAMINED;) {
    const limit = search.limit - found.length;
    const query = { repository: undefined, prefix: search.name, state: search.state, index: indexOf(search), cursor, limit };
    const { artifacts, next } = await listArtifacts(needs, caller, query);
    for (const artifact of artifacts) if (await isFound(needs, caller, artifact, search)) found.push(artifact);
    examined += artifacts.length;
    if (next === null || found.length === search.limit) return { artifacts: found, next };
    cursor = next;
  }
  return { artifacts: found, next: cursor ?? null };
}

async function byDigest(needs: Needs, caller: Caller, search: ArtifactSearch): Promise<FoundPage> {
  const digits = DIGEST.exec(search.digest)?.[1];
  if (digits === undefined) {
    throw new RegistryError(
      "INVALID",
      `a digest is looked for by its first ${MIN_DIGITS} hexadecimal digits or more, in lower case, of sha256`,
    );
  }
  const found: ShownArtifact[] = [];
  let [examined, last, before]: [number, Place | undefined, Place | undefined] = [0, undefined, undefined];
  for await (const { key } of rowsOf(needs, [rowsBeginning(digits, startOf(needs, caller, search.cursor))])) {
    if (examined === MAX_ROWS && before !== undefined) return { artifacts: found, next: sealed(needs, caller, before) };
    examined += 1;
    const place = { digest: digestSchema.parse(key[1]), repository: repositoryNameSchema.parse(key[2]) };
    before = place;
    const artifact = await listedArtifact(needs, caller, place);
    if (artifact === undefined || !(await isFound(needs, caller, artifact, search))) continue;
    // One more that is shown: that there is a next page tells of nothing that is hidden.
    if (found.length === search.limit) return { artifacts: found, next: last === undefined ? null : sealed(needs, caller, last) };
    found.push(artifact);
    last = place;
  }
  return { artifacts: found, next: null };
}

/**
 * The place of a row, which the caller may not see, for the next page to go on behind it. Nobody begins anywhere else: from places of one's own
 * choice one could find where what is hidden lies, by whether there is a next page.
 */
function sealed(needs: Needs, caller: Caller, place: Place): string {
  return sealedForSession(needs, caller, SEALED_FOR, Buffer.from(JSON.stringify(place).padEnd(PLACE_BYTES)));
}

/** Where a page goes on. Throws INVALID for what is no cursor, and for one that another session was given. */
function startOf(needs: Needs, caller: Caller, cursor: string | undefined): Place | undefined {
  if (cursor === undefined) return undefined;
  const opened = openedForSession(needs, caller, SEALED_FOR, cursor);
  if (opened === undefined) throw new RegistryError("INVALID", "cursor must be the `next` of the page before");
  return sealedPlace.parse(JSON.parse(opened.toString("utf8")));
}

function rowsBeginning(digits: string, after: Place | undefined): KeyRange {
  const family = keys.manifestsRepositories();
  const range = beginning(family, `sha256:${digits}`, BATCH);
  if (after === undefined) return range;
  const { digest, repository } = after;
  return digest.startsWith(`sha256:${digits}`) ? { ...range, start: [...family, digest, repository, ""] } : range;
}

/** The rows that are fewest in all likelihood. */
function indexOf({ signer, format, verdict }: ArtifactSearch): Key | undefined {
  if (signer !== undefined) return keys.signerArtifacts(signer);
  if (format !== undefined) return keys.artifactsOfFormat(format);
  return verdict === "refused" ? keys.refusals() : undefined;
}

async function isFound(needs: Needs, caller: Caller, artifact: ShownArtifact, search: ArtifactSearch): Promise<boolean> {
  if (!isWanted(artifact, search)) return false;
  const { format, signer, verdict } = search;
  if (format === undefined && signer === undefined && verdict === undefined) return true;
  const repository = repositoryNameSchema.parse(artifact.repository);
  const found = await findManifest(needs, repository, artifact.digest);
  if (found === undefined) return false;
  const { record } = found;
  if (format !== undefined && (await needs.metadata.get(keys.artifactFormat(format, repository, record.digest))) === undefined)
    return false;
  return (signer === undefined && verdict === undefined) || isSoDecided(needs, caller, { repository, record }, search);
}

async function isSoDecided(
  needs: Needs,
  caller: Caller,
  { repository, record }: { readonly repository: RepositoryName; readonly record: ManifestRecord },
  { signer, verdict }: ArtifactSearch,
): Promise<boolean> {
  const last = await lastDecision(needs, caller, repository, record);
  if (last === undefined || (verdict !== undefined && last.verdict !== verdict)) return false;
  return signer === undefined || tookEvidenceOf(needs, signer, { repository, artifact: record.digest, decision: last.digest });
}

function isWanted(artifact: ShownArtifact, { name, state, type }: ArtifactSearch): boolean {
  const { repository, artifact_type: artifactType, media_type: mediaType } = artifact;
  if (!repository.startsWith(name) || (state !== undefined && artifact.state !== state)) return false;
  return type === "" || mediaType.includes(type) || artifactType?.includes(type) === true;
}
