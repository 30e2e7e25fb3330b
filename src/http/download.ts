import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { TLSSocket } from "node:tls";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Logger } from "../log.ts";
import type { OpenDownload, OpenDownloads } from "../registry/open-downloads.ts";
import type { PulledBytes } from "../registry/pull-blob.ts";
import type { Ask } from "./route.ts";

/** Bytes on their way from a file to a socket. */
export interface Download {
  readonly status: 200 | 206;
  readonly headers: Readonly<Record<string, string>>;
  /** How many bytes there will be; an answer that gets fewer is cut, so that it never looks complete. */
  readonly length: number;
  readonly bytes: PulledBytes;
  /** Under which decision they are sent, and how that is asked again. */
  readonly decision: Omit<OpenDownload, "cut">;
}

/** What downloads need. */
export interface Downloading {
  readonly downloads: OpenDownloads;
  readonly log: Logger;
}

/** Streams straight to the socket, past Hono; ends when the last byte was handed to the system, the client is gone, or the gate shuts. */
export async function sendDownload({ downloads, log }: Downloading, c: Ask, download: Download): Promise<Response> {
  const { outgoing } = c.env;
  const release = downloads.track({ ...download.decision, cut: () => cut(outgoing) });
  try {
    outgoing.writeHead(download.status, { ...download.headers, "Content-Length": String(download.length) });
    await send(outgoing, download);
  } catch (error) {
    // The headers are out: that the connection ends is the only answer left (a second one would be ERR_HTTP_HEADERS_SENT).
    log.info({ err: error, requestId: c.get("requestId") }, "a download ended early");
    outgoing.destroy();
    download.bytes.destroy();
  } finally {
    release();
  }
  return RESPONSE_ALREADY_SENT;
}

async function send(outgoing: ServerResponse, { bytes, length }: Download): Promise<void> {
  const sent = await (bytes.copyTo === undefined ? pipe(bytes, outgoing) : bytes.copyTo(outgoing));
  if (sent !== length) throw new Error(`the blob store gave ${sent} of ${length} bytes`);
  outgoing.end();
  if (!outgoing.closed) await once(outgoing, "close");
  if (!outgoing.writableFinished) throw new Error("the client went away");
}

async function pipe(bytes: Readable, outgoing: ServerResponse): Promise<number> {
  let sent = 0;
  bytes.on("data", (chunk: Uint8Array) => {
    sent += chunk.byteLength;
  });
  await pipeline(bytes, outgoing, { end: false });
  return sent;
}

/** A reset instead of an orderly end: what the system still holds for a slow reader is not sent any more. */
function cut(outgoing: ServerResponse): void {
  const { socket } = outgoing;
  if (socket === null || socket instanceof TLSSocket) outgoing.destroy();
  else socket.resetAndDestroy();
}
