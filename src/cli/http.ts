import { type ClientRequest, Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import type { z } from "zod";
import { CliError, EXIT } from "./failure.ts";

export interface HttpAsk {
  readonly method: string;
  /** Path and query below the registry's address. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody;
  /**
   * How long the answer may take: `bounded` to its end within 15 s, as the predecessor's client had it for everything; `patient` as long
   * as the work that it tells of. Where neither is said, the connection may be silent for minutes.
   */
  readonly time?: "bounded" | "patient";
}

/** A body of a known length, opened when it is sent. */
export interface HttpBody {
  readonly length: number;
  open(): AsyncIterable<Uint8Array>;
}

/** An answer whose body is still to be read: by `readBody`, as a stream, or let go by `discard`. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
}

/** The connection could not be made, or broke. */
export class ConnectionError extends CliError {
  constructor(message: string, cause: unknown) {
    super(EXIT.unavailable, message, { cause });
  }
}

/** Without a byte for so long, a connection counts as broken. A registry may need minutes to make a large blob durable. */
const IDLE_MILLISECONDS = 300_000;
const BOUNDED_MILLISECONDS = 15_000;

/** HTTP to one origin. Redirects are never followed, since they would carry the request to where nobody meant it to go. */
export class HttpClient {
  readonly origin: URL;
  readonly #agent: HttpAgent;
  readonly #boundedMilliseconds: number;

  constructor(origin: URL, { boundedMilliseconds = BOUNDED_MILLISECONDS } = {}) {
    this.origin = origin;
    this.#boundedMilliseconds = boundedMilliseconds;
    this.#agent = origin.protocol === "https:" ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  /** Sends a request and waits for the head of its answer; throws `ConnectionError`. */
  async send(ask: HttpAsk): Promise<HttpAnswer> {
    try {
      return await this.#sendOnce(ask);
    } catch (error) {
      // The server may have closed a connection that was kept open; a request without effect can be sent again.
      if (error instanceof StaleConnection && (ask.method === "GET" || ask.method === "HEAD")) return this.#sendOnce(ask);
      throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #sendOnce(ask: HttpAsk): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const send = this.origin.protocol === "https:" ? httpsRequest : httpRequest;
    const length = ask.body === undefined ? {} : { "Content-Length": String(ask.body.length) };
    // Joined as text: resolved against the origin, a path such as `//elsewhere/` would be another host's.
    const request = send(new URL(this.origin.origin + ask.path), {
      method: ask.method,
      agent: this.#agent,
      // A peer that is gone is found by the keep-alive probes of TCP even where nothing else is waited for.
      timeout: ask.time === "patient" ? 0 : IDLE_MILLISECONDS,
      headers: { "User-Agent": "securectl", ...ask.headers, ...length },
    });
    let sourceError: unknown;
    request.on("timeout", () => request.destroy(new Error("timed out")));
    request.on("error", (error) => {
      const message = `the connection to ${this.origin.origin} failed: ${explain(error)}`;
      reject(sourceError ?? (request.reusedSocket ? new StaleConnection(message, error) : new ConnectionError(message, error)));
    });
    if (ask.time === "bounded") this.#bound(request);
    request.on("response", (body) => {
      // An answer before the end of the body is a refusal: the connection is good for nothing else then.
      body.once("close", () => request.writableEnded || request.destroy());
      resolve({ status: body.statusCode ?? 0, headers: body.headers, body });
    });
    if (ask.body === undefined) request.end();
    else {
      writeBody(request, ask.body.open()).catch((error: unknown) => {
        sourceError = error;
        request.destroy();
        reject(error);
      });
    }
    return promise;
  }

  #bound(request: ClientRequest): void {
    let answer: IncomingMessage | undefined;
    const milliseconds = this.#boundedMilliseconds;
    const timer = setTimeout(() => {
      const late = new Error(`no whole answer came within ${milliseconds / 1000} s`);
      answer?.destroy(late);
      request.destroy(late);
    }, milliseconds);
    request.on("response", (body) => (answer = body));
    request.on("close", () => clearTimeout(timer));
  }
}

class StaleConnection extends ConnectionError {}

/** Writes a body as fast as it is taken, up to its end, or to an answer that comes before. Rejects when the source fails. */
async function writeBody(request: ClientRequest, source: AsyncIterable<Uint8Array>): Promise<void> {
  let over = false;
  let wake: (() => void) | undefined;
  const stop = (): void => {
    over = true;
    wake?.();
  };
  request.on("drain", () => wake?.());
  request.on("response", stop);
  request.on("close", stop);
  for await (const chunk of source) {
    if (over) return;
    if (request.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  if (!over) request.end();
}

/** Reads a small body whole; throws when it is larger than `maxBytes`. */
export async function readBody({ body }: HttpAnswer, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw new CliError(EXIT.failure, `the registry's answer exceeds ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new ConnectionError(`the connection broke in the middle of an answer: ${explain(error)}`, error);
  }
  return Buffer.concat(chunks, size);
}

/** Reads a JSON body of the form that is expected; anything else is a failure of the registry, or of what stands between. */
export async function readJson<T>(answer: HttpAnswer, maxBytes: number, schema: z.ZodType<T>): Promise<T> {
  const bytes = await readBody(answer, maxBytes);
  try {
    return schema.parse(JSON.parse(bytes.toString("utf8")));
  } catch (error) {
    throw new CliError(EXIT.failure, "the registry's answer has not the form that it should have", { cause: error });
  }
}

/** Lets go of a body that nobody reads, and keeps the connection when the rest is short. */
export function discard({ body }: HttpAnswer): void {
  body.on("error", () => undefined);
  body.resume();
}

/** A body of bytes in memory. */
export function bytesBody(bytes: Uint8Array): HttpBody {
  return { length: bytes.length, open: () => Readable.from([bytes]) };
}

/** What went wrong with a connection, in words; a host with several addresses fails once for each. */
export function explain(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return explain(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return CONNECTION_WORDS.get(code) ?? error.message;
}

const CONNECTION_WORDS: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "nothing listens there (is the registry running, and REGISTRY_URL right?)"],
  ["ECONNRESET", "it was cut"],
  ["EPIPE", "it was cut"],
  ["ENOTFOUND", "there is no such host"],
  ["EPROTO", "no TLS was agreed on (is the address http://, and REGISTRY_URL right?)"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "its certificate is self-signed: name its issuer in NODE_EXTRA_CA_CERTS"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "its certificate's issuer is unknown: name it in NODE_EXTRA_CA_CERTS"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "its certificate's issuer is unknown: name it in NODE_EXTRA_CA_CERTS"],
]);
