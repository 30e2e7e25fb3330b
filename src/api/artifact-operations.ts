import { z } from "zod";
import { DIGEST_PATTERN } from "../oci/digest.ts";
import { NAME_PATTERN, TAG_PATTERN } from "../oci/reference.ts";
import { artifactAnswer, artifactHistory, artifactList, promotedTagAnswer } from "./artifact-answers.ts";
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
} from "./artifacts.ts";
import { decisionAnswer } from "./decision.ts";
import type { Operation } from "./operation.ts";
import { refusedPromotion } from "./problem.ts";
import { snapshotAnswer, snapshotRequest } from "./snapshot.ts";

const MAX_REF = 400;
const tagOf = `${NAME_PATTERN}:${TAG_PATTERN}`;

/** Where an artifact is named in a path; encoded there like any other value, or with its slashes as they are. */
const artifactRef = z
  .string()
  .max(MAX_REF)
  .regex(new RegExp(`^(?:${NAME_PATTERN}@(?:${DIGEST_PATTERN})|${tagOf})$`))
  .describe("<repository>@<digest> or <repository>:<tag>");
const tagRef = z
  .string()
  .max(MAX_REF)
  .regex(new RegExp(`^${tagOf}$`))
  .describe("<repository>:<tag>");

const one = { chapter: "artifacts", access: "credential", inPath: { ref: artifactRef } } as const;
const tag = { ...one, inPath: { ref: tagRef }, permission: "push:any" } as const;
const changed = { 200: { says: "the artifact as it is now", schema: artifactAnswer } } as const;

/** The native API to artifacts and their lifecycle (interface.md §5). */
export const artifactOperations: readonly Operation[] = [
  {
    ...one,
    method: "GET",
    path: "/v1/artifacts",
    id: "listArtifacts",
    summary: "List the artifacts that you may see",
    inPath: {},
    query: listRequest.shape,
    answers: { 200: { says: "a page of artifacts, by repository and digest", schema: artifactList } },
    refuses: [],
  },
  {
    ...one,
    method: "GET",
    path: "/v1/artifacts/{ref}",
    id: "getArtifact",
    summary: "Show an artifact",
    answers: { 200: { says: "the artifact", schema: artifactAnswer } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...one,
    method: "GET",
    path: "/v1/artifacts/{ref}/history",
    id: "getArtifactHistory",
    summary: "Show all transitions of an artifact",
    answers: { 200: { says: "its transitions, oldest first", schema: artifactHistory } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...one,
    method: "GET",
    path: "/v1/artifacts/{ref}/decision",
    id: "getRecordedDecision",
    summary: "Show a decision that was recorded, such as that of an earlier promotion",
    query: decisionRequest.shape,
    answers: { 200: { says: "the decision", schema: decisionAnswer } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...one,
    method: "GET",
    path: "/v1/artifacts/{ref}/snapshot",
    id: "getArtifactSnapshot",
    summary: "Show where the chains of an artifact end, signed, for proofs that need no registry",
    query: snapshotRequest.shape,
    // What is signed is kept, so that it need not be signed again.
    isReading: false,
    answers: { 200: { says: "the snapshot, and which statements it rests on", schema: snapshotAnswer } },
    refuses: ["NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "POST",
    path: "/v1/artifacts/{ref}/quarantine",
    id: "quarantineArtifact",
    summary: "Hold an artifact back for scanning",
    permission: "quarantine",
    body: { schema: quarantineRequest, required: false },
    answers: changed,
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "POST",
    path: "/v1/artifacts/{ref}/evaluate",
    id: "evaluatePromotion",
    summary: "Show the decision that promote would take now; nothing changes",
    isReading: true,
    permission: "pull:any",
    body: { schema: evaluateRequest, required: false },
    answers: { 200: { says: "the decision, whether it allows the promotion or not", schema: decisionAnswer } },
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "POST",
    path: "/v1/artifacts/{ref}/approve",
    id: "approveArtifact",
    summary: "Give your approval of an artifact, which its policy may ask for",
    permission: "approve",
    body: { schema: approveRequest, required: false },
    answers: { 200: { says: "the artifact with its approvals", schema: artifactAnswer } },
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "DELETE",
    path: "/v1/artifacts/{ref}/approve",
    id: "withdrawApproval",
    summary: "Take your approval of an artifact back",
    permission: "approve",
    query: withdrawRequest.shape,
    answers: { 200: { says: "the artifact with the approvals that are left", schema: artifactAnswer } },
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "POST",
    path: "/v1/artifacts/{ref}/promote",
    id: "promoteArtifact",
    summary: "Make an artifact trusted, when the policy allows it",
    permission: "promote",
    body: { schema: promoteRequest, required: false },
    answers: {
      ...changed,
      422: { says: "the policy refuses it, with the decision", schema: refusedPromotion, mediaType: "application/problem+json" },
    },
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "POST",
    path: "/v1/artifacts/{ref}/revoke",
    id: "revokeArtifact",
    summary: "Take an artifact out of service",
    permission: "revoke",
    body: { schema: revokeRequest, required: false },
    answers: changed,
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...one,
    method: "DELETE",
    path: "/v1/artifacts/{ref}",
    id: "deleteArtifact",
    summary: "Delete the content of an artifact; its record and history stay",
    permission: "delete",
    query: deleteRequest.shape,
    answers: changed,
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...tag,
    method: "PUT",
    path: "/v1/tags/{ref}/promoted",
    id: "setPromotedTag",
    summary: "Roll what readers see under a tag to a trusted digest",
    body: { schema: promotedTagRequest, required: true },
    answers: { 200: { says: "the tag as readers see it now", schema: promotedTagAnswer } },
    refuses: ["DENIED", "NOT_FOUND", "CONFLICT"],
  },
  {
    ...tag,
    method: "DELETE",
    path: "/v1/tags/{ref}/promoted",
    id: "removePromotedTag",
    summary: "Take a tag away from readers; its pushed pointer stays",
    body: { schema: removePromotedTagRequest, required: false },
    answers: { 200: { says: "the tag, which readers no longer see", schema: promotedTagAnswer } },
    refuses: ["DENIED", "NOT_FOUND"],
  },
];
