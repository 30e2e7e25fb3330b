import type { Command } from "commander";
import { type PolicyReplay, type ReplayedArtifact, replayPage } from "../../api/policy-replay.ts";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import { parseCount } from "../options.ts";
import { table } from "../output.ts";
import { isPolicyName, policyPath, readPolicyFile } from "../policy-file.ts";
import { startStatusLine } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";

const PAGE = 200;

const HELP = `
Every artifact of the repositories that the policy decides about is decided about anew, as if it were promoted while the policy were in
force beside the others, with the evidence that is attached now and the scan results of its last decision. Nothing changes by it. A
replay can be left at any time. It exits with 4 when a trusted artifact would fail.

What looks like the name of a policy is one: write ./prod-models for a file that is called so.

Examples:
  securectl policy replay prod-models.yaml
  securectl policy replay prod-models --repository 'models/llm/**'
  securectl policy replay prod-models.yaml --json | jq '.artifacts[] | select(.outcome == "would-fail")'`;

interface ReplayOptions {
  readonly repository?: string;
  readonly at?: number;
}

/** `policy replay`: what a policy would change. */
export function addReplay(policy: Command, open: OpenSession): void {
  policy
    .command("replay")
    .summary("tell which artifacts a policy would change something for")
    .description("Tell which trusted artifacts would fail under a policy, and which that are not trusted would pass.")
    .argument("<policy>", "the policy, in YAML or JSON, or the name of one")
    .option("--repository <pattern>", "only of these repositories: a name, or a pattern with * and **")
    .option("--at <version>", "which version of the named policy (default: the one in force)", parseCount)
    .addHelpText("after", HELP)
    .action(async (given: string, { repository, at }: ReplayOptions, command: Command) => {
      const session = open(command);
      const asked = await askedFor(given, at);
      const replay = await allPages(session, await session.native("operator"), { ...asked, body: { ...asked.body, repository } });
      session.show(replay, () => replayText(replay));
      const failing = replay.artifacts.filter(({ outcome }) => outcome === "would-fail").length;
      if (failing > 0) throw new CliError(EXIT.denied, `Trusted artifacts that would fail: ${failing}.`);
    });
}

interface Asked {
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
}

async function askedFor(given: string, version: number | undefined): Promise<Asked> {
  if (isPolicyName(given)) return { name: given, body: { version } };
  if (version !== undefined) throw new CliError(EXIT.usage, "--at is for the name of a policy, not for a file");
  const { bytes, document } = await readPolicyFile(given);
  return { name: document.metadata.name, body: { policy: bytes.toString("utf8") } };
}

async function allPages(session: Session, client: NativeClient, { name, body }: Asked): Promise<PolicyReplay> {
  const line = startStatusLine(session.terminal);
  const artifacts: ReplayedArtifact[] = [];
  const examined = { trusted: 0, others: 0 };
  let cursor: string | undefined;
  try {
    for (;;) {
      const ask = { method: "POST", path: `${policyPath(name)}/replay`, body: { ...body, cursor, limit: PAGE } } as const;
      const page = await client.request(ask, replayPage);
      artifacts.push(...page.artifacts);
      examined.trusted += page.examined.trusted;
      examined.others += page.examined.others;
      line.update(() => `replaying: ${examined.trusted + examined.others} artifacts, ${artifacts.length} would change`);
      if (page.next === null) return { policy: page.policy, examined, artifacts };
      cursor = page.next;
    }
  } finally {
    line.done();
  }
}

function replayText({ policy, examined, artifacts }: PolicyReplay): string {
  const failing = artifacts.filter(({ outcome }) => outcome === "would-fail");
  const passing = artifacts.filter(({ outcome }) => outcome === "would-pass");
  const looked = `${policy.name}@${policy.version}: ${examined.trusted} trusted artifacts and ${examined.others} others were decided about.`;
  return [
    looked,
    `Trusted that would fail: ${failing.length}`,
    ...(failing.length === 0 ? [] : [table(["ARTIFACT", "CHECK", "CODES", "WHY"], failing.flatMap(failedRows))]),
    `Not trusted that would pass: ${passing.length}, of which ${passing.filter(({ refused }) => refused !== null).length} were refused`,
    ...(passing.length === 0 ? [] : [table(["ARTIFACT", "STATE", "REFUSED BY"], passing.map(passingRow))]),
  ].join("\n");
}

function failedRows({ repository, digest, failed, failed_more: more }: ReplayedArtifact): readonly (readonly string[])[] {
  const rows = failed.map(({ id, codes, message }, at) => [at === 0 ? `${repository}@${digest}` : "", id, codes.join(", "), message]);
  return more > 0 ? [...rows, ["", `and ${more} more`, "", ""]] : rows;
}

function passingRow({ repository, digest, state, refused }: ReplayedArtifact): readonly string[] {
  return [`${repository}@${digest}`, state, refused?.decision ?? "-"];
}
