import { type Command, Option } from "commander";
import { z } from "zod";
import { parseRepository } from "../artifact-ref.ts";
import { type ArtifactRecord, type NativeClient, recordSchema } from "../client.ts";
import { parseCount } from "../options.ts";
import { shortDigest, sizeText, table, timeText } from "../output.ts";
import type { OpenSession } from "../session.ts";

interface ListOptions {
  readonly state?: string;
  readonly limit: number;
  readonly cursor?: string;
}

interface Listed {
  readonly artifacts: readonly ArtifactRecord[];
  readonly next: string | null;
}

const PAGE = 1000;
const pageSchema = z.object({ artifacts: z.array(recordSchema), next: z.string().nullable() });

const HELP = `
Examples:
  securectl list
  securectl list models/phi-3 --state trusted
  securectl list --json | jq -r '.artifacts[].digest'`;

/** `list`: the artifacts that the caller may see. */
export function addList(program: Command, open: OpenSession): void {
  program
    .command("list")
    .alias("ls")
    .summary("list artifacts and their states")
    .description("List the artifacts that you may see, by repository and digest.")
    .argument("[repository]", "only those of this repository")
    .addOption(
      new Option("--state <state>", "only those in this state").choices(["acquired", "quarantined", "trusted", "revoked", "deleted"]),
    )
    .option("--limit <count>", "how many at most", parseCount, 100)
    .option("--cursor <cursor>", "go on where an earlier list ended")
    .addHelpText("after", HELP)
    .action(async (repositoryArgument: string | undefined, options: ListOptions, command: Command) => {
      const session = open(command);
      const repository = repositoryArgument === undefined ? undefined : parseRepository(repositoryArgument, session.server);
      const listed = await list(await session.native("operator"), repository, options);
      session.show(listed, () => listText(listed));
      if (listed.next !== null) session.terminal.say(`There are more: --cursor ${listed.next}`);
    });
}

async function list(client: NativeClient, repository: string | undefined, { state, limit, cursor }: ListOptions): Promise<Listed> {
  const artifacts: ArtifactRecord[] = [];
  let next: string | null = cursor ?? null;
  do {
    const query = { repository, state, cursor: next ?? undefined, limit: Math.min(PAGE, limit - artifacts.length) };
    const page: Listed = await client.request({ method: "GET", path: "/v1/artifacts", query }, pageSchema);
    artifacts.push(...page.artifacts);
    next = page.next;
  } while (next !== null && artifacts.length < limit);
  return { artifacts, next };
}

function listText({ artifacts }: Listed): string {
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
