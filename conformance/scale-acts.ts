import { randomUUID } from "node:crypto";
import { digestOf } from "../src/oci/digest.ts";
import type { Subject } from "./scale-content.ts";
import { type RunningRegistry, createNamespace } from "./registry-process.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
/** What everything stands in that grows. */
export const REPOSITORY = "scale/one";
/** Entries of a page, which both registries can fill. */
const PAGE = 100;

/** What is timed, by its name. */
export const ACTS = ["push", "pull", "page of tags", "page of referrers", "page of the catalog", "promotion"] as const;
export type Act = (typeof ACTS)[number];

/** What users of one registry do, over HTTP. */
export class Acts {
  readonly registry: RunningRegistry;
  readonly #authorization: { readonly operator: string; readonly publisher: string };

  private constructor(registry: RunningRegistry, authorization: { readonly operator: string; readonly publisher: string }) {
    this.registry = registry;
    this.#authorization = authorization;
  }

  static async of(registry: RunningRegistry): Promise<Acts> {
    const [operator, publisher] = [await registry.key("operator"), await registry.key("publisher")];
    return new Acts(registry, {
      operator: `Bearer ${operator}`,
      publisher: `Basic ${Buffer.from(`publisher:${publisher}`).toString("base64")}`,
    });
  }

  /** Pushes as much as fills one page of each list; the subject of the referrers. */
  async begin(): Promise<Subject> {
    await createNamespace(this.registry, "scale");
    const subject = { mediaType: IMAGE, ...(await this.#push(REPOSITORY, "subject", { tag: "subject" })) };
    for (let at = 0; at < PAGE; at += 1) {
      await this.#manifest(REPOSITORY, `begun-${at}`, { layers: [EMPTY], annotations: { at: String(at) } });
      await this.#manifest(REPOSITORY, undefined, { layers: [EMPTY], subject, annotations: { at: String(at) } });
      await this.#manifest(`scale/begun-${at}`, "first", { layers: [EMPTY] });
    }
    return subject;
  }

  /** What comes before an act and is not timed, and the act itself. */
  async prepared(act: Act, subject: Subject): Promise<() => Promise<unknown>> {
    const [operator, publisher] = [this.#authorization.operator, this.#authorization.publisher];
    const read = (path: string) => () => this.#ask("GET", path, { authorization: publisher });
    switch (act) {
      case "push":
        return () => this.#push(REPOSITORY, randomUUID(), { tag: "pushed" });
      case "pull": {
        const pull = read(`/v2/${REPOSITORY}/manifests/subject`);
        return async () => [await pull(), await read(`/v2/${REPOSITORY}/blobs/${digestOf("subject")}`)()];
      }
      case "page of tags":
        return read(`/v2/${REPOSITORY}/tags/list?n=${PAGE}`);
      case "page of referrers":
        return read(`/v2/${REPOSITORY}/referrers/${subject.digest}?n=${PAGE}`);
      case "page of the catalog":
        return read(`/v2/_catalog?n=${PAGE}`);
      case "promotion": {
        const { digest } = await this.#push(REPOSITORY, randomUUID(), {});
        const headers = { authorization: operator, "content-type": "application/json" };
        return () => this.#ask("POST", `/v1/artifacts/${REPOSITORY}@${digest}/promote`, headers, "{}");
      }
    }
  }

  async #push(
    repository: string,
    weights: string,
    { tag }: { readonly tag?: string },
  ): Promise<{ readonly digest: string; readonly size: number }> {
    for (const bytes of ["{}", weights]) {
      const headers = { authorization: this.#authorization.publisher, "content-type": "application/octet-stream" };
      await this.#ask("POST", `/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, headers, bytes);
    }
    const layers = [{ mediaType: "application/octet-stream", digest: digestOf(weights), size: weights.length }];
    return this.#manifest(repository, tag, { layers });
  }

  async #manifest(repository: string, tag: string | undefined, more: object): Promise<{ readonly digest: string; readonly size: number }> {
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: IMAGE,
      artifactType: "application/vnd.example.model",
      config: EMPTY,
      ...more,
    });
    const digest = digestOf(body);
    const headers = { authorization: this.#authorization.publisher, "content-type": IMAGE };
    await this.#ask("PUT", `/v2/${repository}/manifests/${tag ?? digest}`, headers, body);
    return { digest, size: body.length };
  }

  async #ask(method: string, path: string, headers: Readonly<Record<string, string>>, body?: string): Promise<string> {
    const answer = await fetch(`${this.registry.url}${path}`, { method, headers, ...(body !== undefined && { body }) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path.slice(0, 80)}: ${answer.status} ${text.slice(0, 200)}`);
    return text;
  }
}
