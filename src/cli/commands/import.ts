import type { Command } from "commander";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { RepositoryName, Tag } from "../../oci/reference.ts";
import { parseRepository, parseTagRef } from "../artifact-ref.ts";
import { type ImportPlan, planImport } from "../import-plan.ts";
import { registryNames, withoutClaims } from "../import-claims.ts";
import { ImportRun, type ImportTarget } from "../import-run.ts";
import type { ImportReport } from "../json-outputs.ts";
import { type Layout, openLayout } from "../layout.ts";
import { shortDigest, sizeText, table } from "../output.ts";
import { startProgress } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";

const HELP = `
The layout is what securectl export, oras or skopeo wrote: a folder, or a tar archive that is not compressed. Everything in it is held to
its digest before anything is pushed. Its artifacts, those with a name there, are held in quarantine: nothing is trusted because another
registry trusted it. Signatures, SBOMs and attestations come with them, for the policy of this registry to judge. Statements of another
registry are kept like any other attachment and change no state here; its snapshots, and what claims to be of this registry, stay out.

With a :tag it is the artifact of that name, or else the only one. What is there already is not sent again: repeat it when it was cut off.

Examples:
  securectl verify-layout phi-3.tar --key registry.pem --require trusted
  securectl import phi-3.tar models/phi-3:v1
  securectl import ./layout models/phi-3 --json`;

/** `import`: takes a layout in, into quarantine. */
export function addImport(program: Command, open: OpenSession): void {
  program
    .command("import")
    .summary("take an OCI image layout in, into quarantine")
    .description("Push the artifacts of an OCI image layout with what is attached to them, and hold them in quarantine.")
    .argument("<place>", "an OCI image layout: a folder, or a tar archive")
    .argument("<repository>", "where to: <repository>, or <repository>:<tag>")
    .addHelpText("after", HELP)
    .action(async (place: string, where: string, _: unknown, command: Command) => {
      const session = open(command);
      const { repository, tag } = parseWhere(where, session.server);
      const layout = await openLayout(place);
      try {
        const planned = await planImport(layout, tag);
        await checkBlobs(session, layout, place, planned);
        const plan = await withoutClaims(layout, planned, await registryNames(await session.native("publisher")));
        await importInto(session, repository, { layout, place, plan });
      } finally {
        await layout.close();
      }
    });
}

/** The port of a registry in front stands before a slash, a tag behind the last one. */
function parseWhere(text: string, server: URL): { readonly repository: RepositoryName; readonly tag?: Tag } {
  if (text.lastIndexOf(":") > text.lastIndexOf("/")) return parseTagRef(text, server);
  return { repository: parseRepository(text, server) };
}

async function checkBlobs(session: Session, layout: Layout, place: string, { blobs }: ImportPlan): Promise<void> {
  const progress = startProgress(session.terminal, `checking ${place}`, sizeOf(blobs));
  try {
    let done = 0;
    for (const blob of blobs) {
      await layout.check(blob, (bytes) => progress.update(done + bytes));
      done += blob.size;
    }
  } finally {
    progress.done();
  }
}

interface Source {
  readonly layout: Layout;
  readonly place: string;
  readonly plan: ImportPlan;
}

async function importInto(session: Session, repository: RepositoryName, { layout, place, plan }: Source): Promise<void> {
  const run = new ImportRun(layout, await targetOf(session, repository));
  const states = await run.run(plan);
  const report: ImportReport = {
    repository,
    place,
    artifacts: plan.artifacts.map((artifact, at) => ({
      digest: artifact.descriptor.digest,
      artifact_type: artifact.artifactType ?? null,
      state: states[at] ?? "",
      tags: plan.tags.filter(({ manifest }) => manifest === artifact).map(({ tag }) => tag),
    })),
    attached: plan.attached.length - run.refused.length,
    blobs: plan.blobs.length,
    size: sizeOf(plan.blobs),
    sent: { ...run.sent },
    left_out: [...plan.leftOut, ...run.refused],
  };
  for (const line of notesOn(plan, report)) session.terminal.say(line);
  session.show(report, () => textOf(report));
}

async function targetOf(session: Session, name: RepositoryName): Promise<ImportTarget> {
  const { terminal } = session;
  return {
    repository: (await session.registry("publisher")).repository(name),
    native: await session.native("publisher"),
    say: (text) => terminal.say(text),
    telling: ({ digest, size }) => {
      const { update, done } = startProgress(terminal, shortDigest(digest), size);
      return { progress: update, done, interrupted: (why) => terminal.say(`${shortDigest(digest)}: ${why}; going on`) };
    },
  };
}

/** There may be thousands of one kind: people are told how many, programs which. */
function notesOn({ noTags }: ImportPlan, { left_out: leftOut }: ImportReport): readonly string[] {
  const counts = new Map<string, number>();
  for (const { because } of leftOut) counts.set(because, (counts.get(because) ?? 0) + 1);
  return [
    ...noTags.map((name) => `${JSON.stringify(name)} is no tag: imported without`),
    ...[...counts].map(([because, count]) => `Left out ${count}: ${because}`),
  ];
}

function textOf({ repository, artifacts, attached, blobs, size, sent }: ImportReport): string {
  const rows = artifacts.map(({ digest, state, tags }) => [digest, state, tags.join(", ")]);
  return [
    `Imported into ${repository}: ${blobs} blobs, ${sizeText(size)}, and ${attached} attached`,
    `Sent: ${sent.blobs} blobs, ${sizeText(sent.bytes)}, ${sent.manifests} manifests and ${sent.tags} tags; the rest was there`,
    "",
    table(["ARTIFACT", "STATE", "TAGS"], rows),
  ].join("\n");
}

function sizeOf(blobs: readonly Pick<Descriptor, "size">[]): number {
  return blobs.reduce((sum, { size }) => sum + size, 0);
}
