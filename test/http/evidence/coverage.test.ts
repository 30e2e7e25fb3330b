import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OBJECTIONS } from "../../../src/policy/written.ts";
import { REASONS } from "../../../src/trust/reason.ts";
import { CERTIFICATE_ROWS } from "./rows-certificates.ts";
import { DEMAND_ROWS } from "./rows-demands.ts";
import { FILE_ROWS } from "./rows-files.ts";
import { FORM_ROWS } from "./rows-forms.ts";
import { BROKEN_ENVELOPE_ROWS, HOLDER_ROWS } from "./rows-holders.ts";
import { LEGACY_ROWS } from "./rows-legacy.ts";
import { PROOF_ROWS } from "./rows-proofs.ts";
import { STATEMENT_ROWS } from "./rows-statements.ts";
import { VERIFICATION_ROWS } from "./rows-verification.ts";

const TABLES = {
  CERTIFICATE_ROWS,
  DEMAND_ROWS,
  FILE_ROWS,
  FORM_ROWS,
  HOLDER_ROWS,
  BROKEN_ENVELOPE_ROWS,
  LEGACY_ROWS,
  PROOF_ROWS,
  STATEMENT_ROWS,
  VERIFICATION_ROWS,
};
const ROWS = Object.values(TABLES).flat();

/** What no row of a table shows, as it is about the manifest or the registry; these tests show each of them at promote. */
const ELSEWHERE = {
  "found.test.ts": ["blob-missing", "too-large", "too-many-layers", "trust-root-missing"],
  "../trust-roots.test.ts": ["trust-root-stale"],
  "../revoked-authorities.test.ts": ["authority-revoked"],
};

describe("the rows", () => {
  test("produce every reason for which evidence counts for nothing, and no other", () => {
    const produced = new Set([...ROWS.map(({ code }) => code), ...Object.values(ELSEWHERE).flat()]);
    expect([...produced].toSorted()).toEqual([...Object.keys(REASONS), ...Object.keys(OBJECTIONS), "ok"].toSorted());
  });

  test.each(Object.entries(ELSEWHERE))("are told apart from what %s shows", (file, codes) => {
    const text = readFileSync(join(import.meta.dirname, file), "utf8");
    expect(codes.filter((code) => !text.includes(`"${code}"`))).toEqual([]);
  });

  test("show for each of them evidence that counts, unless the artifact itself is what is wrong", () => {
    const hopeless = ROWS.filter(({ code, good, artifact }) => code !== "ok" && good === null && artifact === undefined);
    expect(hopeless.map(({ what }) => what)).toEqual([]);
  });

  test("each have a name of their own", () => {
    const names = ROWS.map(({ what }) => what);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });

  test.each(Object.entries(TABLES))("of %s are there", (_, rows) => {
    expect(rows.length).toBeGreaterThan(10);
  });
});
