import { STATUS_CODES } from "node:http";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { ERRORS, type RegistryError } from "../../oci/errors.ts";
import { errorPage } from "../../ui/error.ts";
import { type Section, framed } from "../../ui/frame.ts";
import type { Html } from "../../ui/html.ts";
import type { Ask } from "../route.ts";
import { signInPath } from "./local-path.ts";

/** A page to show. */
export interface Page {
  readonly title: string;
  readonly main: Html;
  readonly status?: ContentfulStatusCode;
  readonly section?: Section;
}

/** Where pages are, and everything below. */
export function isOfPages(path: string): boolean {
  return path === "/ui" || path.startsWith("/ui/");
}

/**
 * What a browser may do with a page (identity.md §10): nothing but load our style and icon and send forms to us. It runs no script at all,
 * not even one that a fault of ours let through, and nobody frames it. `same-origin`, since a browser that is told to send no referrer
 * sends forms with `Origin: null`.
 */
const PAGE_HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Cache-Control": "no-store",
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
} as const;

/** Shows pages in their frame. */
export class Pages {
  readonly #isInsecure: boolean;

  constructor({ insecureDevMode }: { readonly insecureDevMode: boolean }) {
    this.#isInsecure = insecureDevMode;
  }

  show(c: Ask, { title, main, status = 200, section }: Page): Response {
    const text = framed({ title, viewer: c.get("session")?.viewer, isInsecure: this.#isInsecure, section }, main);
    return c.body(text.toString(), status, PAGE_HEADERS);
  }

  /** An error as a page; who is not signed in and only looks is sent to where one signs in. */
  showError(c: Ask, error: RegistryError): Response {
    const { method, url } = c.req;
    if (error.code === "UNAUTHORIZED" && (method === "GET" || method === "HEAD")) return redirect(c, signInPath(new URL(url)));
    // A 401 would have to name a way to authenticate by headers (RFC 9110 §15.5.2).
    const status: ContentfulStatusCode = error.code === "UNAUTHORIZED" ? 403 : ERRORS[error.code].status;
    const title = STATUS_CODES[status] ?? "Error";
    const requestId = status >= 500 ? c.get("requestId") : undefined;
    const failure = { title, message: error.message, requestId };
    return this.show(c, { title, main: errorPage(failure), status });
  }
}

/** After a form: another page, which is got. */
export function redirect(c: Ask, path: string): Response {
  return c.body(null, 303, { Location: path, "Cache-Control": "no-store" });
}
