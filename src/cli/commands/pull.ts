import type { Command } from "commander";
import type { Descriptor } from "../../oci/descriptor.ts";
import { parseManifest } from "../../oci/manifest.ts";
import { refText } from "../artifact-ref.ts";
import { pullBlob } from "../download.ts";
import { CliError, EXIT } from "../failure.ts";
import type { PullReport } from "../json-outputs.ts";
import { refArgument } from "../options.ts";
import { sizeText } from "../output.ts";
import { startProgress } from "../progress.ts";
import type { PulledManifest, Repository } from "../registry-client.ts";
import { fileNameOf, placeIn } from "../relative-path.ts";
import type { OpenSession, Session } from "../session.ts";
import { findRef } from "../target.ts";

const HELP = `
Every file is checked against size and digest before it takes its name; wrong bytes are never kept. Pull by digest
(<repository>@sha256:...) to get exactly what was meant; a tag moves when somebody promotes something else.

Examples:
  securectl pull models/phi-3:v1 -o ./phi-3
  securectl pull models/phi-3@sha256:0123... -o ./phi-3`;

interface File {
  readonly name: string;
  readonly layer: Descriptor;
}

/** `pull`: the files of an artifact, verified. */
export function addPull(program: Command, open: OpenSession): void {
  program
    .command("pull")
    .summary("pull the files of an artifact")
    .description("Pull the files of an artifact into a folder.")
    .addArgument(refArgument())
    .option("-o, --output <folder>", "where to", ".")
    .addHelpText("after", HELP)
    .action(async (text: string, options: { readonly output: string }, command: Command) => {
      const session = open(command);
      const { ref } = await findRef(session, "runtime", text);
      const repository = (await session.registry("runtime")).repository(ref.repository);
      const manifest = await repository.fetchManifest(ref.digest ?? ref.tag ?? "");
      const files = filesOf(manifest);
      for (const file of files) await pullFile(session, repository, options.output, file);
      const { digest } = manifest.descriptor;
      const pulled: PullReport = {
        repository: ref.repository,
        tag: ref.tag ?? null,
        digest,
        files: files.map(({ name, layer }) => ({ path: name, digest: layer.digest, size: layer.size, media_type: layer.mediaType })),
      };
      session.show(pulled, () => `Pulled ${refText(ref)} (${files.length} files) to ${options.output}\nDigest: ${digest}`);
    });
}

/** The files of a manifest, each name once. */
function filesOf({ bytes, descriptor }: PulledManifest): readonly File[] {
  const { kind, layers, blobs, manifests } = parseManifest(bytes, descriptor.mediaType);
  if (kind === "index") {
    const members = manifests.map(({ digest }) => `  ${digest}`).join("\n");
    throw new CliError(EXIT.failure, `${descriptor.digest} is an index of several artifacts; pull one of them by digest:\n${members}`);
  }
  const files = new Map<string, File>();
  for (const layer of [...layers, ...blobs]) {
    const name = fileNameOf(layer);
    const other = files.get(name);
    if (other !== undefined && other.layer.digest !== layer.digest)
      throw new CliError(EXIT.integrity, `two layers have the name ${JSON.stringify(name)}: refused`);
    files.set(name, { name, layer });
  }
  return [...files.values()];
}

async function pullFile(session: Session, repository: Repository, folder: string, { name, layer }: File): Promise<void> {
  const progress = startProgress(session.terminal, name, layer.size);
  const interrupted = (why: string): void => session.terminal.say(`${name}: ${why}; going on`);
  try {
    await pullBlob(repository, layer, await placeIn(folder, name), { progress: progress.update, interrupted });
  } finally {
    progress.done();
  }
  session.terminal.say(`Verified: ${name} (${sizeText(layer.size)})`);
}
