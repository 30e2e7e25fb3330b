import type { Ask } from "./route.ts";

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1)$/;
const LOOPBACK_HOST = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?$/;
/** A proxy that sends any of these speaks for somebody else. */
const FORWARDING = /^(?:forwarded|via|x-forwarded-.+|x-real-ip)$/;

/** Is this address this machine's own? An IPv4 address must not come in IPv6 clothes. */
export function isLoopbackAddress(address: string): boolean {
  return LOOPBACK.test(address);
}

/**
 * Does this request come from a program on this machine that speaks for itself (RULES 19)? The Host keeps out pages whose name was
 * bound to loopback, the Origin and Sec-Fetch-Site those that do not care. Only where the registry itself is for this machine alone.
 */
export function isFromThisMachine(c: Ask): boolean {
  const { headers } = c.env.incoming;
  const { host = "", origin } = headers;
  if (!isLoopbackAddress(c.get("address")) || !LOOPBACK_HOST.test(host)) return false;
  if (Object.keys(headers).some((name) => FORWARDING.test(name))) return false;
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}
