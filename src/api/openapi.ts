import type { z } from "zod";
import { type Direction, type JsonSchema, partOf, partsOf } from "./json-schema.ts";
import { HEADERS, refusalResponses, responsesOf } from "./openapi-responses.ts";
import type { Operation, Parameters } from "./operation.ts";
import { SCHEMAS, refTo } from "./openapi-names.ts";
import { answers, operations, requests, vocabulary } from "./operations.ts";

const DESCRIPTION = `The native API of the registry, the API of its predecessor, and its health. What is pulled and pushed goes by the
OCI distribution specification, below /v2, and is not described here.

Errors are RFC 9457 problems with a stable \`code\`. The operations on models speak as the predecessor did: their errors are plain
text, or {"error"} where it had JSON and wherever the request accepts application/json. A malformed URL or Host is a problem everywhere;
what is no HTTP, or has a head of more than 16 KiB, is refused without a body.`;

const CHAPTERS = [
  { name: "artifacts", description: "The lifecycle of any artifact, however it came here." },
  { name: "models", description: "The predecessor's API: models by name, over the same artifacts." },
  { name: "audit", description: "What happened, and the proof that nothing was changed or left out." },
  { name: "administration", description: "Namespaces, credentials and the registry's keys." },
  { name: "health", description: "For load balancers and people who look." },
] as const;

/** The OpenAPI 3.1 document of every operation. `version` is the registry's. */
export function openApiDocument(version: string): JsonSchema {
  return {
    openapi: "3.1.0",
    info: {
      title: "ai-model-registry",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "http://127.0.0.1:8470", description: "as it starts without settings" }],
    tags: CHAPTERS,
    paths: pathsOf(operations),
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "the service token, an API key or an access token" },
        basic: { type: "http", scheme: "basic", description: "an identity and its API key" },
      },
      headers: HEADERS,
      responses: refusalResponses(operations),
      schemas: {
        ...partsOf(vocabulary, "output", SCHEMAS),
        ...withVocabulary(requests, "input"),
        ...withVocabulary(answers, "output"),
      },
    },
  };
}

function withVocabulary(named: Readonly<Record<string, z.ZodType>>, direction: Direction): Readonly<Record<string, JsonSchema>> {
  const parts = partsOf({ ...vocabulary, ...named }, direction, SCHEMAS);
  return Object.fromEntries(Object.keys(named).map((name) => [name, parts[name] ?? {}]));
}

function pathsOf(all: readonly Operation[]): JsonSchema {
  const byPath = Map.groupBy(all, ({ path }) => path);
  return Object.fromEntries(
    [...byPath].map(([path, at]) => [path, Object.fromEntries(at.map((each) => [each.method.toLowerCase(), described(each)]))]),
  );
}

function described(operation: Operation): JsonSchema {
  const { id, summary, chapter, permission, inPath = {}, query = {}, headers = {}, body } = operation;
  const parameters = [...parametersIn("path", inPath), ...parametersIn("query", query), ...parametersIn("header", headers)];
  return {
    operationId: id,
    summary,
    ...(permission !== undefined && { description: `Takes the permission \`${permission}\` on the repository.` }),
    tags: [chapter],
    security: securityOf(operation),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: body.required, content: { "application/json": { schema: refTo(body.schema) } } } }),
    responses: responsesOf(operation),
  };
}

function parametersIn(place: "path" | "query" | "header", parameters: Parameters): readonly JsonSchema[] {
  return Object.entries(parameters).map(([name, schema]) => {
    const { description, ...rest } = partOf(schema, "input");
    const required = place === "path" || !schema.safeParse(undefined).success;
    return { name, in: place, required, ...(description !== undefined && { description }), schema: rest };
  });
}

function securityOf({ access }: Operation): readonly JsonSchema[] {
  if (access === "open") return [];
  const known = [{ bearer: [] }, { basic: [] }];
  const isOptional = access === "recognised" || (typeof access === "object" && "registered" in access && access.registered === "read");
  return isOptional ? [...known, {}] : known;
}
