import type { Realm } from "../../identity/realm.ts";
import type { AuthenticationOptions } from "../../registry/authenticate.ts";
import type { LoginRefusal } from "../../registry/logins.ts";
import type { Services } from "../../registry/ports.ts";
import { SignIn, endSession } from "../../registry/sessions.ts";
import { signInPage } from "../../ui/sign-in.ts";
import { originOf, tooManyFailures } from "../authenticate.ts";
import type { Ask, Door } from "../route.ts";
import { field, readForm } from "./form.ts";
import { localPath } from "./local-path.ts";
import { type Pages, redirect } from "./page.ts";
import { demandSameOrigin } from "./same-origin.ts";
import { SessionCookie } from "./session-cookie.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

/** What signing in needs besides use cases. */
export interface SignInOptions {
  readonly realm: (host: string | undefined) => Realm;
  /** Takes refused logins, to be coalesced. */
  readonly refused: AuthenticationOptions["note"];
  readonly pages: Pages;
}

/** As long as names and keys may be, and a typo longer: it is echoed and hashed, no more. */
const MAX_FIELD = 128;

/** Where sessions begin and end. */
export function signInDoors(services: Needs, { realm, refused, pages }: SignInOptions): readonly Door[] {
  const signIn = new SignIn(services, refused);
  const cookie = new SessionCookie(services.settings.publicUrl.startsWith("https:"));
  return [
    {
      method: "GET",
      path: "/ui/sign-in",
      action: "open",
      handle: (c) =>
        pages.show(c, { title: "Sign in", main: signInPage({ next: localPath(c.req.query("next")), name: "", refused: undefined }) }),
    },
    {
      method: "POST",
      path: "/ui/sign-in",
      action: "open",
      handle: async (c) => {
        demandSameOrigin(c, realm(c.req.header("host")));
        const { name, key, next } = offered(await readForm(c));
        const opened = await signIn.signIn({ name, key }, originOf(c), cookie.read(c));
        if (typeof opened !== "string") return refuse(c, pages, { name, next }, opened);
        cookie.set(c, opened);
        return redirect(c, next);
      },
    },
    {
      method: "POST",
      path: "/ui/sign-out",
      action: "session",
      handle: async (c, caller) => {
        await endSession(services, caller, caller.principal.credential ?? "");
        cookie.clear(c);
        return redirect(c, "/ui/sign-in");
      },
    },
  ];
}

interface Offered {
  readonly name: string;
  readonly key: string;
  readonly next: string;
}

function offered(form: URLSearchParams): Offered {
  const [name, key] = [field(form, "name") ?? "", field(form, "key") ?? ""].map((text) => text.trim().slice(0, MAX_FIELD));
  return { name: name ?? "", key: key ?? "", next: localPath(field(form, "next")) };
}

/** The same words whatever was wrong with the name or the key. */
function refuse(c: Ask, pages: Pages, { name, next }: Omit<Offered, "key">, refusal: LoginRefusal): Response {
  const isLocked = refusal.waitMilliseconds > 0;
  const locked = tooManyFailures(refusal);
  if (isLocked) c.header("Retry-After", locked.headers["Retry-After"]);
  const message = isLocked
    ? locked.message
    : "The name or the key is wrong, or the key is no longer valid. Check both, or ask an operator for a new key.";
  const main = signInPage({ next, name, refused: message });
  return pages.show(c, { title: "Sign in", main, status: isLocked ? 429 : 403 });
}
