import { RegistryError } from "../../oci/errors.ts";
import { wholeBody } from "../body.ts";
import type { Ask } from "../route.ts";

/** Longer than any form of ours. */
const MAX_FORM = 64 * 1024;
const FORM_TYPE = /^application\/x-www-form-urlencoded(?:\s*;|$)/i;

/** The fields of a form that was sent; throws INVALID for a body of any other kind. */
export async function readForm(c: Ask): Promise<URLSearchParams> {
  if (!FORM_TYPE.test(c.req.header("content-type") ?? "")) throw new RegistryError("INVALID", "pages send forms and nothing else");
  return new URLSearchParams((await wholeBody(c, MAX_FORM)).toString("utf8"));
}

/** Refuses a field that is given twice: a second reader could take the other one. */
export function field(form: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = form.getAll(name);
  if (more.length > 0) throw new RegistryError("INVALID", `the form has the field ${name} twice`);
  return value;
}
