import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONFORMANCE_SUITE, installGoTool } from "./go-tool.ts";
import { CHECKOUT, createNamespace, plainEnvironment, startRegistry } from "./registry-process.ts";
import { ALL_SWITCHES, type SuiteVersion, SUITE_VERSIONS, judge, readReport } from "./suite.ts";

const NAMESPACE = "conformance";
const SUITE_LIMIT_MS = 900_000;

async function expectedChecks(): Promise<readonly string[]> {
  return (await readFile(join(CHECKOUT, "conformance", "checks.txt"), "utf8")).split("\n").filter((line) => line !== "");
}

/** Runs the suite once as `publisher` against a fresh registry; its own exit code is not asked, since the two result files say more. */
async function runSuite(binary: string, { version, least }: SuiteVersion, folder: string): Promise<readonly string[]> {
  const registry = await startRegistry();
  try {
    await createNamespace(registry, NAMESPACE);
    const suite = spawn(binary, [], {
      cwd: folder,
      env: plainEnvironment({
        ...ALL_SWITCHES,
        OCI_VERSION: version,
        OCI_TLS: "disabled",
        OCI_REGISTRY: registry.host,
        OCI_REPO1: `${NAMESPACE}/repo1`,
        OCI_REPO2: `${NAMESPACE}/repo2`,
        OCI_USERNAME: "publisher",
        OCI_PASSWORD: await registry.key("publisher"),
        OCI_RESULTS_DIR: folder,
      }),
      stdio: ["ignore", "pipe", "pipe"],
      timeout: SUITE_LIMIT_MS,
    });
    const log = createWriteStream(join(folder, "output.txt"));
    suite.stdout.pipe(log, { end: false });
    suite.stderr.pipe(log, { end: false });
    await once(suite, "close");
    log.end();
  } finally {
    await registry.dispose();
  }
  const report = readReport(await readFile(join(folder, "junit.xml"), "utf8"));
  const problems = judge(report, await readFile(join(folder, "results.yaml"), "utf8"), { version, least, checks: await expectedChecks() });
  const passed = report.total - report.failed - report.skipped - report.disabled;
  process.stdout.write(
    `distribution-spec ${version}: ${report.total} checks, ${passed} passed, ${report.failed} failed, ${report.skipped} skipped, ${report.disabled} disabled\n`,
  );
  return problems;
}

const binary = await installGoTool(CONFORMANCE_SUITE);
const results = await mkdtemp(join(tmpdir(), "ai-model-registry-conformance-"));
for (const wanted of SUITE_VERSIONS) {
  const folder = await mkdtemp(join(results, `${wanted.version}-`));
  const problems = await runSuite(binary, wanted, folder);
  for (const problem of problems) process.stdout.write(`  ${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
}
process.stdout.write(`results: ${results}\n`);
