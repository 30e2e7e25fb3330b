import { randomBytes } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { ERRORS, type RegistryError } from "../../oci/errors.ts";
import { errorPage } from "../../ui/error.ts";
import { type Live, type Section, framed } from "../../ui/frame.ts";
import type { Html } from "../../ui/html.ts";
import type { Ask } from "../route.ts";
import { signInPath } from "./local-path.ts";

/** A page to show. */
export interface Page {
  readonly title: string;
  readonly main: Html;
  readonly status?: ContentfulStatusCode;
  readonly section?: Section;
  /** What it follows. */
  readonly live?: Live;
  /** Is there something to copy by a button? Only where it is, or where something is followed, our script runs. */
  readonly copies?: true;
}

/** Where pages are, and everything below. */
export function isOfPages(path: string): boolean {
  return path === "/ui" || path.startsWith("/ui/");
}

/** 144 bits: nobody guesses it (CSP 3 §7.1 asks for 128). */
const NONCE_BYTES = 18;

/**
 * What a browser may do with a page (identity.md §10): load our style and icon, send forms to us, and run our one script where the page
 * needs it; else it runs no script at all, not even one that a fault of ours let through. No text becomes markup or script
 * (Trusted Types without a policy), and nobody frames it.
 */
function securityPolicy(nonce: string | undefined): string {
  return [
    "default-src 'none'",
    ...(nonce === undefined ? ["script-src 'none'"] : [`script-src 'nonce-${nonce}'`, "connect-src 'self'"]),
    "style-src 'self'",
    "img-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

/** `same-origin`, since a browser that is told to send no referrer sends forms with `Origin: null`. */
const PAGE_HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Cache-Control": "no-store",
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

  show(c: Ask, { title, main, status = 200, section, live, copies }: Page): Response {
    const nonce = live !== undefined || copies ? randomBytes(NONCE_BYTES).toString("base64url") : undefined;
    const text = framed({ title, viewer: c.get("session")?.viewer, isInsecure: this.#isInsecure, section, live, nonce }, main);
    return c.body(text.toString(), status, { ...PAGE_HEADERS, "Content-Security-Policy": securityPolicy(nonce) });
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
