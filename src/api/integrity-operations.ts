import { z } from "zod";
import { jsonValueSchema } from "../audit/event.ts";
import { allVerified, cancelAnswer, modelNotVerified, modelVerified, verificationAnswer } from "./integrity.ts";
import { modelName } from "./model-operations.ts";
import { tensorManifestAnswer } from "./models.ts";
import type { Operation } from "./operation.ts";

const read = { chapter: "models", access: { registered: "read" } } as const;
const name = { name: modelName };
const prefer = { Prefer: z.literal("respond-async").optional().describe("not to wait for the end of the check (RFC 7240)") };

/** Checks of stored bytes, in the predecessor's words (secai-behaviour 1.6). */
export const integrityOperations: readonly Operation[] = [
  {
    ...read,
    method: "POST",
    path: "/v1/model/verify",
    id: "verifyModel",
    summary: "Read a model's bytes anew and compare them with their digests",
    query: name,
    answers: {
      200: { says: "they are right", schema: modelVerified },
      409: { says: "they are wrong or missing", schema: modelNotVerified },
    },
    refuses: ["NOT_FOUND"],
  },
  {
    ...read,
    method: "POST",
    path: "/v1/model/verify-manifest",
    id: "verifyTensorManifest",
    summary: "Hold a model's tensors against the manifest that it was promoted with",
    isReading: true,
    query: name,
    answers: { 200: { says: "they match, or there is no manifest", schema: tensorManifestAnswer } },
    refuses: ["NOT_FOUND", "CONFLICT"],
  },
  {
    ...read,
    method: "POST",
    path: "/v1/models/verify-all",
    id: "verifyAllModels",
    summary: "Read the bytes of all models anew; joins the check that is under way",
    headers: prefer,
    answers: {
      200: { says: "all are right", schema: allVerified },
      202: { says: "the check is under way", schema: verificationAnswer },
      409: { says: "something is wrong", schema: allVerified },
    },
    refuses: [],
  },
  {
    ...read,
    method: "GET",
    path: "/v1/models/verify-all",
    id: "getVerification",
    summary: "Show how far the check of all models is, and how the last one ended",
    answers: { 200: { says: "the check", schema: verificationAnswer } },
    refuses: [],
  },
  {
    chapter: "models",
    access: { registered: "change" },
    method: "DELETE",
    path: "/v1/models/verify-all",
    id: "cancelVerification",
    summary: "End the check that is under way",
    answers: { 200: { says: "what was ended", schema: cancelAnswer } },
    refuses: [],
  },
  {
    ...read,
    method: "GET",
    path: "/v1/integrity/status",
    id: "getIntegrityStatus",
    summary: "Show the result of the last check of all bytes",
    answers: {
      200: {
        says: "what the file at INTEGRITY_RESULT_PATH holds, ours or another program's; or that there is no result yet",
        schema: jsonValueSchema,
      },
    },
    refuses: [],
  },
];
