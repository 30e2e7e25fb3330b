import type { Command } from "commander";
import type { z } from "zod";
import { digestSchema } from "../../oci/digest.ts";
import { type ArtifactRef, refText } from "../artifact-ref.ts";
import { artifactPath, recordSchema } from "../client.ts";
import { ExportContent } from "../export-content.ts";
import { planExport } from "../export-plan.ts";
import { addGrounds, decisionSchema } from "../export-policies.ts";
import { addStatements } from "../export-statements.ts";
import { ExportWalk } from "../export-walk.ts";
import { CliError, EXIT } from "../failure.ts";
import type { ExportReport } from "../json-outputs.ts";
import { checkFree, writeLayout } from "../layout-writer.ts";
import { MovedOn } from "../moved-on.ts";
import { parseDuration, refArgument } from "../options.ts";
import { sizeText, timeText } from "../output.ts";
import { startProgress } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";
import { Spool } from "../spool.ts";
import { findRef } from "../target.ts";

const MAX_TRIES = 5;

const HELP = `
The place becomes a folder, or an archive where its name ends in .tar: an OCI image layout, which oras, skopeo and others read. It holds the
artifact with all that it contains and what is attached to it, as far as you may see that; every statement of the registry about it, the keys
that signed them and the policies that decided; and a snapshot that says where the histories end. Whoever has one of the registry's public
keys checks it without the registry, by securectl verify-layout. What is revoked after the snapshot was taken, no export can know: it says
until when it may be relied on.

Examples:
  securectl export models/phi-3:v1 ./phi-3
  securectl export models/phi-3@sha256:0123... phi-3.tar --max-age 1h`;

const exportedSchema = recordSchema.extend({ digest: digestSchema, decision: decisionSchema });

interface Options {
  readonly maxAge?: number;
}

/** `export`: an artifact with the proof of what it is. */
export function addExport(program: Command, open: OpenSession): void {
  program
    .command("export")
    .summary("write an artifact and the proof of its state to a folder or file")
    .description("Write an artifact, what is attached to it and the registry's signed statements about it to an OCI image layout.")
    .addArgument(refArgument())
    .argument("<place>", "a folder that is to be made, or a file that ends in .tar")
    .option("--max-age <time>", "how old the snapshot may be, such as 1h; the registry signs a new one otherwise", parseDuration)
    .addHelpText("after", HELP)
    .action(async (text: string, place: string, options: Options, command: Command) => {
      const session = open(command);
      await checkFree(place);
      const { ref } = await findRef(session, "operator", text);
      for (let tries = 1; ; tries += 1) {
        try {
          await exportTo(session, ref, place, options);
          return;
        } catch (error) {
          if (!(error instanceof MovedOn)) throw error;
          if (tries === MAX_TRIES) throw new CliError(EXIT.conflict, `${error.message}, again and again: try later`, { cause: error });
        }
      }
    });
}

async function exportTo(session: Session, ref: ArtifactRef, place: string, { maxAge }: Options): Promise<void> {
  const native = await session.native("operator");
  const record = await native.request({ method: "GET", path: artifactPath(ref) }, exportedSchema);
  const exact = { ...ref, digest: record.digest, tag: undefined };
  const plan = await planExport(native, exact, maxAge);
  const repository = (await session.registry("operator")).repository(ref.repository);
  await using spool = await Spool.open();
  const content = new ExportContent(repository, spool);
  const walk = new ExportWalk(repository, plan, content);
  await walk.run(record.digest);
  await addStatements(repository, plan, walk.gathered, content);
  await addGrounds(native, record.decision, content);
  const progress = startProgress(session.terminal, refText(ref), content.bytes);
  const layout = content.content(record.digest, nameOf(ref, record), progress.update);
  try {
    await writeLayout(place, layout);
  } finally {
    progress.done();
  }
  for (const { digest, because } of walk.leftOut) session.terminal.say(`Left out: ${digest}: ${because}`);
  const told: ExportReport = {
    repository: ref.repository,
    digest: record.digest,
    state: record.state,
    place,
    entries: layout.entries.length,
    blobs: layout.blobs.length,
    size: content.bytes,
    taken_at: plan.answer.taken_at,
    expires_at: plan.answer.expires_at,
    left_out: walk.leftOut,
  };
  session.show(told, () =>
    [
      `Exported ${ref.repository}@${told.digest} (${told.state}) to ${place}: ${told.blobs} blobs, ${sizeText(told.size)}`,
      `State as of ${timeText(told.taken_at)}; to be relied on until ${timeText(told.expires_at)}`,
    ].join("\n"),
  );
}

/** What clients of the layout find the artifact by. */
function nameOf({ tag }: ArtifactRef, { promoted_tags: promoted = [], tags }: z.infer<typeof exportedSchema>): string | undefined {
  return tag ?? promoted[0] ?? tags[0];
}
