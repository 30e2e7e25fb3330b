import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { LargeContent } from "./large-content.ts";
import { must } from "./must.ts";
import { CutError } from "./wire.ts";

/** A chunk was refused, because the upload goes on elsewhere by now. */
export class OutrunError extends Error {
  override readonly name = "OutrunError";
}

/** Where requests go, and as whom. */
export interface Access {
  readonly url: string;
  readonly authorization: string;
}

/** A part of the content on its way. */
export interface Part {
  readonly path: string;
  readonly from: number;
  /** The byte after the last one. */
  readonly to: number;
  /** Told of each piece, with the offset after it, before it is sent or after it came; what it throws ends the connection. */
  readonly passed: (offset: number) => Promise<void>;
}

/** PATCHes a part of the content to an upload; its new location. Rejects with `CutError` when the connection breaks. */
export async function sendPart(access: Access, content: LargeContent, { path, from, to, passed }: Part): Promise<string> {
  const { outgoing, answered, isAnswered } = begin(access, path, {
    method: "PATCH",
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(to - from),
      "content-range": `${from}-${to - 1}`,
    },
  });
  try {
    for (let at = from; at < to;) {
      // The socket may hold it for longer than until the next piece is made.
      const piece = Buffer.from(content.at(at, to));
      at += piece.length;
      // Before it is written: of what is cut in the midst, all may have arrived.
      await passed(at);
      if (!outgoing.write(piece)) await Promise.race([drained(outgoing), answered]);
      if (isAnswered()) break;
    }
    outgoing.end();
    const answer = await answered;
    answer.resume();
    await once(answer, "end");
    // What an earlier request had still in the socket was written after the upload was asked for.
    if (answer.statusCode === 416) throw new OutrunError("the upload has grown meanwhile");
    must(answer.statusCode === 202, `a chunk at ${from} was answered by ${answer.statusCode}`);
    return answer.headers.location ?? "";
  } finally {
    outgoing.destroy();
  }
}

/** GETs a part by its range, and throws unless the bytes are those of the content. Rejects with `CutError` when the connection breaks. */
export async function receivePart(access: Access, content: LargeContent, { path, from, to, passed }: Part): Promise<void> {
  const { outgoing, answered } = begin(access, path, { method: "GET", headers: { range: `bytes=${from}-${to - 1}` } });
  outgoing.end();
  try {
    const answer = await answered;
    must(answer.statusCode === 206, `the range from ${from} was answered by ${answer.statusCode}`);
    const wanted = `bytes ${from}-${to - 1}/${content.size}`;
    must(answer.headers["content-range"] === wanted, `the range from ${from} was answered with ${answer.headers["content-range"]}`);
    let at = from;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      must(content.holds(chunk, at), `other bytes came at ${at}`);
      at += chunk.length;
      await passed(at);
    }
    must(at === to, `the answer ended at ${at} instead of ${to}`);
  } catch (error) {
    throw error instanceof Error && "code" in error && error.code === "ECONNRESET" ? new CutError(error.message) : error;
  } finally {
    outgoing.destroy();
  }
}

interface Begun {
  readonly outgoing: ClientRequest;
  readonly answered: Promise<IncomingMessage>;
  readonly isAnswered: () => boolean;
}

function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => outgoing.once("drain", resolve));
}

function begin(
  { url, authorization }: Access,
  path: string,
  { method, headers }: { readonly method: string; readonly headers: object },
): Begun {
  const outgoing = request(new URL(path, url), { method, agent: false, headers: { authorization, ...headers } });
  let isThere = false;
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", (answer) => {
      isThere = true;
      resolve(answer);
    });
    outgoing.on("error", (error) => reject(new CutError(error.message)));
    outgoing.once("close", () => reject(new CutError("the connection was closed")));
  });
  // Whoever writes the body may learn of it first.
  answered.catch(() => undefined);
  return { outgoing, answered, isAnswered: () => isThere };
}
