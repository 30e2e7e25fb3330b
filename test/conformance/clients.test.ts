import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { plainEnvironment } from "../../conformance/registry-process.ts";
import { differences } from "../../conformance/client-report.ts";
import { withoutVersions } from "../../conformance/clients/floating.ts";
import { casesOf, scriptOf } from "../../conformance/clients/page.ts";

const PAGE =
  "# client\n\n## Push\n\n```sh\ntrue\n```\n\n## Refused\n\n```sh\ntrue\n```\n\n```sh\nls /no/such # refused: no such file\nfalse # refused\n```\n";

/** Runs the cases of a page; how it ended, and how many cases it began. */
function runCases(markdown: string): { status: number | null; begun: number } {
  const folder = mkdtempSync(join(tmpdir(), "ai-model-registry-cases-"));
  try {
    const PROGRESS = join(folder, "progress");
    const { status } = spawnSync("bash", ["-c", scriptOf(casesOf(markdown))], { env: plainEnvironment({ PROGRESS }) });
    return { status, begun: readFileSync(PROGRESS, "utf8").length };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("a client's page", () => {
  test("has a case for each section with commands, which works or is refused in the words that it announces", () => {
    expect(casesOf(PAGE).map(({ title, expected }) => [title, expected])).toEqual([
      ["Push", "works"],
      ["Refused", "refused: no such file"],
    ]);
  });

  test("is one script that tells which cases it began", () => {
    expect(runCases(PAGE)).toEqual({ status: 0, begun: 2 });
    expect(runCases(PAGE.replace("true", "false"))).toEqual({ status: 1, begun: 1 });
    expect(runCases(PAGE.replace("ls /no/such", "true"))).toEqual({ status: 1, begun: 2 });
  });
});

describe("the page of all clients", () => {
  const index = readFileSync("docs/clients.md", "utf8");
  const pages = readdirSync("docs/clients");

  test("links to the page of each client", () => {
    expect(pages.length).toBeGreaterThan(0);
    expect(pages.filter((page) => !index.includes(`(clients/${page})`))).toEqual([]);
  });

  test("shows a row for each case of each page, and none that failed", () => {
    const [, table = ""] = index.split("<!-- clients: ");
    const rows = table.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
    const shown = new Set(rows.map(([, , , what, result]) => `${what}: ${result}`));
    const cases = pages.flatMap((page) => casesOf(readFileSync(join("docs/clients", page), "utf8")));
    expect(cases.map(({ title, expected }) => `${title}: ${expected}`).filter((row) => !shown.has(row))).toEqual([]);
    expect(table).not.toContain("| failed");
  });
});

test("a newer version of a client that nobody pinned is no difference, and another result of it is one", () => {
  const index = readFileSync("docs/clients.md", "utf8");
  const compared = (other: string): readonly string[] =>
    differences("clients", withoutVersions(index, ["podman"]), withoutVersions(other, ["podman"]));
  const podman = /^(\| podman +\|) [\d.]+( +\|[^|]+\|) works/gm;
  expect(index).toMatch(podman);
  expect(compared(index.replaceAll(podman, "$1 9.9$2 works"))).toEqual([]);
  expect(compared(index.replaceAll(podman, "$1 9.9$2 failed"))).not.toEqual([]);
  expect(compared(index.replaceAll("| 1.3.6 ", "| 9.9 "))).not.toEqual([]);
});

test.each(readdirSync("docs/clients").filter((page) => page !== "replays.md"))(
  "%s goes the whole way: pushed, refused, promoted, pulled, refused again",
  (page) => {
    const commands = casesOf(readFileSync(join("docs/clients", page), "utf8"))
      .map((each) => each.commands)
      .join("\n");
    const way = [
      /\$KEYS\/publisher/,
      /securectl quarantine/,
      /\$KEYS\/runtime/,
      /# refused: /,
      /securectl promote/,
      /\bcmp\b/,
      /securectl revoke/,
      /# refused: /,
    ];
    let at = 0;
    for (const step of way) {
      const found = commands.slice(at).search(step);
      expect(found, `${step} in ${page}`).toBeGreaterThanOrEqual(0);
      at += found + 1;
    }
  },
);
