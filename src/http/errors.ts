import { STATUS_CODES } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import type { Logger } from "../log.ts";
import { ERRORS, RegistryError } from "../oci/errors.ts";
import { goJson, sortedMap } from "../oci/go-json.ts";
import { storageFailure } from "../registry/storage-failure.ts";
import { setHeaders } from "./headers.ts";
import type { Ask } from "./route.ts";

/** How many faults of one body an answer names. */
const MAX_ISSUES = 20;

/** Does this path speak the distribution-spec's error format? All others speak RFC 9457. */
function speaksOci(path: string): boolean {
  return path === "/v2" || path.startsWith("/v2/") || path.startsWith("/auth/");
}

/** Is this path one of the predecessor's, whose errors are text or `{"error"}` (interface.md §5)? */
function speaksPredecessor(path: string): boolean {
  return /^\/v1\/(?:models?|stats|integrity)(?:\/|$)/.test(path);
}

/** How an error is shown to people, where there are pages. */
export type ShowError = (c: Ask, error: RegistryError) => Response;

/**
 * The only place where an error becomes an answer. Whatever is not a `RegistryError` and not a failure of the storage is a
 * fault of ours: it is logged, and the caller learns nothing but the request id. `show` renders what is not for programs.
 */
export function answerError(c: Ask, thrown: unknown, log: Logger, show?: ShowError): Response {
  const { outgoing } = c.env;
  if (outgoing.headersSent || outgoing.destroyed) {
    // Nothing can be taken back: a cut connection tells the client that the answer is not whole. Often it hung up itself.
    log[thrown instanceof RegistryError ? "debug" : "info"]({ err: thrown, requestId: c.get("requestId") }, "request ended early");
    outgoing.destroy();
    return RESPONSE_ALREADY_SENT;
  }
  const error = known(thrown, c.get("requestId"), log);
  setHeaders(outgoing, error.headers);
  if (ERRORS[error.code].status === 408) outgoing.setHeader("Connection", "close");
  return show === undefined ? render(c, error) : show(c, error);
}

function known(thrown: unknown, requestId: string, log: Logger): RegistryError {
  if (thrown instanceof RegistryError) return thrown;
  const failure = storageFailure(thrown);
  if (failure !== undefined) {
    if (failure.code !== "UPLOAD_BUSY") log.error({ err: thrown, requestId }, "storage failed");
    return failure;
  }
  log.error({ err: thrown, requestId }, "request failed");
  return new RegistryError("INTERNAL", undefined, { detail: { requestId }, cause: thrown });
}

/** What does not fit its schema: where and which rule, never the value, which may be a secret in the wrong place. */
export function invalid(error: z.ZodError): RegistryError {
  const issues = error.issues.slice(0, MAX_ISSUES);
  const errors = issues.map(({ path, code }) => ({ pointer: pointerOf(path), code }));
  const rules = issues.map((issue) => [pointerOf(issue.path), ruleOf(issue)].filter((part) => part !== "").join(": "));
  return new RegistryError("INVALID", `the request does not fit its schema: ${rules.join("; ")}`, { detail: { errors } });
}

/** A schema's words tell no value; only of unknown names do they quote what came. */
function ruleOf({ code, message }: z.core.$ZodIssue): string {
  return code === "unrecognized_keys" ? "it has a member or parameter that is not known here" : message;
}

/** RFC 6901. */
function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1").slice(0, 64)}`).join("");
}

/** The body of an answer and its media type. */
interface Content {
  readonly type: string;
  readonly text: string;
}

function render(c: Ask, error: RegistryError): Response {
  const status: ContentfulStatusCode = ERRORS[error.code].status;
  const { type, text } = contentOf(c, error);
  return c.body(text, status, { "Content-Type": type });
}

function contentOf(c: Ask, error: RegistryError): Content {
  if (speaksOci(c.req.path)) {
    const detail = error.detail === undefined ? {} : { detail: error.detail };
    const text = JSON.stringify({ errors: [{ code: ERRORS[error.code].oci, message: error.message, ...detail }] });
    return { type: "application/json", text };
  }
  if (speaksPredecessor(c.req.path)) return asPredecessor(c, error);
  return { type: "application/problem+json", text: JSON.stringify(problem(error)) };
}

/** Some of the predecessor's errors are JSON and some text; whoever asks for JSON gets it always. */
function asPredecessor(c: Ask, error: RegistryError): Content {
  const said = z.looseObject({ error: z.string() }).safeParse(error.detail);
  const message = inPredecessorsWords(error);
  if (said.success || acceptsJson(c.req.header("accept"))) {
    const body = said.success ? said.data : { error: message };
    return { type: "application/json", text: `${goJson(sortedMap(body))}\n` };
  }
  return { type: "text/plain; charset=utf-8", text: `${message}\n` };
}

/** Where there is no door, the edge has words of its own. */
function inPredecessorsWords({ code, message }: RegistryError): string {
  if (code === "UNSUPPORTED") return "method not allowed";
  return message === ERRORS.NOT_FOUND.message ? "404 page not found" : message;
}

function acceptsJson(accept: string | undefined): boolean {
  return accept !== undefined && /(?:^|[\s,])application\/json(?:$|[\s,;])/i.test(accept);
}

/** RFC 9457; the structured facts are extension members, which never replace the standard ones. */
function problem(error: RegistryError): Record<string, unknown> {
  const { status } = ERRORS[error.code];
  const facts = z.record(z.string(), z.unknown()).safeParse(error.detail);
  return {
    ...(facts.success ? facts.data : error.detail === undefined ? {} : { details: error.detail }),
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    code: error.code.toLowerCase(),
    detail: error.message,
  };
}
