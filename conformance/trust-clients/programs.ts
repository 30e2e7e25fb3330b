import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { needPrograms } from "../debian-tools.ts";
import { installDebianProgram } from "../debian-unstable.ts";
import { COSIGN, COSIGN_2, type GoTool, ORAS, installGoTool } from "../go-tool.ts";
import { pythonEnvironment } from "../python-environment.ts";
import type { Client } from "../client-report.ts";

const REQUIREMENTS = "trust-clients/signers.txt";

/** A client with the path of its program. */
export interface Program extends Client {
  readonly file: string;
}

/** Everything that signs and verifies. */
export type Programs = Readonly<Record<"cosign" | "cosign2" | "oras" | "notation" | "modelSigning" | "sigstore" | "openssl", Program>>;

const NAMES = {
  cosign: "cosign",
  cosign2: "cosign 2",
  oras: "oras",
  notation: "notation",
  modelSigning: "model_signing",
  sigstore: "sigstore-python",
  openssl: "openssl",
} as const satisfies Record<keyof Programs, string>;

/** What is had from a system is whatever version that has; the run tells which. */
const OF_THE_SYSTEM = "the system's";

type Found = Omit<Program, "name">;

const INSTALL: Readonly<Record<keyof Programs, () => Promise<Found>>> = {
  cosign: () => goProgram(COSIGN),
  cosign2: () => goProgram(COSIGN_2),
  oras: () => goProgram(ORAS),
  notation: async () => ({ file: onPath("notation") ?? (await installDebianProgram("notation")), version: OF_THE_SYSTEM }),
  modelSigning: () => pythonProgram("model_signing", "1.1.1"),
  sigstore: () => pythonProgram("sigstore", "4.5.1"),
  openssl: async () => {
    await needPrograms({ openssl: "openssl" });
    return { file: onPath("openssl") ?? "openssl", version: OF_THE_SYSTEM };
  },
};

/** Installs what is not there yet. Throws with every program that cannot be had, and why. */
export async function installPrograms(): Promise<Programs> {
  const programs: Partial<Record<keyof Programs, Program>> = {};
  const missing: string[] = [];
  for (const key of Object.keys(NAMES) as (keyof Programs)[]) {
    try {
      programs[key] = { name: NAMES[key], ...(await INSTALL[key]()) };
    } catch (error) {
      missing.push(`${NAMES[key]} cannot be had: ${String(error)}`);
    }
  }
  if (missing.length > 0) throw new Error(missing.join("\n"));
  return programs as Programs;
}

/** What the programs say of their own versions, a line each. */
export async function versionsOf({ notation, openssl, sigstore, modelSigning }: Programs): Promise<string> {
  const said = await Promise.all(
    [
      [notation.file, "version"],
      [openssl.file, "version"],
      [sigstore.file, "--version"],
      [modelSigning.file, "--version"],
    ].map(async ([file = "", argument = ""]) => (await promisify(execFile)(file, [argument])).stdout),
  );
  return said
    .map(
      (text) =>
        text
          .split("\n")
          .find((line) => /\d\.\d/.test(line))
          ?.trim() ?? "",
    )
    .join("\n");
}

async function goProgram(tool: GoTool): Promise<Found> {
  return { file: await installGoTool(tool), version: tool.version.replace(/^v/, "") };
}

async function pythonProgram(name: string, version: string): Promise<Found> {
  return { file: join(await pythonEnvironment(REQUIREMENTS), name), version };
}

function onPath(name: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}
