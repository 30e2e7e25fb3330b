import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Browser } from "playwright-core";
import { attack } from "./pages/attacks.ts";
import { SLOW_CHECKS, watchCheck } from "./pages/check.ts";
import { launchChromium } from "./pages/chromium.ts";
import { copyByButtons, selectWithoutScripts } from "./pages/copy.ts";
import { examine, examineLoad } from "./pages/examine.ts";
import { Findings } from "./pages/findings.ts";
import { doJob } from "./pages/job.ts";
import { useKeys, watchLive } from "./pages/live.ts";
import { EVERYBODYS, ROWS, type Row } from "./pages/rows.ts";
import { ROLES, type Scene, setScene } from "./pages/scene.ts";
import { Visitor } from "./pages/visitor.ts";
import { World } from "./pages/world.ts";
import { CHECKOUT, startRegistry } from "./registry-process.ts";

/** Looks at every page in a real browser, as everybody, and does the whole job by them, with and without scripts. */

const USAGE = `Usage: npm run pages -- [--pictures]

  --pictures   writes the pictures of docs/pages
`;
const PICTURES = join(CHECKOUT, "docs", "pages");

interface Trial {
  readonly world: World;
  readonly scene: Scene;
  readonly browser: Browser;
  readonly findings: Findings;
  readonly pictures: boolean;
}

async function visitorOf({ world, browser, findings }: Trial, name: string, scripts = true): Promise<Visitor> {
  return Visitor.open({ browser, registry: world.registry, findings }, name, { scripts });
}

/** Each row by who looks, who signs in once. */
async function lookAtRows(trial: Trial): Promise<void> {
  for (const name of new Set(ROWS.map(({ as }) => as))) {
    const visitor = await visitorOf(trial, name);
    if (name !== "nobody") await visitor.signIn(await trial.world.key(name));
    for (const row of ROWS.filter(({ as }) => as === name)) {
      await lookAt(trial, visitor, row).catch((error: unknown) => trial.findings.add(row.name, String(error)));
    }
    await visitor.close();
  }
}

async function lookAt(
  { scene, findings, pictures }: Trial,
  visitor: Visitor,
  { name, path, says, status = 200, picture }: Row,
): Promise<void> {
  const answer = await visitor.visit(path(scene));
  if (answer.status() !== status) findings.add(name, `status ${answer.status()} instead of ${status}`);
  const text = await visitor.text();
  if (typeof says === "string" ? !text.includes(says) : !says.test(text)) findings.add(name, `it does not say ${String(says)}`);
  await examineLoad(visitor, name, (await answer.body()).length, findings);
  await examine(visitor, name, findings);
  // Last, since the browser marks what it holds still for a picture.
  if (pictures && picture !== undefined) await visitor.page.screenshot({ path: join(PICTURES, `${picture}.png`) });
}

/** What every role sees of the main pages, in one way. */
async function lookAsEverybody(trial: Trial): Promise<void> {
  for (const name of ["publisher", "runtime", "operator", ...Object.keys(ROLES)]) {
    const visitor = await visitorOf(trial, name);
    await visitor.signIn(await trial.world.key(name));
    for (const path of EVERYBODYS) {
      const where = `${path(trial.scene)} as ${name}`;
      const answer = await visitor.visit(path(trial.scene));
      if (answer.status() >= 500) trial.findings.add(where, `status ${answer.status()}`);
      await examineLoad(visitor, where, (await answer.body()).length, trial.findings);
      await examine(visitor, where, trial.findings, false);
    }
    await visitor.close();
  }
}

async function doTheJob(trial: Trial, scripts: boolean): Promise<void> {
  const people = { reviewer: await visitorOf(trial, "ann", scripts), operator: await visitorOf(trial, "operator", scripts) };
  await doJob(trial.world, people, trial.findings);
  for (const visitor of Object.values(people)) await visitor.close();
}

async function watch(trial: Trial): Promise<void> {
  const people = { reviewer: await visitorOf(trial, "ann"), operator: await visitorOf(trial, "operator") };
  await watchLive(trial.world, people, trial.findings);
  for (const visitor of Object.values(people)) await visitor.close();
}

async function goByKeys(trial: Trial): Promise<void> {
  const visitor = await visitorOf(trial, "ann");
  await useKeys(trial.world, visitor, trial.findings);
  await visitor.close();
}

async function copy(trial: Trial): Promise<void> {
  const visitors = { with: await visitorOf(trial, "operator"), without: await visitorOf(trial, "operator", false) };
  await copyByButtons(trial.world, trial.scene, visitors.with, trial.findings);
  await selectWithoutScripts(trial.scene, visitors.without, trial.findings);
  for (const visitor of Object.values(visitors)) await visitor.close();
}

async function watchOperations(trial: Trial): Promise<void> {
  const visitor = await visitorOf(trial, "aud");
  await watchCheck(trial.world, visitor, trial.findings);
  await visitor.close();
}

const PARTS: readonly (readonly [string, (trial: Trial) => Promise<void>])[] = [
  ["the whole job with scripts", (trial) => doTheJob(trial, true)],
  ["the whole job without scripts", (trial) => doTheJob(trial, false)],
  ["open pages follow what others do", watch],
  ["signing in, the queue and an artifact by keys alone", goByKeys],
  ["digests and commands are copied, and selected without scripts", copy],
  ["pages of others change, frame and read nothing", attack],
  [`${ROWS.length} pages in light and dark, wide and narrow`, lookAtRows],
  ["the main pages as every role", lookAsEverybody],
  ["a check of all bytes is followed to its end", watchOperations],
];

async function tryAll(trial: Trial): Promise<void> {
  for (const [title, part] of PARTS) {
    const [began, before] = [performance.now(), trial.findings.count];
    await part(trial).catch((error: unknown) => trial.findings.add(title, String(error)));
    const seconds = Math.round((performance.now() - began) / 1000);
    if (trial.findings.count === before) process.stdout.write(`ok     ${title} (${seconds} s)\n`);
  }
}

const { values } = parseArgs({ options: { pictures: { type: "boolean", default: false }, help: { type: "boolean", default: false } } });
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (values.pictures) await mkdir(PICTURES, { recursive: true });
const findings = new Findings();
const registry = await startRegistry(SLOW_CHECKS);
try {
  const browser = await launchChromium();
  try {
    const world = new World(registry);
    await tryAll({ world, scene: await setScene(world), browser, findings, pictures: values.pictures });
  } finally {
    await browser.close();
  }
} finally {
  await registry.dispose();
}
process.stdout.write(`${findings.count} findings\n`);
if (findings.count > 0) process.exitCode = 1;
