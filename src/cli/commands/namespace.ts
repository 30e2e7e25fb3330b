import type { Command } from "commander";
import { z } from "zod";
import { type NamespaceDetails, type NamespaceView, type SetQuotaRequest, namespaceDetails, namespaceView } from "../../api/namespaces.ts";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import { table, timeText } from "../output.ts";
import type { OpenSession } from "../session.ts";

const PAGE = 1000;
const pageSchema = z.object({ namespaces: z.array(namespaceView), next: z.string().nullable() });

const HELP = `
A namespace is the first part of a repository's name. Only operators make one; its owner grants roles there.

Examples:
  securectl namespace create team --owner alice
  securectl namespace list
  securectl namespace quota team --bytes 500GiB --artifacts 1000
  securectl namespace quota team --bytes default
  securectl namespace show team`;

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
  addQuota(namespace, open);
}

function addQuota(namespace: Command, open: OpenSession): void {
  namespace
    .command("show")
    .summary("show what a namespace may hold, and what it holds")
    .description("Show a namespace, its quota and what it holds.")
    .argument("<name>", "name of the namespace")
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const details = await detailsOf(await session.native("operator"), name);
      session.show(details, () => detailsText(details));
    });
  namespace
    .command("quota")
    .summary("set what a namespace may hold")
    .description(
      "Set what a namespace may hold; what is not named stays as it is. `none` is any number, `default` what the configuration says.",
    )
    .argument("<name>", "name of the namespace")
    .option("--bytes <size>", "bytes of its blobs and manifests, such as 500GiB")
    .option("--artifacts <number>", "artifacts; what is attached to them does not count")
    .option("--manifests <number>", "artifacts, and what is attached to them")
    .option("--tags <number>", "tags")
    .option("--uploads <number>", "uploads that are open at a time")
    .action(async (name: string, options: Readonly<Record<string, string>>, command: Command) => {
      const session = open(command);
      const client = await session.native("operator");
      const body = quotaOf((await detailsOf(client, name)).own_quota, options);
      const path = `/v1/namespaces/${encodeURIComponent(name)}/quota`;
      const details = await client.request({ method: "PUT", path, body }, namespaceDetails);
      session.show(details, () => detailsText(details));
    });
}

function detailsOf(client: NativeClient, name: string): Promise<NamespaceDetails> {
  return client.request({ method: "GET", path: `/v1/namespaces/${encodeURIComponent(name)}` }, namespaceDetails);
}

const RESOURCES = ["bytes", "artifacts", "manifests", "tags", "uploads"] as const;
const UNITS: Readonly<Record<string, number>> = { "": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** The quota that a namespace has of its own with what was named changed. */
function quotaOf(own: SetQuotaRequest, options: Readonly<Record<string, string>>): SetQuotaRequest {
  const changed: { [resource in (typeof RESOURCES)[number]]?: number | null } = { ...own };
  const named = RESOURCES.filter((resource) => options[resource] !== undefined);
  if (named.length === 0) throw new CliError(EXIT.usage, "say what may be held: --bytes, --artifacts, --manifests, --tags or --uploads");
  for (const resource of named) {
    const text = options[resource] ?? "";
    if (text === "default") delete changed[resource];
    else changed[resource] = text === "none" ? null : numberOf(resource, text);
  }
  return changed;
}

function numberOf(resource: (typeof RESOURCES)[number], text: string): number {
  const [, digits, unit = ""] = (resource === "bytes" ? /^(\d{1,15})(KiB|MiB|GiB|TiB)?$/ : /^(\d{1,15})$/).exec(text) ?? [];
  const number = Number(digits) * (UNITS[unit] ?? 1);
  if (Number.isSafeInteger(number)) return number;
  const example = resource === "bytes" ? "500GiB, 1000000" : "1000";
  throw new CliError(EXIT.usage, `--${resource} must be a whole number such as ${example}, none or default`);
}

function detailsText({ name, owner, quota, own_quota: own, usage }: NamespaceDetails): string {
  const rows = RESOURCES.map((resource) => {
    const held = resource === "uploads" || usage === null ? "-" : String(usage[resource]);
    return [resource, held, String(quota[resource] ?? "any"), own[resource] === undefined ? "configuration" : "namespace"];
  });
  return `Namespace ${name}, owned by ${owner}\n${table(["", "HELD", "AT MOST", "SET FOR"], rows)}`;
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
