/** distribution-spec §Warnings: at most 4096 bytes of warnings in one answer; each character may be escaped to two. */
const MAX_CHARACTERS = 2000;

/**
 * The value of a `Warning` header that tells a person something (distribution-spec §Warnings). Texts hold what people wrote, such as the
 * reason of a revocation: whatever may not stand in a header is shown as a question mark.
 */
export function warningHeader(text: string): string {
  const plain = text.replaceAll(/[^ -~]/gu, "?").slice(0, MAX_CHARACTERS);
  return `299 - "${plain.replaceAll(/["\\]/g, "\\$&")}"`;
}
