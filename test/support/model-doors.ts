import { inspectingHere } from "./inspector.ts";
import { type Asking, Models, type Said, inJson, sha256Of } from "./models.ts";
import type { TestRegistryOptions } from "./server.ts";

/** What the predecessor answers to any credential but its token. */
export const FORBIDDEN = inJson(403, '{"error":"forbidden: invalid service token"}');

/** A registry that reads the headers of files in this process. */
export async function startModels(options: TestRegistryOptions = {}): Promise<Models> {
  return Models.start({ ...options, around: inspectingHere });
}

/** The five doors that change something, each with a request that would. */
function changes(name: string): Readonly<Record<string, { readonly method: string; readonly path: string; readonly body?: unknown }>> {
  const body = { name, filename: `${name}.gguf`, sha256: sha256Of(name) };
  return {
    acquire: { method: "POST", path: "/v1/model/acquire", body },
    quarantine: { method: "POST", path: `/v1/model/quarantine?name=${name}` },
    promote: { method: "POST", path: "/v1/model/promote", body },
    revoke: { method: "POST", path: `/v1/model/revoke?name=${name}` },
    delete: { method: "DELETE", path: `/v1/model/delete?name=${name}` },
  };
}

/** Doors that change nothing, asked for an artifact `m`. */
export const READS = ["GET /v1/models", "GET /v1/model?name=m", "GET /v1/model/path?name=m", "GET /v1/stats"] as const;
export const CHANGES = Object.keys(changes("m"));

/** Asks one of the five doors to change an artifact whose name is its bytes, too: `acquire m`. */
export async function change(models: Models, what: string, as: Asking, headers: Readonly<Record<string, string>> = {}): Promise<Said> {
  const [which = "", name = ""] = what.split(" ");
  const { method = "", path = "", body } = changes(name)[which] ?? {};
  return models.said(method, path, { as, body, headers });
}

/** What a door that changes nothing answers. */
export async function read(models: Models, door: string, as: Asking, headers: Readonly<Record<string, string>> = {}): Promise<Said> {
  const [method = "", path = ""] = door.split(" ");
  return models.said(method, path, { as, headers });
}

/** The same registry, with a trusted artifact `m`. */
export async function withTrusted(models: Models): Promise<Models> {
  await models.put("m.gguf", "m");
  const as = models.registry.credentials.serviceToken === "" ? "publisher" : "serviceToken";
  await models.acquire("m", "m.gguf", {}, as);
  await models.ask("POST", "/v1/artifacts/models/m:latest/promote", { as: "operator", body: {} });
  return models;
}

/** What tells that a request does not come from a program of this machine that speaks for itself. */
export const FOREIGN: readonly [string, Readonly<Record<string, string>>][] = [
  ["a proxy, by Forwarded", { Forwarded: "for=192.0.2.1" }],
  ["a proxy, by X-Forwarded-For", { "X-Forwarded-For": "127.0.0.1" }],
  ["a proxy, by X-Forwarded-Host", { "X-Forwarded-Host": "127.0.0.1" }],
  ["a proxy, by Via", { Via: "1.1 proxy" }],
  ["a page whose name was bound to loopback", { Host: "evil.example:8470" }],
  ["a page of another origin", { Origin: "https://evil.example" }],
  ["a page without one", { Origin: "null" }],
  ["a page of another site", { "Sec-Fetch-Site": "cross-site" }],
  ["a page of the same site", { "Sec-Fetch-Site": "same-site" }],
];
