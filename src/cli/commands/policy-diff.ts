import type { Command } from "commander";
import { type PolicyView, policyView } from "../../api/policies.ts";
import type { PolicyDiff, Side } from "../../policy/diff.ts";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import { shortDigest, table } from "../output.ts";
import { policyPath, readPolicyFile } from "../policy-file.ts";
import type { OpenSession } from "../session.ts";

const HELP = `
One version alone is compared with the policy in force, one file alone too; with neither, the version in force is compared with the one
before it. Of every difference it is told whether the policy asks for more by it (tighter) or for less (looser), where that can be told.
The order of lists means nothing, and a key is what it is, whatever it is called.

Examples:
  securectl policy diff prod-models
  securectl policy diff prod-models prod-models.yaml
  securectl policy diff prod-models 2 3 --json`;

/** `policy diff`: what is different between two versions of a policy. */
export function addDiff(policy: Command, open: OpenSession): void {
  policy
    .command("diff")
    .summary("tell what changed in a policy")
    .description("Tell what is different between two versions of a policy, or between one and a file.")
    .argument("<name>", "name of the policy")
    .argument("[sides...]", "what is compared: a version, a version and a later one, a version and a file, or a file")
    .addHelpText("after", HELP)
    .action(async (name: string, sides: readonly string[], _options: object, command: Command) => {
      const session = open(command);
      const diff = await compare(await session.native("operator"), name, sides);
      session.show(diff, () => diffText(diff));
    });
}

async function compare(client: NativeClient, name: string, [from, to, ...more]: readonly string[]): Promise<PolicyDiff> {
  if (more.length > 0) throw new CliError(EXIT.usage, "two at most are compared");
  const { diffPolicies } = await import("../../policy/diff.ts");
  if (from !== undefined && to !== undefined) {
    if (versionIn(from) === undefined) throw new CliError(EXIT.usage, "where two are compared, the first must be the number of a version");
    return diffPolicies(await sideOf(client, name, from), await sideOf(client, name, to));
  }
  const inForce = await stored(client, name, undefined);
  if (from === undefined) return diffPolicies(await before(client, inForce), await parsed(inForce));
  const other = await sideOf(client, name, from);
  return other.version === null ? diffPolicies(await parsed(inForce), other) : diffPolicies(other, await parsed(inForce));
}

async function before(client: NativeClient, { name, version }: PolicyView): Promise<Side> {
  if (version === 1) throw new CliError(EXIT.usage, `the policy ${name} has one version only: name a file to compare it with`);
  return parsed(await stored(client, name, version - 1));
}

/** A version that is named by its number, or a file. */
async function sideOf(client: NativeClient, name: string, text: string): Promise<Side> {
  const version = versionIn(text);
  if (version !== undefined) return parsed(await stored(client, name, version));
  const { policyDigest } = await import("../../policy/document.ts");
  const { document } = await readPolicyFile(text);
  if (document.metadata.name !== name)
    throw new CliError(EXIT.usage, `the file ${text} is the policy ${document.metadata.name}, not ${name}`);
  return { version: null, digest: policyDigest(document), document };
}

function versionIn(text: string): number | undefined {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

async function stored(client: NativeClient, name: string, version: number | undefined): Promise<PolicyView> {
  return client.request({ method: "GET", path: policyPath(name), query: { version } }, policyView);
}

async function parsed({ version, digest, document }: PolicyView): Promise<Side> {
  const { trustPolicySchema } = await import("../../policy/document.ts");
  return { version, digest, document: trustPolicySchema.parse(document) };
}

function diffText({ name, before: from, after: to, effect, changes }: PolicyDiff): string {
  const [one = "", other = ""] = [from, to].map(
    ({ version, digest }) => `${version === null ? "the file" : `${name}@${version}`} (${shortDigest(digest)})`,
  );
  const title = `From ${one} to ${other}:`;
  if (changes.length === 0) return `${title} nothing that decisions depend on.`;
  const rows = changes.map((change) => [change.effect, change.path, change.message]);
  return `${title}\n${table(["EFFECT", "PLACE", "WHAT"], rows)}\nTogether: ${TOGETHER[effect]}`;
}

const TOGETHER = {
  tighter: "tighter: nothing meets it that did not before.",
  looser: "looser: whatever met it before meets it still.",
  none: "it asks for the same as before.",
  unknown: "some may meet it that did not before, and some no longer: `securectl policy replay` tells which.",
} as const;
