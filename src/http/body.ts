import type { z } from "zod";
import { RegistryError } from "../oci/errors.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { invalid } from "./errors.ts";
import { guardedBody } from "./progress.ts";
import type { Ask } from "./route.ts";

/** What a JSON body may have at most, in bytes (RULES 32). */
const MAX_JSON = 1024 * 1024;

/** A request's whole body, for the bodies that are small by their nature; throws `TOO_LARGE` before it holds more than `maxBytes`. */
export async function wholeBody(c: Ask, maxBytes: number): Promise<Buffer> {
  // A claim over the bound is refused before its bytes are asked for.
  if (Number(c.req.header("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of guardedBody(c)) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/**
 * A request's JSON body as its schema wants it: bounded, no key twice, at most 16 deep. No body counts as `{}`. The media type is not
 * asked for, since the simplest clients send none or that of a form.
 */
export async function jsonBody<T>(c: Ask, schema: z.ZodType<T>, maxBytes = MAX_JSON): Promise<T> {
  const bytes = await wholeBody(c, maxBytes);
  return conform(schema, bytes.length === 0 ? {} : parse(bytes));
}

/**
 * What a request asks for by its query, as its schema wants it. A parameter without a value is one that was left out, as forms and templates
 * send it. A door at which that would change more than was meant does not ask here.
 */
export function queryOf<T>(c: Ask, schema: z.ZodType<T> & Pick<z.ZodObject, "shape">): T {
  const given = Object.entries(c.req.query()).filter(([name, value]) => value !== "" || !(name in schema.shape));
  return conform(schema, Object.fromEntries(given));
}

/** A value as its schema wants it; else a 400 that names the place and the rule, never the value. */
export function conform<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(parsed.error);
  return parsed.data;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    if (error instanceof JsonError)
      throw new RegistryError("INVALID", `the body is not acceptable JSON: ${error.message}`, { cause: error });
    throw error;
  }
}

function tooLarge(maxBytes: number): RegistryError {
  return new RegistryError("TOO_LARGE", `the body may have at most ${maxBytes} bytes`);
}
