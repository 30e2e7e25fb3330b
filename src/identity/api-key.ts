/** The long-lived secrets of identity.md §4; the prefix tells them apart, and begins with `amr` so that one expression finds them all. */
const PREFIXES = { "api-key": "amr_", "refresh-token": "amrr_" } as const;
export type SecretKind = keyof typeof PREFIXES;

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 30 characters of 62 are 178 bits and more. */
const RANDOM_LENGTH = 30;
/** 62^6 > 2^32: a whole CRC-32 fits. */
const CHECKSUM_LENGTH = 6;
const FORM = /^(amr|amrr)_[0-9A-Za-z]{36}$/;
/** The largest multiple of 62 that a byte can hold; larger bytes are drawn again, so that no character is likelier than another. */
const UNBIASED = 256 - (256 % ALPHABET.length);

/** A fresh secret from strong random bytes: prefix, 30 random base62 characters, and the CRC-32 of these in 6 more. */
export function createSecret(kind: SecretKind, random: (bytes: number) => Uint8Array): string {
  let body = "";
  while (body.length < RANDOM_LENGTH) {
    const usable = [...random(RANDOM_LENGTH)].filter((byte) => byte < UNBIASED);
    body += usable.map((byte) => ALPHABET.charAt(byte % ALPHABET.length)).join("");
  }
  const unsigned = PREFIXES[kind] + body.slice(0, RANDOM_LENGTH);
  return unsigned + checksum(unsigned);
}

/** The kind of a well-formed secret; a typo is found here, before any look-up. Not for secrecy: anyone can compute the checksum. */
export function secretKindOf(text: string): SecretKind | undefined {
  if (!FORM.test(text)) return undefined;
  const unsigned = text.slice(0, -CHECKSUM_LENGTH);
  if (checksum(unsigned) !== text.slice(-CHECKSUM_LENGTH)) return undefined;
  return text.startsWith(PREFIXES["api-key"]) ? "api-key" : "refresh-token";
}

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = "";
  for (let at = 0; at < CHECKSUM_LENGTH; at += 1) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}

/** The reflected polynomial of CRC-32 (IEEE 802.3), as zlib has it; written out since this folder may not import zlib. */
const POLYNOMIAL = 0xedb88320;
/** What is left of each byte. */
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = (rest & 1) === 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
  return rest;
});

/** Of ASCII. */
function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let at = 0; at < text.length; at += 1) crc = (crc >>> 8) ^ (REMAINDERS[(crc ^ text.charCodeAt(at)) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}
