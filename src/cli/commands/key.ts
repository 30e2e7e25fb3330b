import { type Command, Option } from "commander";
import { z } from "zod";
import { type CredentialView, createdCredentialView, credentialView } from "../../api/credentials.ts";
import { CliError, EXIT } from "../failure.ts";
import { table, timeText } from "../output.ts";
import { parseDuration, withYes } from "../options.ts";
import type { NativeClient } from "../client.ts";
import type { OpenSession, Session } from "../session.ts";

const ROLES = ["reader", "publisher", "scanner", "reviewer", "maintainer", "owner", "auditor", "operator"];
/** Roles that hold for the whole registry or not at all. */
const EVERYWHERE = new Set(["auditor", "operator"]);
const PAGE = 1000;

const pageSchema = z.object({ credentials: z.array(credentialView), next: z.string().nullable() });

interface CreateOptions {
  readonly role: string;
  readonly namespace?: string;
  readonly expires?: number;
}

const HELP = `
Examples:
  securectl key create ci --role publisher --namespace team --expires 30d
  securectl key list
  securectl key rotate 0198c0de-... --overlap 1h`;

/** `key`: API keys of services. */
export function addKey(program: Command, open: OpenSession): void {
  const key = program
    .command("key")
    .summary("make, list, rotate and revoke API keys")
    .description("Make, list, rotate and revoke API keys.")
    .addHelpText("after", HELP);
  addCreate(key, open);
  key
    .command("list")
    .summary("list keys")
    .description("List the keys that you may administer; never their secrets.")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const credentials = await all(await session.native("operator"));
      session.show({ credentials }, () => listText(credentials));
    });
  addRotate(key, open);
  withYes(key.command("revoke").summary("revoke a key, with all tokens made from it"))
    .description("Revoke a key. It and every token that was made from it end at once.")
    .argument("<id>", "id of the key, as list shows it")
    .action(async (id: string, options: { readonly yes?: boolean }, command: Command) => {
      const session = open(command);
      await session.confirm(`Revoke the key ${id}?`, options.yes);
      const ask = { method: "DELETE", path: credentialPath(id) } as const;
      const revoked = await (await session.native("operator")).request(ask, credentialView);
      session.show(revoked, () => `Revoked: key ${revoked.id} of ${revoked.name}`);
    });
}

function addCreate(key: Command, open: OpenSession): void {
  key
    .command("create")
    .summary("make a service identity with one role, and a key for it")
    .description(
      "Make a service identity with exactly one role, and a key for it; or one more key, when it has that role already. The secret is shown once.",
    )
    .argument("<name>", "name of the identity, and the user name to log in with")
    .addOption(new Option("--role <role>", "what it may do").choices(ROLES).makeOptionMandatory())
    .option("--namespace <name>", 'where; "*" is everywhere (the default for auditor and operator)')
    .option("--expires <time>", "lifetime, 90d at most (default: 30d)", parseDuration)
    .action(async (name: string, { role, namespace, expires }: CreateOptions, command: Command) => {
      const session = open(command);
      const where = namespace ?? (EVERYWHERE.has(role) ? "*" : undefined);
      if (where === undefined) throw new CliError(EXIT.usage, `--role ${role} needs --namespace: where it may do that`);
      const ask = { method: "POST", path: "/v1/credentials", body: { name, role, namespace: where, expires_in: expires } } as const;
      showSecret(session, await (await session.native("operator")).request(ask, createdCredentialView));
    });
}

function addRotate(key: Command, open: OpenSession): void {
  key
    .command("rotate")
    .summary("make a successor of a key")
    .description("Make a successor of a key. The old one still works for a while, so that whoever uses it can change over.")
    .argument("<id>", "id of the key, as list shows it")
    .option("--expires <time>", "lifetime of the new key, 90d at most (default: 30d)", parseDuration)
    .option("--overlap <time>", "how long the old key still works, 1d at most (default: 1d)", parseDuration)
    .action(async (id: string, { expires, overlap }: { readonly expires?: number; readonly overlap?: number }, command: Command) => {
      const session = open(command);
      const ask = { method: "POST", path: credentialPath(id, "rotate"), body: { expires_in: expires, overlap } } as const;
      showSecret(session, await (await session.native("operator")).request(ask, createdCredentialView));
    });
}

/** The one time that the secret is shown: alone on stdout, so that it can go straight into a file. */
function showSecret(session: Session, created: z.infer<typeof createdCredentialView>): void {
  session.show(created, () => created.key);
  session.terminal.say(
    `Key ${created.id} of ${created.name}, ${created.expires_at === null ? "without an end" : `good until ${timeText(created.expires_at)}`}. It is not shown again.`,
  );
}

async function all(client: NativeClient): Promise<readonly CredentialView[]> {
  const credentials: CredentialView[] = [];
  let cursor: string | undefined;
  do {
    const ask = { method: "GET", path: "/v1/credentials", query: { cursor, limit: PAGE } } as const;
    const page: z.infer<typeof pageSchema> = await client.request(ask, pageSchema);
    credentials.push(...page.credentials);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return credentials;
}

function listText(credentials: readonly CredentialView[]): string {
  if (credentials.length === 0) return "No keys.";
  const rows = credentials.map(({ id, name, kind, status, expires_at: expires, last_used_at: used, created_by: by }) => [
    id,
    name,
    kind,
    status,
    expires === null ? "never" : timeText(expires),
    used === null ? "never" : timeText(used),
    by,
  ]);
  return table(["ID", "NAME", "KIND", "STATUS", "EXPIRES", "LAST USED", "MADE BY"], rows);
}

function credentialPath(id: string, action?: string): string {
  return `/v1/credentials/${encodeURIComponent(id)}${action === undefined ? "" : `/${action}`}`;
}
