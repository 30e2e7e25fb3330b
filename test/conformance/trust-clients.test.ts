import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Row, Report, differences, tableOf, withTable } from "../../conformance/client-report.ts";
import { verdictOf } from "../../conformance/trust-clients/verdict.ts";

const COSIGN = { name: "cosign", version: "3.1.3" };
const row = (what: string, result: string): Row => ({ client: COSIGN, what, result });
const PAGE = "# Page\n\n<!-- trust-clients: written by npm run trust-clients -- --write -->\n\n## After\n";

function told(): { report: Report; words: string[] } {
  const words: string[] = [];
  return { report: new Report((text) => words.push(text)), words };
}

describe("a report", () => {
  test("keeps a result that is expected, and says so", async () => {
    const { report, words } = told();
    await report.row(COSIGN, "signed", "trusted", async () => "trusted");
    expect(report.rows).toEqual([row("signed", "trusted")]);
    expect(report.failed).toBe(0);
    expect(words).toEqual(["ok     cosign: signed: trusted\n"]);
  });

  test("counts another result, and an error, as failures, and goes on", async () => {
    const { report, words } = told();
    await report.row(COSIGN, "unsigned", "refused: no evidence", async () => "trusted");
    await report.row(COSIGN, "broken", "trusted", async () => {
      throw new Error("no such option");
    });
    expect(report.rows).toEqual([row("unsigned", "trusted"), row("broken", "failed")]);
    expect(report.failed).toBe(2);
    expect(words.join("")).toContain("no such option");
  });
});

describe("the table", () => {
  const rows = [row("signed", "trusted"), row("a signature of another artifact", "refused: subject-mismatch")];

  test("has a row for each case, its columns aligned", () => {
    expect(tableOf(rows).split("\n")).toEqual([
      "| tool   | version | case                            | result                    |",
      "| ------ | ------- | ------------------------------- | ------------------------- |",
      "| cosign | 3.1.3   | signed                          | trusted                   |",
      "| cosign | 3.1.3   | a signature of another artifact | refused: subject-mismatch |",
    ]);
  });

  test("takes the place of the one on the page, and leaves the rest", () => {
    const page = withTable("trust-clients", PAGE, rows);
    expect(page).toBe(PAGE.replace("## After", `${tableOf(rows)}\n\n## After`));
    expect(withTable("trust-clients", page, rows)).toBe(page);
    expect(withTable("trust-clients", page, [])).not.toContain("subject-mismatch");
  });

  test("cannot be put on a page without a place for it", () => {
    expect(() => withTable("trust-clients", "# Page\n", rows)).toThrow(/no line/);
  });

  test("differs from one with another result, another version or fewer cases, and not from one with other widths", () => {
    const page = withTable("trust-clients", PAGE, rows);
    expect(
      differences(
        "trust-clients",
        page,
        withTable("trust-clients", PAGE, [...rows, row("a longer case than all the others in it", "trusted")]),
      ),
    ).toEqual(["+ | cosign | 3.1.3 | a longer case than all the others in it | trusted |"]);
    expect(differences("trust-clients", page, withTable("trust-clients", PAGE, rows.slice(1)))).toEqual([
      "- | cosign | 3.1.3 | signed | trusted |",
    ]);
    expect(
      differences("trust-clients", page, withTable("trust-clients", PAGE, [row("signed", "refused: no evidence"), ...rows.slice(1)])),
    ).toHaveLength(2);
    expect(differences("trust-clients", page, page)).toEqual([]);
  });

  test("on the page for those who sign has all tools, and no case that failed", () => {
    const lines = readFileSync("src/trust/README.md", "utf8")
      .split("\n")
      .filter((line) => line.startsWith("| "));
    const [, ...shown] = lines.map((line) => line.split("|").map((cell) => cell.trim()));
    const tools = ["cosign", "cosign 2", "sigstore-python", "model_signing", "notation", "openssl", "oras"];
    expect(tools.filter((tool) => !shown.some(([, name]) => name === tool))).toEqual([]);
    expect(shown.filter(([, , , , result]) => result === "failed")).toEqual([]);
  });
});

describe("the verdict of a verifier", () => {
  test("is that it verifies, or that it refuses in its words for that", () => {
    expect(verdictOf({ code: 0, out: "", err: "" }, /no match/)).toBe("verifies");
    expect(verdictOf({ code: 1, out: "", err: "error: no matching signatures" }, /no match/)).toBe("refuses");
  });

  test("is none when it failed for another reason", () => {
    expect(() => verdictOf({ code: 2, out: "", err: "unknown flag" }, /no match/)).toThrow(/unknown flag/);
  });
});
