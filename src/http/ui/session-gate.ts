import { createHmac } from "node:crypto";
import { registryRights } from "../../identity/authorize.ts";
import type { Realm } from "../../identity/realm.ts";
import { RegistryError } from "../../oci/errors.ts";
import { equalInConstantTime } from "../../registry/find-credential.ts";
import type { Origin } from "../../registry/logins.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import type { RefusedRequest } from "../../registry/refused-request.ts";
import { isSessionOpen, useSession } from "../../registry/sessions.ts";
import { TOKEN_FIELD, type Viewer } from "../../ui/frame.ts";
import { REFRESH_HEADER } from "../../ui/script.ts";
import type { Ask, Env } from "../route.ts";
import { holdToStanding } from "../standing.ts";
import { field, readForm } from "./form.ts";
import { demandSameOrigin } from "./same-origin.ts";
import { SessionCookie } from "./session-cookie.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

/** What the gate of the pages needs besides use cases. */
export interface SessionGateOptions {
  /** What the registry is called, by the `Host` of the request (RULES 20). */
  readonly realm: (host: string | undefined) => Realm;
  readonly originOf: (c: Ask) => Origin;
  /** Takes forms that were refused to a known caller. */
  readonly refused: (caller: Caller, refusal: RefusedRequest) => void;
}

/**
 * The gatekeeper of the pages, and the only place that reads a cookie. Whatever changes something must come from a page of ours and carry
 * the token of the very session, so that no door behind it can forget to ask.
 */
export class SessionGate {
  readonly #services: Needs;
  readonly #options: SessionGateOptions;
  readonly #cookie: SessionCookie;

  constructor(services: Needs, options: SessionGateOptions) {
    this.#services = services;
    this.#options = options;
    this.#cookie = new SessionCookie(services.settings.publicUrl.startsWith("https:"));
  }

  async admit(c: Ask): Promise<Caller> {
    const isChange = c.req.method !== "GET" && c.req.method !== "HEAD";
    if (isChange) demandSameOrigin(c, this.#options.realm(c.req.header("host")));
    const id = this.#cookie.read(c);
    if (id === undefined) throw new RegistryError("UNAUTHORIZED", "you are not signed in: nothing was changed");
    const session = await useSession(this.#services, id, this.#options.originOf(c), { counts: !asksByItself(c) });
    if (typeof session === "string") {
      this.#cookie.clear(c);
      throw new RegistryError("UNAUTHORIZED", "your session has ended: nothing was changed; sign in and do it again");
    }
    const { caller } = session;
    const token = tokenOf(this.#services, id);
    const { name } = caller.principal;
    const oversees = registryRights(caller.principal).has("audit");
    c.set("session", { viewer: { name, token, oversees }, isOpen: () => isSessionOpen(this.#services, id) });
    holdToStanding(c, this.#services, caller);
    if (isChange) c.set("form", await this.#formWith(c, caller, token));
    return caller;
  }

  async #formWith(c: Ask, caller: Caller, token: string): Promise<URLSearchParams> {
    const form = await readForm(c);
    if (equalInConstantTime(field(form, TOKEN_FIELD) ?? "", token)) return form;
    const reason = "this form is not of your session, perhaps of an earlier one: nothing was changed; load the page again and repeat it";
    this.#options.refused(caller, { method: c.req.method, path: c.req.path, repository: undefined, reason });
    throw new RegistryError("DENIED", reason);
  }
}

/** What a session's forms carry: of its id, so that no other session has it, and without telling the id. */
function tokenOf({ secretFor }: Pick<Services, "secretFor">, id: string): string {
  return createHmac("sha256", secretFor("form-token")).update(id).digest("base64url");
}

/** A page that follows what it shows is no person: left open, it keeps no session from ending. */
function asksByItself(c: Ask): boolean {
  return c.req.path === "/ui/live" || c.req.header(REFRESH_HEADER) !== undefined;
}

/** The session behind a page that is shown to those who are signed in alone. */
export function sessionOf(c: Ask): NonNullable<Env["Variables"]["session"]> {
  const session = c.get("session");
  if (session === undefined) throw new TypeError("only a door behind the gate of the pages has a session");
  return session;
}

/** Who looks at such a page. */
export function viewerOf(c: Ask): Viewer {
  return sessionOf(c).viewer;
}

/** The form that came with a change, which the gate has let in. */
export function formOf(c: Ask): URLSearchParams {
  const form = c.get("form");
  if (form === undefined) throw new TypeError("only a door that changes something, behind the gate of the pages, has a form");
  return form;
}
