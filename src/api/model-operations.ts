import { z } from "zod";
import { acquireRequest, modelAnswer, modelList, modelPathAnswer, modelStatusAnswer, promoteModelRequest, statsAnswer } from "./models.ts";
import type { Operation } from "./operation.ts";
import { predecessorRefusal } from "./problem.ts";

/** A model's name, or what names an artifact that was pushed by OCI. */
export const modelName = z
  .string()
  .min(1)
  .max(512)
  .describe("the name it was registered under, or <repository>:<tag> or <repository>@<digest>");

const read = { chapter: "models", access: { registered: "read" } } as const;
const change = { chapter: "models", access: { registered: "change" } } as const;
const named = { query: { name: modelName }, refuses: ["NOT_FOUND", "CONFLICT"] } as const;
const status = (says: string) => ({ 200: { says, schema: modelStatusAnswer } });

/** The predecessor's API (secai-behaviour 1.6), over the same artifacts. */
export const modelOperations: readonly Operation[] = [
  {
    ...read,
    method: "GET",
    path: "/v1/models",
    id: "listModels",
    summary: "List all models that you may see",
    answers: { 200: { says: "registered names first, then what was pushed by OCI", schema: modelList } },
    refuses: [],
  },
  {
    ...read,
    ...named,
    method: "GET",
    path: "/v1/model",
    id: "getModel",
    summary: "Show a model",
    answers: { 200: { says: "the model", schema: modelAnswer } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...read,
    ...named,
    method: "GET",
    path: "/v1/model/path",
    id: "getModelPath",
    summary: "Tell where the files of a trusted model lie on this machine",
    answers: { 200: { says: "a file, or the folder of several", schema: modelPathAnswer } },
  },
  {
    ...read,
    method: "GET",
    path: "/v1/stats",
    id: "getStats",
    summary: "Count models by state",
    answers: { 200: { says: "the counts; only states that occur", schema: statsAnswer } },
    refuses: [],
  },
  {
    ...change,
    method: "POST",
    path: "/v1/model/acquire",
    id: "acquireModel",
    summary: "Register a file that lies in the data directory",
    body: { schema: acquireRequest, required: true },
    answers: { 201: { says: "the model, acquired", schema: modelAnswer } },
    refuses: ["CONFLICT"],
  },
  {
    ...change,
    method: "POST",
    path: "/v1/model/promote",
    id: "promoteModel",
    summary: "Make a model trusted, when the policy allows it; acquire it first when its name is not known",
    body: { schema: promoteModelRequest, required: true },
    answers: {
      201: { says: "the model, trusted", schema: modelAnswer },
      422: { says: "the policy refuses it, with the decision", schema: predecessorRefusal },
    },
    refuses: ["CONFLICT"],
  },
  {
    ...change,
    ...named,
    method: "POST",
    path: "/v1/model/quarantine",
    id: "quarantineModel",
    summary: "Hold a model back for scanning",
    answers: status("it is quarantined"),
  },
  {
    ...change,
    ...named,
    method: "POST",
    path: "/v1/model/revoke",
    id: "revokeModel",
    summary: "Take a model out of service",
    answers: status("it is revoked"),
  },
  {
    ...change,
    ...named,
    method: "DELETE",
    path: "/v1/model/delete",
    id: "deleteModel",
    summary: "Delete the content of a model; its record stays",
    answers: status("it is deleted"),
  },
];
