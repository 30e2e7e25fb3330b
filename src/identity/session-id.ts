/** 192 bits: nobody guesses one, so that a fast keyed hash of it is enough to keep. */
const RANDOM_BYTES = 24;
const FORM = /^[\w-]{32}$/;

/** A fresh id of a session from strong random bytes, in base64url. Whoever has it is who opened the session: it is as good as a key. */
export function createSessionId(random: (bytes: number) => Uint8Array): string {
  return Buffer.from(random(RANDOM_BYTES)).toString("base64url");
}

/** Could this be an id of a session? What could not is refused before any look-up. */
export function isSessionId(text: string): boolean {
  return FORM.test(text);
}
