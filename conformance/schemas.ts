import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import { z } from "zod";
import { artifactAnswer } from "../src/api/artifact-answers.ts";
import { auditEntrySchema } from "../src/api/audit.ts";
import { decisionAnswer } from "../src/api/decision.ts";
import { DEFINITIONS, type JsonSchema, collectionOf, documentOf } from "../src/api/json-schema.ts";
import { layoutReport } from "../src/api/layout-report.ts";
import { modelAnswer } from "../src/api/models.ts";
import { vocabulary } from "../src/api/operations.ts";
import { openApiDocument } from "../src/api/openapi.ts";
import { policyReplay } from "../src/api/policy-replay.ts";
import { lockFileSchema } from "../src/audit/lock-file.ts";
import { modelEventSchema } from "../src/audit/model-event.ts";
import { commandOutputs, definitions } from "../src/cli/json-outputs.ts";
import { tensorManifestSchema } from "../src/formats/tensor-manifest.ts";
import { policyDiffSchema } from "../src/policy/diff.ts";
import { trustPolicySchema } from "../src/policy/document.ts";
import { fileSchema } from "../src/settings.ts";

/** What is answered or written, each as a JSON Schema of its own. */
const DOCUMENTS = {
  artifact: { schema: artifactAnswer, title: "Artifact", description: "the record of an artifact as the native API answers it" },
  "audit-event": { schema: auditEntrySchema, title: "Audit event", description: "a link of the audit chain as `GET /v1/audit` answers it" },
  decision: { schema: decisionAnswer, title: "Promotion decision", description: "what evaluate and promote decide, with every check" },
  "layout-report": { schema: layoutReport, title: "Layout report", description: "what `securectl verify-layout --json` prints" },
  model: { schema: modelAnswer, title: "Model", description: "the record of an artifact as the predecessor's API answers it" },
  "model-event": {
    schema: modelEventSchema,
    title: "Model event",
    description: "a link of the predecessor's audit chain, as `GET /v1/audit` answers it to the service token",
  },
  "policy-diff": {
    schema: policyDiffSchema,
    title: "Policy difference",
    description: "what is different between two versions of a policy, as `securectl policy diff --json` prints it",
  },
  "policy-replay": {
    schema: policyReplay,
    title: "Policy replay",
    description: "which artifacts a policy would change something for, as `securectl policy replay --json` prints it",
  },
  "tensor-manifest": {
    schema: tensorManifestSchema,
    title: "Tensor manifest",
    description: "the hashes of a model file's tensors, in gguf-guard's format",
  },
} as const;

/** What is read, so that what may be left out may be left out. */
const TRUST_POLICY = { title: "Trust policy", description: "what has to hold before anything in a repository becomes trusted" } as const;
const LOCK_FILE = { title: "Lock file", description: "models.lock.yaml: the first models of an empty store" } as const;

const VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))).version;

/** Every file of `schemas/` with its text, made of the schemas that the program checks by. */
export function publishedSchemas(): ReadonlyMap<string, string> {
  const documents = Object.entries(DOCUMENTS).map(
    ([name, { schema, title, description }]) =>
      [`${name}.schema.json`, json(documentOf(schema, "output", { title, description }))] as const,
  );
  return new Map([
    ...documents,
    ["securectl.schema.json", json(securectlOutputs())],
    ["config.schema.json", json(fileSchema())],
    ["trust-policy.schema.json", json(documentOf(trustPolicySchema, "input", TRUST_POLICY))],
    ["lock-file.schema.json", json(documentOf(lockFileSchema, "input", LOCK_FILE))],
    ["openapi.yaml", stringify(openApiDocument(VERSION), { lineWidth: 0, aliasDuplicateObjects: false })],
  ]);
}

const SECURECTL = {
  title: "Output of securectl",
  description:
    "What securectl prints with --json: that of a command is its definition, such as #/$defs/doctor, or #/$defs/audit-verify for audit verify",
} as const;

function securectlOutputs(): JsonSchema {
  const commands = Object.entries(commandOutputs).map(([command, names]) => {
    const anyOf = names.map((name) => ({ $ref: `${DEFINITIONS}${name}` }));
    return [command.replaceAll(" ", "-"), { description: `securectl ${command} --json`, anyOf }] as const;
  });
  return collectionOf({ ...vocabulary, ...definitions }, SECURECTL, Object.fromEntries(commands));
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
