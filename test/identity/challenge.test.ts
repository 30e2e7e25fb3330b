import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatChallenge } from "../../src/identity/challenge.ts";

const HOME = { realm: "https://models.example/auth/token", service: "models.example" };

describe("formatChallenge", () => {
  test("names Bearer alone, with every parameter in quotes", () => {
    expect(formatChallenge({ ...HOME, scope: "repository:a/b:pull", error: "insufficient_scope" })).toBe(
      'Bearer realm="https://models.example/auth/token",service="models.example",scope="repository:a/b:pull",error="insufficient_scope"',
    );
    expect(formatChallenge(HOME)).toBe('Bearer realm="https://models.example/auth/token",service="models.example"');
  });

  test("is found whole by the conformance suite, which takes the last name of a scheme in the header", () => {
    for (const scope of ["repository:team/basic-model:pull", "repository:team/Bearer:pull", "repository:a:pull"]) {
      const header = formatChallenge({ ...HOME, scope });
      expect(/.*(bearer|basic).*/i.exec(header)?.[1]).toBe("Bearer");
      expect(header.match(/bearer|basic/gi)).toHaveLength(1);
    }
  });

  test("lets no value end its quotes or the header", () => {
    const text = fc.array(fc.integer({ min: 0, max: 0x2ff }), { maxLength: 40 }).map((codes) => String.fromCharCode(...codes));
    fc.assert(
      fc.property(text, text, text, (realm, service, scope) => {
        const header = formatChallenge({ realm, service, scope });
        expect(header).toMatch(/^Bearer (?:[a-z]+="(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"(?:,(?=[a-z])|$))+$/);
      }),
    );
  });
});
