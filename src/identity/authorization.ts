/** What an `Authorization` header presents. */
export type Presented =
  | { readonly scheme: "basic"; readonly name: string; readonly secret: string }
  | { readonly scheme: "bearer"; readonly token: string };

/** Longer than any token of ours; Node's own limit on headers is a little above. */
const MAX_HEADER = 15_100;
/** Wider than RFC 6750 has it: a service token of the predecessor may hold any printable character. */
const BEARER = /^bearer +([!-~]+) *$/i;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i;

/** Reads an `Authorization` header (RFC 6750 §2.1, RFC 7617 §2); undefined when it is of neither form. */
export function parseAuthorization(header: string): Presented | undefined {
  if (header.length > MAX_HEADER) return undefined;
  const token = BEARER.exec(header)?.[1];
  if (token !== undefined) return { scheme: "bearer", token };
  const encoded = BASIC.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  return colon < 0 ? undefined : { scheme: "basic", name: decoded.slice(0, colon), secret: decoded.slice(colon + 1) };
}
