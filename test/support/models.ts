import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { type TestRegistry, type TestRegistryOptions, startTestRegistry } from "./server.ts";

/** Who asks: an identity of the first start, the service token, nobody, or the value of `Authorization`. */
export type Asking = "operator" | "publisher" | "runtime" | "serviceToken" | "nobody" | `Bearer ${string}` | `Basic ${string}`;

export interface Asked {
  readonly as?: Asking;
  /** A text is sent as it is, all else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Is the body sent without saying how long it is? */
  readonly chunked?: boolean;
}

/** An answer as clients of the predecessor compare it. */
export interface Said {
  readonly status: number;
  readonly type: string | undefined;
  readonly text: string;
}

export interface Answer extends Said {
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** The body, which must be JSON. */
  json(): unknown;
}

/** A text by which the predecessor refuses. */
export function plainly(status: number, message: string): Said {
  return { status, type: "text/plain; charset=utf-8", text: `${message}\n` };
}

/** An answer of the predecessor in JSON, byte by byte. */
export function inJson(status: number, body: string): Said {
  return { status, type: "application/json", text: `${body}\n` };
}

/** A registry as clients of the predecessor see it: files in its data directory, and its endpoints. */
export class Models implements AsyncDisposable {
  readonly registry: TestRegistry;
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(registry: TestRegistry) {
    this.registry = registry;
  }

  static async start(options: TestRegistryOptions = {}): Promise<Models> {
    return new Models(await startTestRegistry(options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.registry.stop();
  }

  /** Where a file of the data directory lies. */
  at(path: string): string {
    return join(this.registry.directory, path);
  }

  /** Puts a file into the data directory; its sha256. */
  async put(path: string, bytes: string | Uint8Array): Promise<string> {
    await mkdir(dirname(this.at(path)), { recursive: true });
    await writeFile(this.at(path), bytes);
    return sha256Of(bytes);
  }

  async ask(method: string, path: string, { as = "serviceToken", body, headers = {}, chunked = false }: Asked = {}): Promise<Answer> {
    const sent = bytesOf(body);
    const said = chunked ? { "Transfer-Encoding": "chunked" } : { "Content-Length": String(Buffer.byteLength(sent ?? "")) };
    const length = sent === undefined ? {} : said;
    const authorization = this.authorization(as);
    const who = authorization === undefined ? {} : { Authorization: authorization };
    return new Promise((resolve, reject) => {
      const outgoing = request(this.registry.url + path, { method, agent: this.#agent, headers: { ...who, ...length, ...headers } });
      outgoing.once("error", reject);
      outgoing.once("response", (incoming) => {
        buffer(incoming).then((bytes) => resolve(answerOf(incoming.statusCode ?? 0, incoming.headers, bytes)), reject);
      });
      outgoing.end(sent);
    });
  }

  /** The same, and only what clients of the predecessor compare. */
  async said(method: string, path: string, asked: Asked = {}): Promise<Said> {
    const { status, type, text: said } = await this.ask(method, path, asked);
    return { status, type, text: said };
  }

  /** A call by `?name=`. */
  byName(method: "GET" | "POST" | "DELETE", door: string, name: string, asked: Asked = {}): Promise<Answer> {
    return this.ask(method, `${door}?name=${encodeURIComponent(name)}`, asked);
  }

  /** Acquires a file under a name, which must succeed. */
  async acquire(name: string, filename: string, more: object = {}, as: Asking = "serviceToken"): Promise<Model> {
    return this.#done(201, await this.ask("POST", "/v1/model/acquire", { as, body: { name, filename, ...more } }));
  }

  /** Promotes a file under a name, which must succeed. */
  async promote(name: string, filename: string, sha256: string, more: object = {}): Promise<Model> {
    return this.#done(201, await this.ask("POST", "/v1/model/promote", { body: { name, filename, sha256, ...more } }));
  }

  async must(event: "quarantine" | "revoke" | "delete", name: string): Promise<void> {
    const method = event === "delete" ? "DELETE" : "POST";
    this.#done(200, await this.byName(method, `/v1/model/${event}`, name));
  }

  async info(name: string, as: Asking = "serviceToken"): Promise<Model> {
    return this.#done(200, await this.byName("GET", "/v1/model", name, { as }));
  }

  authorization(as: Asking): string | undefined {
    const { credentials } = this.registry;
    switch (as) {
      case "nobody":
        return undefined;
      case "serviceToken":
        return `Bearer ${credentials.serviceToken}`;
      case "operator":
      case "publisher":
      case "runtime":
        return `Basic ${Buffer.from(`${as}:${credentials[as]}`).toString("base64")}`;
      default:
        return as;
    }
  }

  #done(status: number, answer: Answer): Model {
    if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}: ${answer.text}`);
    return answer.json() as Model;
  }
}

/** A record as the predecessor's API shows it. */
export interface Model {
  readonly name: string;
  readonly format: string;
  readonly filename: string;
  readonly sha256: string;
  readonly size_bytes: number;
  readonly source?: string;
  readonly promoted_at: string;
  readonly state: string;
  readonly repository: string;
  readonly digest: string;
}

function bytesOf(body: unknown): string | Uint8Array | undefined {
  return body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
}

export function sha256Of(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function answerOf(status: number, headers: IncomingHttpHeaders, bytes: Buffer): Answer {
  const text = bytes.toString("utf8");
  return { status, headers, type: headers["content-type"], bytes, text, json: () => JSON.parse(text) as unknown };
}
