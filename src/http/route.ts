import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { Permission } from "../identity/permission.ts";
import type { Limited } from "../limits/classes.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Caller } from "../registry/ports.ts";
import type { Arrivals } from "./giving-way.ts";
import type { Pace } from "./progress.ts";
import type { Viewer } from "../ui/frame.ts";

/** What the edge puts beside every request. */
export interface Env {
  readonly Bindings: HttpBindings;
  Variables: {
    /** Ours, never the caller's. */
    requestId: string;
    /** Who asks: the socket's peer, or whom a trusted proxy there speaks for. */
    address: string;
    /** What a body must keep up, see `progress.ts`. */
    pace: Pace;
    /** To whom a large body gives way, see `giving-way.ts`. */
    arrivals: Arrivals;
    /** Throws when the caller would not be let in any more: asked at the end of a body that was long on its way, and while a long list is. */
    stillStands?: () => Promise<void>;
    /** Who looks at a page, behind the gate of the pages. */
    session?: { readonly viewer: Viewer; readonly isOpen: () => Promise<boolean> };
    /** The form that came with a change there; its token has been checked. */
    form?: URLSearchParams;
  };
}

export type Ask = Context<Env>;

/** Is the head of an answer wanted, and no body? Hono knows such a request as the GET that it stands for (`server.ts`). */
export function isHead({ env: { incoming } }: Ask): boolean {
  return incoming.method === "HEAD";
}

/**
 * What a door needs. `open`: nothing. `credential`: any valid credential. `pull`, `push`, `delete`: that right on the repository in the path,
 * where `pull` only asks for a credential whose token covers it: what is shown is decided by `serve`. A permission in braces is needed
 * somewhere or on the repository in the path, as `on` says. `session`: a page, for who signed in on one; what changes something there needs
 * the token of a form besides. `registered`: a door of the predecessor's, which programs of this machine read
 * without a credential (RULES 19), and which refuses as the predecessor did.
 */
export type Action =
  | "open"
  | "credential"
  | "session"
  | "pull"
  | "push"
  | "delete"
  | "catalog"
  | { readonly registered: "read" | "change" }
  | { readonly permission: Permission; readonly on: "repository" | "registry" };

interface DoorAt {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** A Hono pattern. HEAD is answered by the GET door of the same path. */
  readonly path: string;
  /** What a request counts as, where its method does not tell (`limits.ts`). */
  readonly limit?: Limited;
}

/** A door without a caller: health, the token endpoint. */
interface OpenDoor extends DoorAt {
  readonly action: "open";
  readonly inRepository?: never;
  readonly handle: (c: Ask) => Promise<Response> | Response;
}

/** A door that knows who knocks. */
export interface CallerDoor extends DoorAt {
  readonly action: Exclude<Action, "open">;
  readonly inRepository?: never;
  readonly handle: (c: Ask, caller: Caller) => Promise<Response> | Response;
}

/** A door under a repository: `:name` of the path is already checked. */
export interface RepositoryDoor extends DoorAt {
  readonly action: Exclude<Action, "open">;
  readonly inRepository: true;
  readonly handle: (c: Ask, caller: Caller, repository: RepositoryName) => Promise<Response> | Response;
}

/** Every door declares its action beside its path; one without does not compile. The route table is the list of all doors. */
export type Door = OpenDoor | CallerDoor | RepositoryDoor;
