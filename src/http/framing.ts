import type { IncomingMessage } from "node:http";

const CONTINUE = /^100-continue$/i;

/**
 * How a request is refused after which nobody knows where the next one begins: Node's parser has an opinion, and a proxy before it, or the
 * client, may have had another (RFC 9112 §11.2). Undefined for all others; what Node refuses by itself never comes here.
 */
export function refusalOfFraming({ httpVersion, headers }: Pick<IncomingMessage, "httpVersion" | "headers">): 400 | 417 | 501 | undefined {
  const { expect, "transfer-encoding": coding } = headers;
  // It knows no codings (RFC 9112 §6.1), and no expectations either, which are passed over (RFC 9110 §10.1.1).
  if (httpVersion === "1.0") return coding === undefined ? undefined : 400;
  // Of "gzip, chunked" the parser takes the chunks apart and leaves the rest to whoever reads (RFC 9112 §6.1).
  if (coding !== undefined && coding.toLowerCase() !== "chunked") return 501;
  // Whoever expects something else may send its body or not (RFC 9110 §10.1.1).
  return expect === undefined || CONTINUE.test(expect) ? undefined : 417;
}
