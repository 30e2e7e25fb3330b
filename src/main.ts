#!/usr/bin/env node
import cluster from "node:cluster";
import { runBackupCommand } from "./backup-command.ts";
import { HELP, UsageError, parseCommandLine } from "./command-line.ts";
import { type Config, loadConfig } from "./config.ts";
import { LineOutput } from "./line-output.ts";
import { createLogger, logOn } from "./log.ts";
import { takePassedSockets } from "./passed-sockets.ts";
import { runPrimary } from "./primary.ts";
import { recoverOperator } from "./registry/recover.ts";
import { openServiceManager, takeNotification } from "./service-manager.ts";
import { refusal } from "./refusal.ts";
import { openRegistry } from "./services.ts";
import { StartError } from "./start-error.ts";
import { holdsRegistry } from "./storage/data-directory.ts";
import { packageVersion } from "./version.ts";

const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;

async function main(): Promise<number> {
  const asked = parseCommandLine(process.argv.slice(2));
  if (asked.command === "help") return say(HELP);
  if (asked.command === "version") return say(`${packageVersion()}\n`);
  if ("folder" in asked) return say(await runBackupCommand(asked));
  const config = loadConfig();
  if (asked.command === "recover") return recover(config);
  const output = new LineOutput(1);
  const log = createLogger(config.logLevel, logOn(output));
  const sockets = takePassedSockets(process.env, process.pid);
  await runPrimary(config, {
    log,
    lostLines: () => output.lost,
    sockets,
    manager: openServiceManager(takeNotification(process.env, process.pid), log),
  });
  return 0;
}

/** Needs no lock: the store is for many processes, and whoever has lost the key need not stop what runs. */
async function recover(config: Config): Promise<number> {
  if (!(await holdsRegistry(config.dataDirectory))) throw new StartError(`${config.dataDirectory} holds no registry; set REGISTRY_DIR`);
  const registry = await openRegistry(config, config.bind.port, createLogger("fatal"));
  try {
    const path = await recoverOperator(registry, registry.paths.credentials);
    return say(`A new operator key is in ${path}\n`);
  } finally {
    await registry.close();
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(text: string, code: number): number {
  process.stderr.write(text);
  return code;
}

// Where nobody listens for that signal Node opens its debugger, by which any user of the machine could run code as the registry.
process.on("SIGUSR1", () => undefined);

if (cluster.isWorker) {
  // Loaded there alone: the primary needs no doors.
  const { runWorker } = await import("./worker.ts");
  runWorker();
} else {
  try {
    process.exitCode = await main();
  } catch (error) {
    const words = refusal(error);
    if (words === undefined) throw error;
    const isUsage = error instanceof UsageError;
    process.exitCode = complain(`ai-model-registry: ${words}\n${isUsage ? `\n${HELP}` : ""}`, isUsage ? EXIT_USAGE : EXIT_REFUSED);
  }
}
