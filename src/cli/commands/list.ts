import { type Command, Option } from "commander";
import { z } from "zod";
import { parseRepository } from "../artifact-ref.ts";
import { type ArtifactRecord, type NativeClient, recordSchema } from "../client.ts";
import { type Model, modelSchema } from "../models.ts";
import { parseCount } from "../options.ts";
import { shortDigest, sizeText, table, timeText } from "../output.ts";
import type { OpenSession, Session } from "../session.ts";

interface ListOptions {
  readonly state?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

interface Listed {
  readonly artifacts: readonly ArtifactRecord[];
  readonly next: string | null;
}

const PAGE = 1000;
const DEFAULT_LIMIT = 100;
const SHORT_SHA256 = 12;
const pageSchema = z.object({ artifacts: z.array(recordSchema), next: z.string().nullable() });
/** The predecessor answered null where there was nothing. */
const modelsSchema = z.array(modelSchema).nullable();

const HELP = `
All models are listed by name: that of the predecessor's API, or <repository>:<tag> of what was pushed. With a repository or one of the
options, artifacts are listed page by page with their manifests' digests.

Examples:
  securectl list
  securectl list models/phi-3 --state trusted
  securectl list --json | jq -r '.[] | select(.state == "trusted") | .name'`;

/** `list`: the artifacts that the caller may see. */
export function addList(program: Command, open: OpenSession): void {
  program
    .command("list")
    .alias("ls")
    .summary("list artifacts and their states")
    .description("List the artifacts that you may see.")
    .argument("[repository]", "only those of this repository")
    .addOption(
      new Option("--state <state>", "only those in this state").choices(["acquired", "quarantined", "trusted", "revoked", "deleted"]),
    )
    .option("--limit <count>", `how many at most, by pages (default: ${DEFAULT_LIMIT})`, parseCount)
    .option("--cursor <cursor>", "go on where an earlier page ended")
    .addHelpText("after", HELP)
    .action(async (repository: string | undefined, options: ListOptions, command: Command) => {
      const session = open(command);
      if (repository === undefined && Object.values(options).every((value) => value === undefined)) return listModels(session);
      return listPage(session, repository, options);
    });
}

async function listModels(session: Session): Promise<void> {
  const client = await session.native("service-token");
  const models = (await client.request({ method: "GET", path: "/v1/models" }, modelsSchema)) ?? [];
  session.show(models, () => modelsText(models));
}

function modelsText(models: readonly Model[]): string {
  if (models.length === 0) return "No models in registry.";
  const rows = models.map(({ name, format, state, size_bytes: size, sha256, promoted_at: at }) => [
    name,
    format,
    state,
    sizeText(size),
    sha256.slice(0, SHORT_SHA256),
    at,
  ]);
  return table(["NAME", "FORMAT", "STATE", "SIZE", "SHA256", "PROMOTED"], rows);
}

async function listPage(session: Session, repositoryArgument: string | undefined, options: ListOptions): Promise<void> {
  const repository = repositoryArgument === undefined ? undefined : parseRepository(repositoryArgument, session.server);
  const listed = await page(await session.native("operator"), repository, options);
  session.show(listed, () => pageText(listed));
  if (listed.next !== null) session.terminal.say(`There are more: --cursor ${listed.next}`);
}

async function page(
  client: NativeClient,
  repository: string | undefined,
  { state, limit = DEFAULT_LIMIT, cursor }: ListOptions,
): Promise<Listed> {
  const artifacts: ArtifactRecord[] = [];
  let next: string | null = cursor ?? null;
  do {
    const query = { repository, state, cursor: next ?? undefined, limit: Math.min(PAGE, limit - artifacts.length) };
    const answer: Listed = await client.request({ method: "GET", path: "/v1/artifacts", query }, pageSchema);
    artifacts.push(...answer.artifacts);
    next = answer.next;
  } while (next !== null && artifacts.length < limit);
  return { artifacts, next };
}

function pageText({ artifacts }: Listed): string {
  if (artifacts.length === 0) return "No artifacts in registry.";
  const rows = artifacts.map((each) => [
    each.repository,
    each.tags.join(",") || "-",
    each.state,
    sizeText(each.size_bytes),
    shortDigest(each.digest),
    timeText(each.changed_at),
  ]);
  return table(["REPOSITORY", "TAGS", "STATE", "SIZE", "DIGEST", "CHANGED"], rows);
}
