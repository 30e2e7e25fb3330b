import type { Command } from "commander";
import { MODEL_ARTIFACT } from "../../formats/model-pack.ts";
import { parseArtifactRef, refText } from "../artifact-ref.ts";
import type { PushReport } from "../json-outputs.ts";
import { collect, parseAnnotation } from "../options.ts";
import { sizeText } from "../output.ts";
import { type Packed, fileArguments, pack } from "../pack.ts";
import { startProgress } from "../progress.ts";
import type { Repository } from "../registry-client.ts";
import { TITLE } from "../relative-path.ts";
import type { OpenSession, Session } from "../session.ts";
import { pushBlob } from "../upload.ts";

interface PushOptions {
  readonly artifactType: string;
  readonly annotation: readonly (readonly [string, string])[];
}

const HELP = `
A folder stands for all files in it. Media types follow the file's name as ModelPack has them (weights, configuration, docs, code,
data sets), unless FILE:TYPE names one. With another --artifact-type every file is application/octet-stream.

Examples:
  securectl push models/phi-3:v1 phi-3.gguf README.md
  securectl push models/bert:v2 ./bert-base/
  securectl push models/rules:v1 rules.yaml:application/yaml --artifact-type application/vnd.example.rules.v1`;

/** `push`: files as one artifact, held until it is promoted. */
export function addPush(program: Command, open: OpenSession): void {
  program
    .command("push")
    .summary("push files as an artifact")
    .description("Push files as one artifact. It is held as acquired: nobody else gets it until it is promoted.")
    .argument("<ref>", "where to: <repository>:<tag>, or <repository>@<digest> of what is pushed")
    .argument("<file...>", "files or folders, each with an optional :<media type>")
    .option("--artifact-type <type>", "what the artifact is", MODEL_ARTIFACT)
    .option("--annotation <key=value>", "annotation of the manifest; may be given often", collect(parseAnnotation), [])
    .addHelpText("after", HELP)
    .action(async (refArgument: string, files: string[], options: PushOptions, command: Command) => {
      const session = open(command);
      const ref = parseArtifactRef(refArgument, session.server);
      const packed = await packFiles(session, files, options);
      const repository = (await session.registry("publisher")).repository(ref.repository);
      await pushBlobs(session, repository, packed);
      const digest = await repository.pushManifest(ref.digest ?? ref.tag ?? "", packed.manifest, packed.mediaType);
      const layers = packed.layers.map((layer) => ({
        title: layer.annotations?.[TITLE],
        digest: layer.digest,
        size: layer.size,
        media_type: layer.mediaType,
      }));
      const size = layers.reduce((sum, layer) => sum + layer.size, 0);
      const { repository: name, tag = null } = ref;
      const pushed: PushReport = { repository: name, tag, digest, artifact_type: options.artifactType, size_bytes: size, layers };
      session.show(pushed, () => `Pushed ${refText(ref)} (${layers.length} files, ${sizeText(size)})\nDigest: ${digest}`);
    });
}

async function packFiles(session: Session, files: readonly string[], options: PushOptions): Promise<Packed> {
  const found = await fileArguments(files);
  const total = found.reduce((sum, { size }) => sum + size, 0);
  const progress = startProgress(session.terminal, "hashing", total);
  try {
    return await pack(found, { artifactType: options.artifactType, annotations: Object.fromEntries(options.annotation) }, progress.update);
  } finally {
    progress.done();
  }
}

async function pushBlobs(session: Session, repository: Repository, { blobs }: Packed): Promise<void> {
  for (const blob of blobs) {
    const progress = startProgress(session.terminal, blob.title, blob.size);
    try {
      const interrupted = (why: string): void => session.terminal.say(`${blob.title}: ${why}; going on`);
      const pushed = await pushBlob(repository, blob, { progress: progress.update, interrupted });
      progress.done();
      session.terminal.say(`${pushed ? "Uploaded" : "There already"}: ${blob.title} (${sizeText(blob.size)})`);
    } finally {
      progress.done();
    }
  }
}
