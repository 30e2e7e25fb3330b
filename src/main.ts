#!/usr/bin/env node
import cluster from "node:cluster";
import { parseArgs } from "node:util";
import { isBackupCommand, runBackupCommand } from "./backup-command.ts";
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

const HELP = `Usage: ai-model-registry [recover | backup FOLDER | check-backup FOLDER | restore FOLDER]

Serves the registry in the foreground until SIGTERM, SIGINT or the end of its terminal. It is configured by the environment and by
the YAML file that REGISTRY_CONFIG names; docs/settings.md lists every setting.

Commands:
  recover              make a new key for the operator, for who is on this machine and has lost the old one; the server may be running
  backup FOLDER        copy the registry to a folder, or what is new to one with an earlier backup; the server may be running
  check-backup FOLDER  hold every byte of a backup to its digest, and prove its audit log
  restore FOLDER       make REGISTRY_DIR, which must be empty, of a backup; no server may run over either

Options:
  --passphrase-file FILE  for backups: whoever knows it can read the secrets in them, and nobody else can make one
  --at-least SEQUENCE     for restore: refuse a backup that ends before this audit event
  --help                  show this
  --version               show the version
`;

const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      help: { type: "boolean" },
      version: { type: "boolean" },
      "passphrase-file": { type: "string" },
      "at-least": { type: "string" },
    },
    allowPositionals: true,
  });
  if (values.help === true) return say(HELP);
  if (values.version === true) return say(`${packageVersion()}\n`);
  const [command, folder, ...more] = positionals;
  if (more.length > 0) return complain(HELP, EXIT_USAGE);
  if (command !== undefined && isBackupCommand(command)) {
    if (folder === undefined) return complain(HELP, EXIT_USAGE);
    return say(await runBackupCommand(command, folder, { passphraseFile: values["passphrase-file"], atLeast: values["at-least"] }));
  }
  if (folder !== undefined || ![undefined, "recover"].includes(command)) return complain(HELP, EXIT_USAGE);
  const config = loadConfig();
  if (command === "recover") return recover(config);
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
    process.exitCode = complain(`ai-model-registry: ${words}\n`, EXIT_REFUSED);
  }
}
