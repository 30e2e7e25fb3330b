import type { z } from "zod";
import {
  approveRequest,
  decisionRequest,
  deleteRequest,
  evaluateRequest,
  listRequest,
  promoteRequest,
  promotedTagRequest,
  quarantineRequest,
  removePromotedTagRequest,
  revokeRequest,
  withdrawRequest,
} from "../../api/artifacts.ts";
import { scanOf } from "../../api/evidence.ts";
import { snapshotRequest } from "../../api/snapshot.ts";
import { RegistryError } from "../../oci/errors.ts";
import { type Reference, type RepositoryName, type Tag, parseArtifactReference } from "../../oci/reference.ts";
import { approve, withdrawApproval } from "../../registry/approve.ts";
import { type DeletionServices, deleteArtifact } from "../../registry/delete-artifact.ts";
import { type PromotionRequest, evaluatePromotion } from "../../registry/evaluate.ts";
import { type FoundArtifact, type TagMeaning, demand, findArtifact } from "../../registry/find-artifact.ts";
import { listArtifacts, seesAll } from "../../registry/list-artifacts.ts";
import { policyToTry } from "../../registry/policies-in-force.ts";
import type { Caller } from "../../registry/ports.ts";
import { promote } from "../../registry/promote.ts";
import { setPromotedTag } from "../../registry/promoted-tag.ts";
import { quarantine } from "../../registry/quarantine.ts";
import { revokeAndFollow } from "../../registry/revoke-everywhere.ts";
import { type ShownArtifact, approvalHistory, artifactHistory, showArtifact, showDecision } from "../../registry/show-artifact.ts";
import { takeSnapshot } from "../../registry/snapshot.ts";
import type { TransitionServices } from "../../registry/transition.ts";
import { jsonBody, queryOf } from "../body.ts";
import type { Ask, CallerDoor, Door } from "../route.ts";
import { shownSnapshot } from "./snapshot.ts";

/**
 * A repository's name, then `@` and a digest or `:` and a tag; an action follows as a path component of its own. Clients that are made from
 * the API's description encode what stands in a path, the two separators included.
 */
const REF = "/v1/artifacts/:ref{[^@:]+(?:[@:]|%40|%3[Aa])[^/]+}";
const SECOND = 1000;
const PROMOTED_TAG = "/v1/tags/:ref{[^@:]+(?::|%3[Aa])[^/]+}/promoted";

/** The doors to artifacts and their lifecycle (interface.md §5). Use cases ask for the rights: what a caller may not see is absent first. */
export function artifactDoors(services: DeletionServices): readonly Door[] {
  return [
    { ...door("GET", "/v1/artifacts", async (c, caller) => list(services, c, caller)), limit: "search" },
    door("GET", REF, async (c, caller) => c.json(await shown(services, await artifactAt(services, c, caller, "seen")))),
    door("GET", `${REF}/history`, async (c, caller) => {
      const { repository, record } = await artifactAt(services, c, caller, "seen");
      const history = await artifactHistory(services, repository, record.digest);
      const approvals = await approvalHistory(services, repository, record.digest);
      return c.json({ repository, digest: record.names[0] ?? record.digest, history, approvals });
    }),
    door("GET", `${REF}/decision`, async (c, caller) => decided(services, c, caller)),
    door("GET", `${REF}/snapshot`, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "seen");
      const { max_age: seconds } = queryOf(c, snapshotRequest);
      return c.json(shownSnapshot(await takeSnapshot(services, artifact, seconds === undefined ? undefined : seconds * SECOND)));
    }),
    door("POST", `${REF}/quarantine`, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "pushed");
      const { reason } = await jsonBody(c, quarantineRequest);
      return after(services, c, artifact, await quarantine(services, caller, artifact, reason ?? null));
    }),
    door("POST", `${REF}/evaluate`, async (c, caller) => evaluate(services, c, caller)),
    door("POST", `${REF}/approve`, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "pushed");
      const { reason } = await jsonBody(c, approveRequest);
      return after(services, c, artifact, await approve(services, caller, artifact, reason ?? null));
    }),
    door("DELETE", `${REF}/approve`, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "pushed");
      const { reason } = queryOf(c, withdrawRequest);
      return after(services, c, artifact, await withdrawApproval(services, caller, artifact, reason ?? null));
    }),
    door("POST", `${REF}/promote`, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "pushed");
      const body = await jsonBody(c, promoteRequest);
      const promotion = { ...requestOf(artifact, body), reason: body.reason ?? null, expected: body.expected };
      const { record } = await promote(services, caller, artifact, promotion);
      return after(services, c, artifact, record);
    }),
    door("POST", `${REF}/revoke`, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "only");
      return after(services, c, artifact, await revokeAndFollow(services, caller, artifact, await jsonBody(c, revokeRequest)));
    }),
    door("DELETE", REF, async (c, caller) => {
      const artifact = await artifactAt(services, c, caller, "only");
      const { reason } = queryOf(c, deleteRequest);
      return after(services, c, artifact, await deleteArtifact(services, caller, artifact, reason ?? null));
    }),
    door("PUT", PROMOTED_TAG, async (c, caller) => {
      const { digest, reason } = await jsonBody(c, promotedTagRequest);
      return c.json(await setPromotedTag(services, caller, tagAt(c), { digest, reason: reason ?? null }));
    }),
    door("DELETE", PROMOTED_TAG, async (c, caller) => {
      const { reason } = await jsonBody(c, removePromotedTagRequest);
      return c.json(await setPromotedTag(services, caller, tagAt(c), { digest: null, reason: reason ?? null }));
    }),
  ];
}

function door(method: CallerDoor["method"], path: string, handle: CallerDoor["handle"]): CallerDoor {
  return { method, path, action: "credential", handle };
}

async function list(services: DeletionServices, c: Ask, caller: Caller): Promise<Response> {
  const { repository, state, cursor, limit } = queryOf(c, listRequest);
  return c.json(await listArtifacts(services, caller, { repository, state, cursor, limit }));
}

async function decided(services: DeletionServices, c: Ask, caller: Caller): Promise<Response> {
  const { repository, record, rights } = await artifactAt(services, c, caller, "seen");
  const { digest: decision } = queryOf(c, decisionRequest);
  return c.json(await showDecision(services, { repository, artifact: record.digest, decision }, { pushedTags: seesAll(rights) }));
}

async function evaluate(services: TransitionServices, c: Ask, caller: Caller): Promise<Response> {
  const artifact = await artifactAt(services, c, caller, "pushed");
  demand(artifact.rights, "pull:any", "evaluating");
  const body = await jsonBody(c, evaluateRequest);
  const tried = body.policy === undefined ? undefined : { policy: await policyToTry(services, body.policy), beside: "alone" as const };
  const request = { ...requestOf(artifact, body), tried };
  const { decision } = await evaluatePromotion(services, artifact.repository, artifact, request);
  return c.json(decision);
}

function requestOf({ refTag }: FoundArtifact, body: Omit<z.infer<typeof evaluateRequest>, "policy">): PromotionRequest {
  const { tags, covers, evidence } = body;
  return { refTag, tags, covers, evidence, scan: scanOf(body) };
}

async function artifactAt(services: TransitionServices, c: Ask, caller: Caller, meaning: TagMeaning): Promise<FoundArtifact> {
  return findArtifact(services, caller, parseRef(c), meaning);
}

async function after(services: TransitionServices, c: Ask, artifact: FoundArtifact, record: FoundArtifact["record"]): Promise<Response> {
  return c.json(await shown(services, { ...artifact, record }));
}

async function shown(services: TransitionServices, { repository, record, rights }: FoundArtifact): Promise<ShownArtifact> {
  return showArtifact(services, repository, record, { pushedTags: seesAll(rights), full: true });
}

function parseRef(c: Ask): { readonly repository: RepositoryName; readonly reference: Reference } {
  const at = parseArtifactReference(c.req.param("ref") ?? "");
  if (at !== undefined) return at;
  throw new RegistryError("INVALID", "an artifact is named <repository>@<digest> or <repository>:<tag>");
}

function tagAt(c: Ask): { readonly repository: RepositoryName; readonly tag: Tag } {
  const { repository, reference } = parseRef(c);
  if (!("tag" in reference)) throw new RegistryError("INVALID", "a tag is named <repository>:<tag>");
  return { repository, tag: reference.tag };
}
