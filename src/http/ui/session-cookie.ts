import type { Ask } from "../route.ts";

/** Sent by this host alone, over TLS and for all paths: a browser keeps no other cookie under a name that begins so. */
const HOST_PREFIX = "__Host-";
const NAME = "amr-session";
const FLAGS = "Path=/; HttpOnly; SameSite=Strict";

/** The cookie that holds a session's id. `isSecure`: browsers come by https. */
export class SessionCookie {
  readonly #name: string;
  readonly #flags: string;

  constructor(isSecure: boolean) {
    this.#name = isSecure ? HOST_PREFIX + NAME : NAME;
    this.#flags = isSecure ? `${FLAGS}; Secure` : FLAGS;
  }

  /** The id that a browser sends. Two of them are none: one was put there by somebody else. */
  read(c: Ask): string | undefined {
    const values = (c.req.header("cookie") ?? "").split(";").flatMap((pair) => {
      const at = pair.indexOf("=");
      return at > 0 && pair.slice(0, at).trim() === this.#name ? [pair.slice(at + 1).trim()] : [];
    });
    return values.length === 1 ? values[0] : undefined;
  }

  /** Has the browser keep an id until it is closed; the server ends the session earlier. */
  set(c: Ask, id: string): void {
    c.header("Set-Cookie", `${this.#name}=${id}; ${this.#flags}`);
  }

  /** Has the browser forget it. */
  clear(c: Ask): void {
    c.header("Set-Cookie", `${this.#name}=; ${this.#flags}; Max-Age=0`);
  }
}
