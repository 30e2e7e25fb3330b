import { Hono } from "hono";
import type { Charged } from "../limits/buckets.ts";
import type { Limited } from "../limits/classes.ts";
import type { Limits } from "../limits/limits.ts";
import type { Logger } from "../log.ts";
import type { Meter } from "../metrics/metric-set.ts";
import { type ErrorCode, RegistryError } from "../oci/errors.ts";
import { NAME_PATTERN, type RepositoryName, isRepositoryName } from "../oci/reference.ts";
import type { Caller } from "../registry/ports.ts";
import type { RefusedRequest } from "../registry/refused-request.ts";
import { TrustedProxies, plainAddress } from "./client-address.ts";
import type { Connections } from "./connections.ts";
import { type ShowError, answerError } from "./errors.ts";
import { Arrivals } from "./giving-way.ts";
import { edgeHeaders, setHeaders } from "./headers.ts";
import { Limiter, addressKey, limitOf, namespaceCounted } from "./limits.ts";
import { observeRequest } from "./observe.ts";
import { DEFAULT_PACE, type Pace } from "./progress.ts";
import type { Action, Ask, Door, Env } from "./route.ts";
import { MAX_HEADERS } from "./server.ts";
import { isOfPages } from "./ui/page.ts";

/** Tells who knocks: the caller, when the credential that came along lets it do this; throws `UNAUTHORIZED` or `DENIED` otherwise. */
export interface Gatekeeper {
  admit(c: Ask, action: Exclude<Action, "open">, repository: RepositoryName | undefined): Promise<Caller>;
}

/** What the edge is made of. */
export interface Edges {
  readonly doors: readonly Door[];
  readonly gatekeeper: Gatekeeper;
  readonly services: {
    readonly log: Logger;
    readonly newId: () => string;
    readonly limits: Limits;
    readonly settings: { readonly publicUrl: string };
  };
  readonly limiter?: Limiter;
  readonly pace?: Pace;
  /** Who is believed whom it speaks for; nobody by default. */
  readonly proxies?: TrustedProxies;
  /** The requests of this process, for whoever gives way to them. */
  readonly arrivals?: Arrivals;
  /** Counts the requests of whoever comes through a proxy, and so has no connection of its own. */
  readonly connections?: Connections;
  /** Where requests are counted. */
  readonly metrics?: Meter;
  /** Takes what a door refused a known caller, to be coalesced into the audit. */
  readonly refused?: (caller: Caller, refusal: RefusedRequest) => void;
  /** Shows an error to people who look at pages. */
  readonly showError?: ShowError;
  /** Is the server about to stop? Then every answer asks for the end of its connection. */
  readonly draining?: () => boolean;
}

const NOTED: ReadonlySet<ErrorCode> = new Set(["DENIED", "CONFLICT"]);
const MAX_URL = 8192;
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
/** The places below a repository; what stands before the last of them is meant as a name. */
const UNDER_REPOSITORY = /^\/v2\/(.*)\/(?:blobs|manifests|tags|referrers)(?:\/|$)/s;

/** The registry's HTTP application: every door behind the gatekeeper, and one answer for everything that is no door. */
export function createApp(edges: Edges): Hono<Env> {
  const edge = new RequestEdge(edges);
  const app = new Hono<Env>();
  const seen = new Set<string>();
  for (const door of edges.doors) {
    const id = `${door.method} ${door.path}`;
    if (seen.has(id)) throw new TypeError(`two doors for ${id}`);
    seen.add(id);
    app.on(door.method, pathOf(door), (c) => edge.answer(c, door.path, () => edge.enter(c, door)));
  }
  const allowedAt = (path: string): string[] => METHODS.filter((method) => app.router.match(method, path)[0].length > 0);
  app.notFound((c) => edge.answer(c, "none", () => edge.refuse(c, allowedAt(c.req.path))));
  return app;
}

/** `:name` stands for a repository's name, which may have several components. */
function pathOf(door: Door): string {
  return door.inRepository === true ? door.path.replace(/:name(?![\w{])/, `:name{${NAME_PATTERN}}`) : door.path;
}

class RequestEdge {
  readonly #edges: Edges;
  readonly #limiter: Limiter;
  readonly #pace: Pace;
  readonly #arrivals: Arrivals;
  readonly #proxies: TrustedProxies;
  readonly #secure: boolean;

  constructor(edges: Edges) {
    this.#edges = edges;
    this.#limiter = edges.limiter ?? new Limiter(edges.services.limits);
    this.#pace = edges.pace ?? DEFAULT_PACE;
    this.#arrivals = edges.arrivals ?? new Arrivals();
    this.#proxies = edges.proxies ?? new TrustedProxies([]);
    this.#secure = edges.services.settings.publicUrl.startsWith("https:");
  }

  /** Everything that every request gets, around whatever answers it. `route` is the door's pattern. */
  async answer(c: Ask, route: string, handle: () => Promise<Response>): Promise<Response> {
    const { log, newId } = this.#edges.services;
    const requestId = newId();
    c.set("requestId", requestId);
    c.set("address", this.#proxies.clientOf(peerOf(c), c.req.header("x-forwarded-for")));
    c.set("pace", this.#pace);
    c.set("arrivals", this.#arrivals);
    this.#arrivals.note((name) => c.req.header(name));
    setHeaders(c.env.outgoing, edgeHeaders({ requestId, secure: this.#secure, closing: this.#edges.draining?.() ?? false }));
    if (this.#edges.metrics !== undefined) observeRequest(c, route, this.#edges.metrics);
    if (log.isLevelEnabled("debug")) logWhenAnswered(c, route, log);
    try {
      checkHead(c);
      await this.#count(c);
      return await handle();
    } catch (error) {
      const show = isOfPages(c.req.path) ? this.#edges.showError : undefined;
      return answerError(c, await this.#charged(c, error), log, show);
    }
  }

  async enter(c: Ask, door: Door): Promise<Response> {
    if (door.action === "open") {
      const isLogin = door.path.startsWith("/auth/") || (isOfPages(door.path) && door.method === "POST");
      if (isLogin) await this.#take(c, "token", { address: addressKey(c.get("address")) });
      return door.handle(c);
    }
    const { gatekeeper } = this.#edges;
    if (door.inRepository !== true) {
      const caller = await gatekeeper.admit(c, door.action, undefined);
      await this.#limit(c, door, { caller });
      return this.#noting(c, { door, caller }, async () => door.handle(c, caller));
    }
    const name = c.req.param("name") ?? "";
    if (!isRepositoryName(name)) return this.refuse(c, []);
    const caller = await gatekeeper.admit(c, door.action, name);
    await this.#limit(c, door, { caller, name });
    return this.#noting(c, { door, caller, name }, async () => door.handle(c, caller, name));
  }

  /** A refusal is worth an event; what a promotion's policy refuses has one of its own, with the decision. */
  async #noting(
    c: Ask,
    { door, caller, name }: { readonly door: Door; readonly caller: Caller; readonly name?: RepositoryName },
    handle: () => Promise<Response>,
  ): Promise<Response> {
    try {
      return await handle();
    } catch (error) {
      if (error instanceof RegistryError && NOTED.has(error.code)) {
        this.#edges.refused?.(caller, { method: door.method, path: c.req.path, repository: name, reason: error.message });
      }
      throw error;
    }
  }

  /** What is no door. Under `/v2/` a stranger learns nothing, not even which paths and names there could be. */
  async refuse(c: Ask, allowed: readonly string[]): Promise<Response> {
    const { path } = c.req;
    if (path === "/v2" || path.startsWith("/v2/")) {
      await this.#edges.gatekeeper.admit(c, "credential", undefined);
      const name = UNDER_REPOSITORY.exec(path)?.[1];
      if (name !== undefined && !isRepositoryName(name)) throw new RegistryError("NAME_INVALID");
    }
    if (allowed.length === 0) throw new RegistryError("NOT_FOUND");
    const allow = allowed.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
    throw new RegistryError("UNSUPPORTED", `${c.env.incoming.method} is not supported here; allowed: ${allow}`, {
      headers: { Allow: allow },
    });
  }

  /** A PATCH or PUT passes in any case, as everywhere (identity.md 8.1). */
  async #count(c: Ask): Promise<void> {
    const { connections } = this.#edges;
    const address = c.get("address");
    if (connections === undefined || address === peerOf(c)) return;
    const key = addressKey(address);
    const { outgoing } = c.env;
    if (await connections.enter(key)) {
      if (outgoing.closed) connections.leave(key);
      else outgoing.once("close", () => connections.leave(key));
    } else if (c.req.method !== "PATCH" && c.req.method !== "PUT") {
      this.#edges.metrics?.add("registry_refused_connections_total", { bound: "address" });
      throw new RegistryError("TOO_MANY_REQUESTS", "too many requests of this address are under way; try again in 1 s", {
        headers: { "Retry-After": "1" },
      });
    }
  }

  async #limit(c: Ask, door: Door, { caller, name }: { readonly caller: Caller; readonly name?: RepositoryName }): Promise<void> {
    const { name: identity, credential } = caller.principal;
    const namespace = namespaceCounted(c, caller, name);
    await this.#take(c, limitOf(door), { address: addressKey(c.get("address")), identity, credential, namespace });
  }

  async #take(c: Ask, limited: Limited, charged: Charged): Promise<void> {
    try {
      await this.#limiter.take(c, limited, charged);
    } catch (error) {
      this.#edges.metrics?.add("registry_rate_limited_total", { class: limited });
      throw error;
    }
  }

  /** A 401 costs the address a unit; a credential that was refused, one of a smaller store. When they are used up the answer is 429. */
  async #charged(c: Ask, thrown: unknown): Promise<unknown> {
    if (!(thrown instanceof RegistryError) || thrown.code !== "UNAUTHORIZED") return thrown;
    const limited: Limited = c.req.header("authorization") === undefined ? "unauthenticated" : "auth-fail";
    try {
      await this.#take(c, limited, { address: addressKey(c.get("address")) });
      return thrown;
    } catch (error) {
      return error;
    }
  }
}

/** Patterns instead of paths, and no query: names and tickets are nobody's business who reads logs. */
function logWhenAnswered(c: Ask, route: string, log: Logger): void {
  const { outgoing } = c.env;
  const [began, requestId, address] = [performance.now(), c.get("requestId"), c.get("address")];
  outgoing.once("close", () => {
    const milliseconds = Math.round(performance.now() - began);
    log.debug(
      {
        requestId,
        address,
        method: c.env.incoming.method,
        route,
        status: outgoing.statusCode,
        whole: outgoing.writableFinished,
        milliseconds,
      },
      "answered",
    );
  });
}

/**
 * What Node lets pass: it has no bound for the URL, and drops silently the headers over its own bound, among them what a proxy appends,
 * and every Host but the first, where a proxy may have gone by another (RFC 9112 §3.2), or by the host of a whole URL (§3.2.2).
 */
function checkHead(c: Ask): void {
  const { url = "", rawHeaders, headers } = c.env.incoming;
  if (url.length > MAX_URL) throw new RegistryError("URL_TOO_LONG");
  if (rawHeaders.length > 2 * MAX_HEADERS) throw new RegistryError("HEADERS_TOO_LARGE");
  if (rawHeaders.filter(isHost).length > 1) throw new RegistryError("INVALID", "a request has one Host header");
  if (!isOfHost(url, headers.host)) throw new RegistryError("INVALID", "the Host header is the host of the URL");
}

/** Is a request's target one of its Host, as every path is? */
function isOfHost(target: string, host: string | undefined): boolean {
  const authority = /^https?:\/\/([^/?#]*)/.exec(target)?.[1];
  return authority === undefined || host === undefined || authority.toLowerCase() === host.toLowerCase();
}

/** Of names and values by turns. */
function isHost(text: string, at: number): boolean {
  return at % 2 === 0 && text.length === 4 && text.toLowerCase() === "host";
}

/** The socket's peer; an IPv4 address in IPv6 clothes is shown as what it is. */
function peerOf(c: Ask): string {
  return plainAddress(c.env.incoming.socket.remoteAddress ?? "");
}
