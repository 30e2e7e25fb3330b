import { z } from "zod";
import { CliError, EXIT, type Exit, exitOf } from "./failure.ts";
import { type HttpAnswer, readBody } from "./http.ts";
import { visible } from "./visible.ts";

const MAX_ERROR_BYTES = 1024 * 1024;
const MAX_SHOWN = 2000;

const problemSchema = z.object({ title: z.string().optional(), detail: z.string().optional(), code: z.string().optional() });
const predecessorSchema = z.object({ error: z.string() });
/** How the predecessor refuses a credential: by 403, which is a missing right elsewhere. */
const NO_CREDENTIAL = /^(?:forbidden: invalid service token|no service token configured)/;
/** How the registry says that bytes are not those of their digest; the status is that of whatever was refused for it. */
const WRONG_BYTES =
  /^(?:integrity check failed: |content-addressed object failed digest verification|hash verification failed: hash mismatch: )/;
const ociSchema = z.object({ errors: z.array(z.object({ code: z.string(), message: z.string().optional() })).min(1) });

/**
 * The error that a refusing answer stands for, in the registry's own words: RFC 9457 problems of `/v1`, `{"error"}` or text of the
 * predecessor's doors, OCI errors of `/v2`, or whatever a proxy says.
 */
export async function refusedBy(answer: HttpAnswer): Promise<CliError> {
  const bytes = await readBody(answer, MAX_ERROR_BYTES);
  const body = parse(bytes.toString("utf8"));
  const { code, message } = said(body);
  const words = message ?? (bytes.length > 0 && body === undefined ? bytes.toString("utf8") : fallback(answer.status));
  const facts = [`HTTP ${answer.status}`, ...(code === undefined ? [] : [code]), ...requestId(answer)];
  return new CliError(
    WRONG_BYTES.test(words) ? EXIT.integrity : exitBy(answer.status, body),
    `${visible(words.trim().slice(0, MAX_SHOWN))} (${visible(facts.join(", "))})`,
    {
      answer: { status: answer.status, code: code?.toLowerCase(), body, retryAfter: retryAfterOf(answer) },
    },
  );
}

function exitBy(status: number, body: unknown): Exit {
  const error = predecessorSchema.safeParse(body).data?.error;
  return status === 403 && error !== undefined && NO_CREDENTIAL.test(error) ? EXIT.authentication : exitOf(status);
}

/** Seconds of a Retry-After header (RFC 9110 §10.2.3); a date counts from now. */
function retryAfterOf({ headers }: HttpAnswer): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function said(body: unknown): { readonly code?: string | undefined; readonly message?: string | undefined } {
  const oci = ociSchema.safeParse(body);
  if (oci.success)
    return { code: oci.data.errors[0]?.code, message: oci.data.errors.map(({ code, message }) => message ?? code).join("; ") };
  const predecessor = predecessorSchema.safeParse(body);
  if (predecessor.success) return { message: predecessor.data.error };
  const problem = problemSchema.safeParse(body);
  return problem.success ? { code: problem.data.code, message: problem.data.detail ?? problem.data.title } : {};
}

function fallback(status: number): string {
  if (status >= 300 && status < 400) return "the registry answered with a redirect, which is not followed";
  return status === 404 ? "there is nothing of that name that you may see" : "the registry refused";
}

function requestId({ headers }: HttpAnswer): readonly string[] {
  const id = headers["x-request-id"];
  return typeof id === "string" ? [`request ${id.slice(0, 64)}`] : [];
}
