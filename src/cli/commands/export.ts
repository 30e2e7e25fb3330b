import type { Command } from "commander";
import { z } from "zod";
import { type Digest, digestSchema } from "../../oci/digest.ts";
import type { RepositoryName } from "../../oci/reference.ts";
import { type ArtifactRef, parseRepository, refText } from "../artifact-ref.ts";
import { artifactPath } from "../client.ts";
import { contentOf, gatherAll } from "../export-all.ts";
import { ExportContent } from "../export-content.ts";
import { ExportGathering } from "../export-gathering.ts";
import { CliError, EXIT } from "../failure.ts";
import type { ExportReport, RepositoryExportReport } from "../json-outputs.ts";
import { MAX_ENTRIES } from "../layout.ts";
import { checkFree, writeLayout } from "../layout-writer.ts";
import { MovedOn } from "../moved-on.ts";
import { parseDuration, refArgument } from "../options.ts";
import { sizeText, timeText } from "../output.ts";
import { startProgress } from "../progress.ts";
import type { Repository } from "../registry-client.ts";
import type { OpenSession, Session } from "../session.ts";
import { Spool } from "../spool.ts";
import { findRef } from "../target.ts";

const MAX_TRIES = 5;

const HELP = `
The place becomes a folder, or an archive where its name ends in .tar: an OCI image layout, which oras, skopeo and others read. It holds the
artifact with all that it contains and what is attached to it, as far as you may see that and it is there; every statement of the registry about
it, the keys that signed them and the policies that decided; and a snapshot that says where the histories end. Whoever has one of the registry's public
keys checks it without the registry, by securectl verify-layout. What is revoked after the snapshot was taken, no export can know: it says
until when it may be relied on.

Examples:
  securectl export models/phi-3:v1 ./phi-3
  securectl export models/phi-3@sha256:0123... phi-3.tar --max-age 1h
  securectl export --all models/phi-3 all.tar`;

interface Options {
  readonly all?: true;
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
    .option("--all", "every artifact of a repository, whose name stands for <ref>, in one layout")
    .option("--max-age <time>", "how old the snapshot may be, such as 1h; the registry signs a new one otherwise", parseDuration)
    .addHelpText("after", HELP)
    .action(async (text: string, place: string, options: Options, command: Command) => {
      const session = open(command);
      await checkFree(place);
      const { all, maxAge } = options;
      if (all === true) {
        const repository = parseRepository(text, session.server);
        await untilStill(() => exportAll(session, repository, place, maxAge));
        return;
      }
      const { ref } = await findRef(session, "operator", text);
      await untilStill(() => exportOne(session, ref, place, maxAge));
    });
}

/** Begins again when something changed while it was gathered; nothing is written before. */
async function untilStill(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (!(error instanceof MovedOn)) throw error;
      if (tries === MAX_TRIES) throw new CliError(EXIT.conflict, `${error.message}, again and again: try later`, { cause: error });
    }
  }
}

async function exportOne(session: Session, ref: ArtifactRef, place: string, maxAge: number | undefined): Promise<void> {
  const native = await session.native("operator");
  const { digest } = await native.request({ method: "GET", path: artifactPath(ref) }, z.looseObject({ digest: digestSchema }));
  await using gathered = await begin(session, ref.repository, maxAge);
  const record = await gathered.gathering.add(digest);
  const name = ref.tag ?? record.promoted_tags?.[0] ?? record.tags[0];
  const names = name === undefined ? [] : [[digest, [name]] as const];
  const written = await write(session, place, { gathered, roots: [digest], names: new Map(names), title: refText(ref) });
  const told: ExportReport = { repository: ref.repository, digest, state: record.state, place, ...written };
  session.show(told, () =>
    [`Exported ${ref.repository}@${told.digest} (${told.state}) to ${place}: ${sizeOf(told)}`, untilText(told)].join("\n"),
  );
}

async function exportAll(session: Session, repository: RepositoryName, place: string, maxAge: number | undefined): Promise<void> {
  const native = await session.native("operator");
  await using gathered = await begin(session, repository, maxAge);
  const content = await contentOf(native, gathered.repository, repository);
  const artifacts = await gatherAll(content, gathered.gathering);
  const roots = artifacts.map(({ digest }) => digest);
  const written = await write(session, place, { gathered, roots, names: content.names, title: repository });
  const told: RepositoryExportReport = {
    repository,
    artifacts: artifacts.map(({ digest, state }) => ({ digest, state, tags: [...(content.names.get(digest) ?? [])] })),
    place,
    ...written,
  };
  session.show(told, () =>
    [`Exported ${artifacts.length} artifacts of ${repository} to ${place}: ${sizeOf(told)}`, untilText(told)].join("\n"),
  );
}

/** What is gathered for one layout, until it is written. */
interface Gathered extends AsyncDisposable {
  readonly repository: Repository;
  readonly content: ExportContent;
  readonly gathering: ExportGathering;
}

async function begin(session: Session, name: RepositoryName, maxAge: number | undefined): Promise<Gathered> {
  const native = await session.native("operator");
  const repository = (await session.registry("operator")).repository(name);
  const spool = await Spool.open();
  const content = new ExportContent(repository, spool);
  const gathering = new ExportGathering({ native, repository, name, content, maxAge });
  return { repository, content, gathering, [Symbol.asyncDispose]: () => spool[Symbol.asyncDispose]() };
}

interface Writing {
  readonly gathered: Gathered;
  readonly roots: readonly Digest[];
  readonly names: ReadonlyMap<Digest, readonly string[]>;
  readonly title: string;
}

type Written = Pick<ExportReport, "entries" | "blobs" | "size" | "taken_at" | "expires_at" | "left_out">;

async function write(session: Session, place: string, { gathered, roots, names, title }: Writing): Promise<Written> {
  const { content, gathering } = gathered;
  const progress = startProgress(session.terminal, title, content.bytes);
  const layout = content.content(roots, names, progress.update);
  if (layout.entries.length > MAX_ENTRIES)
    throw new CliError(EXIT.failure, `a layout names at most ${MAX_ENTRIES} manifests: export the artifacts one by one`);
  try {
    await writeLayout(place, layout);
  } finally {
    progress.done();
  }
  for (const { digest, because } of gathering.leftOut) session.terminal.say(`Left out: ${digest}: ${because}`);
  return {
    entries: layout.entries.length,
    blobs: layout.blobs.length,
    size: content.bytes,
    taken_at: gathering.takenAt,
    expires_at: gathering.expiresAt,
    left_out: gathering.leftOut,
  };
}

function sizeOf({ blobs, size }: Written): string {
  return `${blobs} blobs, ${sizeText(size)}`;
}

function untilText({ taken_at: at, expires_at: until }: Written): string {
  return `State as of ${timeText(at)}; to be relied on until ${timeText(until)}`;
}
