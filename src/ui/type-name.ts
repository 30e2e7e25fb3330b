import { type Html, html } from "./html.ts";
import { foreign } from "./text.ts";

/** Types that people know by another name. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/^application\/vnd\.cncf\.model\.manifest\./, "model"],
  [/^application\/vnd\.oci\.image\.index\./, "index"],
  [/^application\/vnd\.oci\.image\.manifest\./, "image manifest"],
  [/^application\/vnd\.dev\.sigstore\.bundle\./, "Sigstore bundle"],
  [/^application\/vnd\.dev\.cosign\.artifact\.sig\./, "cosign signature"],
  [/^application\/vnd\.cncf\.notary\.signature$/, "Notary signature"],
  [/^application\/vnd\.in-toto\+json$/, "in-toto attestation"],
  [/^(?:application\/spdx\+json|text\/spdx)/, "SPDX bill of materials"],
  [/^application\/vnd\.cyclonedx\+/, "CycloneDX bill of materials"],
];

/** What a media or artifact type is called, in a few words; undefined where only its name is known. */
function wordsOf(type: string): string | undefined {
  return KNOWN.find(([pattern]) => pattern.test(type))?.[1];
}

/** A type in a few words, for where there is no room for its name. */
export function shortType(type: string): string {
  return wordsOf(type) ?? type.replace(/^application\/(?:vnd\.)?/, "").replace(/\+json$/, "");
}

/** A type in words, where there are any, else by its name. */
export function typeWords(type: string, max: number): Html {
  const words = wordsOf(type);
  return words === undefined ? foreign(type, max) : html`<span>${words}</span>`;
}

/** A type in words, where there are any, and by its name. */
export function typeText(type: string, max: number): Html {
  const words = wordsOf(type);
  return words === undefined ? foreign(type, max) : html`${words} <span class="purpose">${foreign(type, max)}</span>`;
}
