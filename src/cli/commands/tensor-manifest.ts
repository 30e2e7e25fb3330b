import { realpath, stat, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { checkText } from "../../formats/tensor-manifest-check.ts";
import { diffText } from "../../formats/tensor-manifest-diff.ts";
import { type ReadingOptions, createInspector } from "../../scan/inspector.ts";
import { CliError, EXIT } from "../failure.ts";
import type { WrittenTensorManifest } from "../json-outputs.ts";
import { startProgress } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";

const HELP = `
A tensor manifest names each tensor of a GGUF or safetensors file with its hash, so that a later check tells which ones differ. It is
gguf-guard's format 1.0: either program checks what the other made. A manifest proves something only if it came by a trusted way.

Examples:
  securectl tensor-manifest generate phi-3.gguf --output phi-3.manifest.json
  securectl tensor-manifest verify phi-3.gguf phi-3.manifest.json
  securectl tensor-manifest diff phi-3.manifest.json phi-3-tuned.manifest.json

No registry is asked. A mismatch, and a difference, exits with 6; what could not be checked, with 1.`;

/** `tensor-manifest`: what a model file holds, tensor by tensor. */
export function addTensorManifest(program: Command, open: OpenSession): void {
  const group = program
    .command("tensor-manifest")
    .summary("make, check and compare manifests of a model's tensors")
    .description("Make, check and compare manifests of the tensors of a model file on this machine.")
    .addHelpText("after", HELP);
  addGenerate(group, open);
  addVerify(group, open);
  addDiff(group, open);
}

function addGenerate(group: Command, open: OpenSession): void {
  group
    .command("generate")
    .summary("write the manifest of a model file")
    .description("Write the manifest of a GGUF or safetensors file.")
    .argument("<file>", "the model file")
    .option("-o, --output <file>", "where to; else it is printed")
    .action(async (file: string, { output }: { readonly output?: string }, command: Command) => {
      const session = open(command);
      const path = await existing(file);
      if (output !== undefined) await refuseSameFile(path, output);
      const generated = await withProgress(session, path, (options) => createInspector().generate(path, file, options));
      if ("unreadable" in generated) throw new CliError(EXIT.failure, `${file}: ${generated.unreadable}`);
      if (output === undefined) return print(session, generated.manifest);
      await writeFile(output, generated.manifest);
      const written: WrittenTensorManifest = { file, manifest: output, size_bytes: generated.manifest.length };
      session.show(written, () => `Wrote ${output}`);
    });
}

/** The very bytes where a program reads them; what a person sees on a terminal is made visible. */
function print({ terminal }: Session, manifest: Uint8Array): void {
  if (terminal.streams.stdout.isTTY === true) terminal.printJson(JSON.parse(Buffer.from(manifest).toString("utf8")));
  else terminal.streams.stdout.write(manifest);
}

function addVerify(group: Command, open: OpenSession): void {
  group
    .command("verify")
    .summary("check a model file against its manifest")
    .description("Check a model file, tensor by tensor, against a manifest.")
    .argument("<file>", "the model file")
    .argument("<manifest>", "its manifest")
    .action(async (file: string, manifest: string, _options: object, command: Command) => {
      const session = open(command);
      const [path, manifestPath] = [await existing(file), await existing(manifest)];
      const check = await withProgress(session, path, (options) => createInspector().verify(path, file, manifestPath, options));
      if (session.json) session.terminal.printJson(check);
      if (check.outcome === "cannot-check") throw new CliError(EXIT.failure, `cannot check ${file}: ${check.lines.join("; ")}`);
      if (!session.json) session.terminal.print(checkText(check));
      if (check.outcome === "mismatch") throw new CliError(EXIT.integrity, `${file} is not what ${manifest} describes`);
    });
}

function addDiff(group: Command, open: OpenSession): void {
  group
    .command("diff")
    .summary("compare two manifests")
    .description("Compare two manifests: which tensors differ, and in what.")
    .argument("<first>", "a manifest")
    .argument("<second>", "another one")
    .action(async (first: string, second: string, _options: object, command: Command) => {
      const session = open(command);
      const diff = await createInspector().diff(await existing(first), await existing(second));
      if ("unreadable" in diff) throw new CliError(EXIT.failure, `cannot compare: ${diff.unreadable}`);
      session.show(diff, () => diffText(diff));
      if (!diff.same) throw new CliError(EXIT.integrity, `${first} and ${second} differ`);
    });
}

/** The file that a path leads to; caches of models are full of symbolic links. */
async function existing(path: string): Promise<string> {
  return realpath(path).catch((error: unknown) => {
    throw new CliError(EXIT.usage, `there is no file ${path}`, { cause: error });
  });
}

/** Writing there would destroy the model. */
async function refuseSameFile(path: string, output: string): Promise<void> {
  const [from, to] = [await stat(path), await stat(output).catch(() => undefined)];
  if (to !== undefined && to.dev === from.dev && to.ino === from.ino)
    throw new CliError(EXIT.usage, "--output names the model file itself");
}

async function withProgress<T>({ terminal }: Session, path: string, work: (options: ReadingOptions) => Promise<T>): Promise<T> {
  const progress = startProgress(terminal, "hashing", (await stat(path)).size);
  try {
    return await work({ progress: progress.update });
  } finally {
    progress.done();
  }
}
