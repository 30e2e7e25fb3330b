import { z } from "zod";
import type { ArtifactRef } from "./artifact-ref.ts";
import { type HttpAsk, bytesBody, readBody, readJson } from "./http.ts";
import type { RegistryClient } from "./registry-client.ts";

/** A list of all models has no pages: so much is about half a million of them. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** A request of the native API (interface of `/v1`). */
export interface NativeAsk {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  /** Parameters; those that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Sent as JSON; members that are undefined are left out. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Sent as they are instead of a body; `headers` say of what type. */
  readonly bytes?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses whose body is an answer and no refusal, beside those of success. */
  readonly answers?: readonly number[];
  readonly time?: HttpAsk["time"];
}

/** A client of the registry's native API. */
export class NativeClient {
  readonly #client: RegistryClient;

  constructor(client: RegistryClient) {
    this.#client = client;
  }

  /** Sends a request and reads its answer; whatever is not a success is thrown in the registry's own words. */
  async request<T>({ method, path, query, body, bytes, headers, answers = [], time }: NativeAsk, schema: z.ZodType<T>): Promise<T> {
    const ask = {
      method,
      path: pathWith(path, query),
      headers: { Accept: "application/json", ...(body !== undefined && { "Content-Type": "application/json" }), ...headers },
      ...(time !== undefined && { time }),
      ...sent(body, bytes),
    };
    const answer = await this.#client.send(ask, "", [200, 201, 202, ...answers]);
    return readJson(answer, MAX_ANSWER_BYTES, schema);
  }

  /** Asks for a document and gives it byte for byte; it may have so many at most. */
  async bytes({ path, query }: Pick<NativeAsk, "path" | "query">, maxBytes: number): Promise<Buffer> {
    const ask = { method: "GET", path: pathWith(path, query), headers: { Accept: "application/json" } };
    return readBody(await this.#client.send(ask, "", [200]), maxBytes);
  }
}

function pathWith(path: string, query: NativeAsk["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}

function sent(body: NativeAsk["body"], bytes: Uint8Array | undefined): { readonly body?: ReturnType<typeof bytesBody> } {
  if (bytes !== undefined) return { body: bytesBody(bytes) };
  return body === undefined ? {} : { body: bytesBody(Buffer.from(JSON.stringify(body))) };
}

/** The door of an artifact, or of one of its actions. */
export function artifactPath({ repository, tag, digest }: ArtifactRef, action?: string): string {
  const ref = digest === undefined ? `${repository}:${tag ?? ""}` : `${repository}@${digest}`;
  return `/v1/artifacts/${ref}${action === undefined ? "" : `/${action}`}`;
}

/** An artifact as the native API shows it: what is printed of it, beside whatever else there is. */
export const recordSchema = z.looseObject({
  repository: z.string(),
  digest: z.string(),
  tags: z.array(z.string()),
  promoted_tags: z.array(z.string()).optional(),
  state: z.string(),
  size_bytes: z.number(),
  changed_at: z.string(),
});
export type ArtifactRecord = z.infer<typeof recordSchema>;
