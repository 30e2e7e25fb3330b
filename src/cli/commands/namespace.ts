import type { Command } from "commander";
import { z } from "zod";
import { type NamespaceView, namespaceView } from "../../api/namespaces.ts";
import type { NativeClient } from "../client.ts";
import { table, timeText } from "../output.ts";
import type { OpenSession } from "../session.ts";

const PAGE = 1000;
const pageSchema = z.object({ namespaces: z.array(namespaceView), next: z.string().nullable() });

const HELP = `
A namespace is the first part of a repository's name. Only operators make one; its owner grants roles there.

Examples:
  securectl namespace create team --owner alice
  securectl namespace list`;

/** `namespace`: who owns which part of the registry. */
export function addNamespace(program: Command, open: OpenSession): void {
  const namespace = program
    .command("namespace")
    .summary("make and list namespaces")
    .description("Make and list namespaces.")
    .addHelpText("after", HELP);
  namespace
    .command("create")
    .summary("make a namespace with an owner")
    .description("Make a namespace that an identity owns.")
    .argument("<name>", "name of the namespace")
    .requiredOption("--owner <identity>", "who owns it; the identity must exist")
    .action(async (name: string, { owner }: { readonly owner: string }, command: Command) => {
      const session = open(command);
      const ask = { method: "POST", path: "/v1/namespaces", body: { name, owner } } as const;
      const made = await (await session.native("operator")).request(ask, namespaceView);
      session.show(made, () => `Created: namespace ${made.name}, owned by ${made.owner}`);
    });
  namespace
    .command("list")
    .summary("list namespaces")
    .description("List the namespaces that you may see.")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const namespaces = await all(await session.native("operator"));
      session.show({ namespaces }, () => listText(namespaces));
    });
}

async function all(client: NativeClient): Promise<readonly NamespaceView[]> {
  const namespaces: NamespaceView[] = [];
  let cursor: string | undefined;
  do {
    const ask = { method: "GET", path: "/v1/namespaces", query: { cursor, limit: PAGE } } as const;
    const page: z.infer<typeof pageSchema> = await client.request(ask, pageSchema);
    namespaces.push(...page.namespaces);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return namespaces;
}

function listText(namespaces: readonly NamespaceView[]): string {
  if (namespaces.length === 0) return "No namespaces.";
  const rows = namespaces.map(({ name, owner, created_by: by, created_at: at }) => [name, owner, by, timeText(at)]);
  return table(["NAME", "OWNER", "MADE BY", "SINCE"], rows);
}
