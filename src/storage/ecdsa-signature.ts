/** Bytes of each of the two numbers of a signature on P-256. */
const NUMBER = 32;
const [SEQUENCE, INTEGER] = [0x30, 0x02];

/**
 * A signature on P-256 as tokens give it (PKCS #11 §6.3.1: two numbers of 32 bytes) in DER, as Sigstore bundles have it (RFC 3279 §2.2.3);
 * undefined for bytes of another length.
 */
export function derSignature(raw: Uint8Array): Uint8Array | undefined {
  if (raw.byteLength !== 2 * NUMBER) return undefined;
  const numbers = [raw.subarray(0, NUMBER), raw.subarray(NUMBER)].flatMap((number) => [...derInteger(number)]);
  return Uint8Array.from([SEQUENCE, numbers.length, ...numbers]);
}

/** Without zeros at the front, but for one where the first bit would make the number negative. */
function derInteger(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? [0] : [...number.subarray(first)];
  const positive = (digits[0] ?? 0) < 0x80 ? digits : [0, ...digits];
  return Uint8Array.from([INTEGER, positive.length, ...positive]);
}
