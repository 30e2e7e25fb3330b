import { type RequestListener, type Server, type ServerOptions, type ServerResponse, STATUS_CODES, createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { refusalOfFraming } from "./framing.ts";
import { edgeHeaders } from "./headers.ts";
import type { Env } from "./route.ts";

/** Bounds of connections; times in milliseconds. */
export interface Bounds {
  /** For all headers of a request. */
  readonly headers: number;
  /** A connection without a request. */
  readonly keepAlive: number;
  /** A client that takes no byte of its answer. */
  readonly idle: number;
  /** How often Node looks for connections that are over their time. */
  readonly checkInterval: number;
}

/** The bounds of identity.md 8.6. */
export const DEFAULT_BOUNDS: Bounds = {
  headers: 30_000,
  keepAlive: 75_000,
  idle: 120_000,
  checkInterval: 2_000,
};

/** What a server needs beside the application. */
export interface ServerParts {
  readonly bounds: Bounds;
  readonly newId: () => string;
  /** PEM; plain HTTP without it. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined;
}

/** The headers of a request, in bytes; tokens fit. */
const MAX_HEADER_SIZE = 16 * 1024;
/** How many headers a request may have. Node drops silently what is over its own bound, so that one is higher, and `app.ts` refuses. */
export const MAX_HEADERS = 64;

/** A server for the application that is not listening yet. */
export function createHttpServer(app: Pick<Hono<Env>, "fetch">, { bounds, newId, tls }: ServerParts): Server {
  const options: ServerOptions = {
    // It would cut long pushes: it is the time of the whole body. `progress.ts` guards bodies instead.
    requestTimeout: 0,
    headersTimeout: bounds.headers,
    keepAliveTimeout: bounds.keepAlive,
    connectionsCheckingInterval: bounds.checkInterval,
    maxHeaderSize: MAX_HEADER_SIZE,
  };
  const secure = tls !== undefined;
  const malformed = (): Response => {
    const body = {
      type: "about:blank",
      title: "Bad Request",
      status: 400,
      code: "invalid",
      detail: "the request's URL or Host is malformed",
    };
    const headers = { ...edgeHeaders({ requestId: newId(), secure, closing: true }), "Content-Type": "application/problem+json" };
    return new Response(JSON.stringify(body), { status: 400, headers });
  };
  // HTTP/1.0 has no Host, and load balancers ask in it whether the registry is well. The name is nobody's: challenges know only `Host`.
  const whole = { errorHandler: malformed, hostname: "localhost" };
  const listener = getRequestListener((request, env) => app.fetch(asGet(request), env), whole);
  const answering = new WeakMap<Socket, ServerResponse>();
  const refused = new WeakSet<Socket>();
  const tracked: RequestListener = (incoming, outgoing) => {
    // What looks like a request behind one that was refused by its framing may be part of it.
    if (refused.has(incoming.socket)) return;
    const refusal = refusalOfFraming(incoming);
    if (refusal !== undefined) {
      refused.add(incoming.socket);
      outgoing.writeHead(refusal, { ...edgeHeaders({ requestId: newId(), secure, closing: true }), "Content-Length": "0" }).end();
      return;
    }
    answering.set(incoming.socket, outgoing);
    outgoing.once("close", () => answering.get(incoming.socket) === outgoing && answering.delete(incoming.socket));
    void listener(incoming, outgoing);
  };
  const server = secure
    ? createSecureServer({ ...options, ...tls, minVersion: "TLSv1.2", handshakeTimeout: bounds.headers }, tracked)
    : createServer(options, tracked);
  // Node would ask for the body of whoever waits for it, before anybody knows who that is: `progress.ts` does when it is read.
  for (const event of ["checkContinue", "checkExpectation"]) server.on(event, tracked);
  server.maxHeadersCount = MAX_HEADERS + 1;
  server.setTimeout(bounds.idle, (socket) => onIdle(socket, answering.get(socket), bounds.idle));
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (refused.has(socket)) return;
    if (answering.get(socket)?.headersSent === true || !socket.writable || error.code === "ECONNRESET") socket.destroy();
    else refuse(socket, error.code, edgeHeaders({ requestId: newId(), secure, closing: true }));
  });
  return server;
}

/**
 * A HEAD as the GET whose answer's head it wants: Node leaves out the body of what is answered to it. Hono would make a second answer of the
 * first, whose headers it copies several times, which costs more than to find what is asked for.
 */
function asGet(request: Request): Request {
  return request.method === "HEAD" ? Object.defineProperty(request, "method", { value: "GET" }) : request;
}

/** An idle connection is cut, and so is a client that takes nothing; one that waits for us, while a large upload is made durable, is not. */
function onIdle(socket: Socket, outgoing: ServerResponse | undefined, idle: number): void {
  const unread = socket.writableLength + (outgoing?.writableLength ?? 0);
  if (outgoing === undefined || unread > 0) socket.destroy();
  else socket.setTimeout(idle);
}

const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** What is no HTTP gets an answer all the same, so that whoever debugs a client sees why. */
function refuse(socket: Socket, code: string | undefined, headers: Readonly<Record<string, string>>): void {
  const status = STATUS_OF[code ?? ""] ?? 400;
  const lines = Object.entries({ ...headers, "Content-Length": "0" }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n`, () => socket.destroy());
}

/** How long the server still accepts when it stops, so that clients learn of it by an answer instead of a cut connection. */
const PATIENCE = 250;

/**
 * Stops a server that says `Connection: close` by now: requests in flight get `grace` milliseconds to end, then they are cut.
 * Resolves to whether all ended.
 */
export async function drain(server: Server, grace: number): Promise<boolean> {
  let ended = true;
  // close() cuts connections that idle, and with them a request that is just on its way.
  if ((await openConnections(server)) > 0) await sleep(PATIENCE);
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  // A connection that idles after its last answer would hold close() for the whole keep-alive time (web-and-operations.md 7.2).
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  const deadline = setTimeout(() => {
    ended = false;
    server.closeAllConnections();
  }, grace);
  await closed;
  clearInterval(idle);
  clearTimeout(deadline);
  return ended;
}

function openConnections(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((_, connections) => resolve(connections));
  });
}
