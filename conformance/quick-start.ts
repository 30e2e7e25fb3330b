import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { ORAS, installGoTool } from "./go-tool.ts";
import { asScript, shellBlocks } from "./readme.ts";
import { CHECKOUT, plainEnvironment, untilReady } from "./registry-process.ts";

const SECTION = "Quick start";
const URL_OF_DEFAULTS = "http://127.0.0.1:8470";

/** A shell in a process group of its own, so that what npm leaves running can be ended with it. */
function shell(script: string, cwd: string, env: NodeJS.ProcessEnv): ChildProcess {
  return spawn("bash", ["-c", script], { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
}

function collect(child: ChildProcess): () => string {
  const said: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => said.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => said.push(chunk));
  return () => Buffer.concat(said).toString("utf8");
}

/** Ends the whole group of a shell that this program started. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const closed = once(child, "close");
  process.kill(-child.pid, "SIGTERM");
  await closed;
}

async function runBlock(title: string, commands: string, cwd: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const child = shell(asScript(commands), cwd, env);
  const output = collect(child);
  await once(child, "close");
  const ended = child.exitCode === 0;
  process.stdout.write(ended ? `ok     ${title}\n` : `FAILED ${title}\n${output()}\n`);
  return ended;
}

/** The commands that the server prints when it starts for the first time: what is indented below the line that says so. */
function printedSteps(output: string): string {
  const [, told = ""] = output.split(/^This was its first start.*$/m);
  return told
    .split("\n")
    .filter((line) => line.startsWith("  "))
    .map((line) => line.trim())
    .join("\n");
}

/** Follows the page and then what the start printed, in a fresh clone; answers whether all of it worked. */
async function follow(clone: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const blocks = shellBlocks(await readFile(join(clone, "README.md"), "utf8")).filter(({ section }) => section === SECTION);
  const [start, ...rest] = blocks.map(({ commands }) => commands);
  if (start === undefined || rest.length === 0) throw new Error(`README.md has no commands in its section "${SECTION}"`);
  const server = shell(start, clone, env);
  const output = collect(server);
  try {
    await untilReady(`${URL_OF_DEFAULTS}/health`, server, output, 300_000);
    process.stdout.write(`ok     ${start}\n`);
    for (const [at, commands] of rest.entries()) {
      if (!(await runBlock(`block ${at + 2} of the section ${SECTION}`, commands, clone, env))) return false;
    }
    const printed = printedSteps(output());
    if (printed === "") throw new Error(`the start printed no next steps:\n${output()}`);
    return await runBlock("the commands that the start printed", printed, clone, env);
  } finally {
    await endGroup(server);
  }
}

const taken = await fetch(URL_OF_DEFAULTS).catch(() => undefined);
if (taken !== undefined) throw new Error(`something already answers at ${URL_OF_DEFAULTS}, which the quick start needs`);
const oras = await installGoTool(ORAS);
const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-quick-start-"));
try {
  const clone = join(folder, "checkout");
  const cloned = spawn("git", ["clone", "--quiet", CHECKOUT, clone], { stdio: "inherit" });
  await once(cloned, "close");
  if (cloned.exitCode !== 0) throw new Error("git clone failed");
  const path = [dirname(oras), ...(process.env["PATH"] ?? "").split(delimiter).filter((entry) => !entry.includes("node_modules"))];
  const env = plainEnvironment({ PATH: path.join(delimiter), DOCKER_CONFIG: join(folder, "docker") });
  if (!(await follow(clone, env))) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
