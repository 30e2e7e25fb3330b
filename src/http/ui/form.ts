import { RegistryError } from "../../oci/errors.ts";
import { REASON_FIELD } from "../../ui/trust.ts";
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

const MAX_REASON = 1024;

/** The reason that a form gives; null where it gives none. Throws INVALID for one that is too long. */
export function reasonIn(form: URLSearchParams): string | null {
  const reason = (field(form, REASON_FIELD) ?? "").trim();
  if (reason.length > MAX_REASON) throw new RegistryError("INVALID", `a reason has at most ${MAX_REASON} characters`);
  return reason === "" ? null : reason;
}

/** The reason that a form has to give. */
export function demandedReason(form: URLSearchParams): string {
  const reason = reasonIn(form);
  if (reason === null) throw new RegistryError("INVALID", "say why: the reason is kept with what is done; nothing was changed");
  return reason;
}
