import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CliError, EXIT } from "../../src/cli/failure.ts";
import { run } from "../../src/cli/run.ts";
import { type ScanOptions, scanBody, withScanOptions } from "../../src/cli/scan-options.ts";
import { startTestRegistry } from "../support/server.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "scan-options-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function body(...argv: string[]): Promise<Record<string, unknown>> {
  const command = withScanOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return scanBody(command.parse(argv, { from: "user" }).opts<ScanOptions>());
}

async function file(content: string): Promise<string> {
  const path = join(folder, "evidence.json");
  await writeFile(path, content);
  return path;
}

async function failure(content: string): Promise<CliError> {
  const path = await file(content);
  const error: unknown = await body("--evidence-file", path).catch((thrown: unknown) => thrown);
  if (error instanceof CliError) return error;
  throw new TypeError("the file was taken");
}

describe("options for scan evidence", () => {
  test("that are not given send nothing", async () => {
    expect(await body()).toEqual({});
  });

  test("gather what each scanner said, split at the first equals sign", async () => {
    const results = ["--scan", "modelscan=pass", "--scan", "yara=pass"];
    const versions = ["--scanner-version", "modelscan=0.8.5", "--scanner-version", "yara=a=b"];
    const given = await body(...results, ...versions, "--policy-version", "2026-03", "--source-revision", "main");
    expect(given).toEqual({
      scan_results: { modelscan: "pass", yara: "pass" },
      scanner_versions: { modelscan: "0.8.5", yara: "a=b" },
      policy_version: "2026-03",
      source_revision: "main",
    });
  });

  test("send a scanner that is called __proto__", async () => {
    expect(JSON.stringify(await body("--scan", "__proto__=pass"))).toBe('{"scan_results":{"__proto__":"pass"}}');
  });

  test.each([
    ["a scanner twice", ["--scan", "a=fail", "--scan", "a=pass"], /a is given twice/],
    ["a version twice", ["--scanner-version", "a=1", "--scanner-version", "a=1"], /a is given twice/],
    ["a scanner without a result", ["--scan", "a"], /<key>=<value>/],
    ["a result without a scanner", ["--scan", "=pass"], /<key>=<value>/],
    ["a file beside a result", ["--evidence-file", "x", "--scan", "a=pass"], /cannot be used with/],
    ["a file beside a policy version", ["--evidence-file", "x", "--policy-version", "p"], /cannot be used with/],
  ])("are refused with %s", async (_, argv, words) => {
    await expect(body(...argv)).rejects.toThrow(words);
  });
});

describe("an evidence file", () => {
  test("stands for the four members, each of which may be left out", async () => {
    const said = { scan_results: { a: "pass" }, scanner_versions: { a: "1" }, policy_version: "p", source_revision: "r" };
    expect(await body("--evidence-file", await file(JSON.stringify(said)))).toEqual(said);
    expect(await body("--evidence-file", await file('{"policy_version":"p"}'))).toMatchObject({ policy_version: "p", scan_results: {} });
  });

  test.each([
    ["no JSON", "policy_version: p", /is not acceptable JSON/],
    ["a key twice", '{"policy_version":"a","policy_version":"b"}', /same key twice/],
    ["a member of another name", '{"results":{}}', /does not hold scan evidence: the document: .*results/],
    ["a result that is no text", '{"scan_results":{"a":true}}', /does not hold scan evidence: scan_results: must be text by scanner/],
    ["more than it may have", " ".repeat(1024 * 1024 + 1), /more than 1048576 bytes/],
  ])("with %s is refused before anything is sent", async (_, content, words) => {
    const error = await failure(content);
    expect([error.exit, error.message]).toEqual([EXIT.usage, expect.stringMatching(words)]);
  });

  test("that is not there is refused", async () => {
    await expect(body("--evidence-file", join(folder, "none"))).rejects.toThrow(/none cannot be read$/);
  });
});

test("evaluate and promote show each check of the evidence where the registry demands it", async () => {
  const registry = await startTestRegistry({ env: { REGISTRY_PROMOTION_POLICY: "predecessor-evidence" } });
  const env = { HOME: folder, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory };
  const securectl = async (...argv: string[]): Promise<{ readonly exit: number; readonly out: string }> => {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const said = text(stdout);
    const exit = await run(argv, { version: "1.2.3", env, streams: { stdin, stdout, stderr: stderr.resume() } });
    stdout.end();
    return { exit, out: await said };
  };
  try {
    await securectl("push", "models/scanned:v1", await file("weights"));
    const scanned = ["models/scanned:v1", "--policy-version", "2026-03", "--scanner-version", "modelscan=0.8.5"];
    const failed = await securectl("promote", ...scanned, "--scan", "modelscan=fail");
    expect(failed.exit).toBe(EXIT.denied);
    expect(failed.out).toMatch(/^Promotion is refused by built-in\/predecessor-evidence@1\.\n/);
    expect(failed.out).toMatch(/^FAIL +scan-results-pass +"modelscan" said "fail", not "pass"$/m);
    expect(failed.out).toMatch(/^PASS +scanner-versions /m);
    const shown = await securectl("evaluate", ...scanned, "--scan", "modelscan=pass", "--json");
    expect(shown.exit).toBe(EXIT.ok);
    const { digest, scan } = JSON.parse(shown.out) as { digest: string; scan: unknown };
    // What a decision shows of the evidence is a file of evidence.
    const evidence = await file(JSON.stringify(scan));
    expect((await securectl("promote", "models/scanned:v1", "--expected", digest)).exit).toBe(EXIT.conflict);
    expect((await securectl("promote", "models/scanned:v1", "--expected", digest, "--evidence-file", evidence)).exit).toBe(EXIT.ok);
  } finally {
    await registry.stop();
  }
});
