import type { Command } from "commander";
import { decisionAnswer } from "../../api/decision.ts";
import { policyList, policyVersionView, policyView } from "../../api/policies.ts";
import { artifactPath } from "../client.ts";
import { decisionText } from "../decision.ts";
import { CliError, EXIT } from "../failure.ts";
import { parseCount, refArgument, withYes } from "../options.ts";
import { inputsText, judgedText, policiesText } from "../policy-text.ts";
import { policyPath, readPolicyFile } from "../policy-file.ts";
import type { OpenSession, Session } from "../session.ts";
import { findRef } from "../target.ts";
import { addDiff } from "./policy-diff.ts";
import { addReplay } from "./policy-replay.ts";

const HELP = `
A policy that matches a repository must pass whole before anything there becomes trusted; where several match, all of them must. What a
policy may say is described in schemas/trust-policy.schema.json.

Examples:
  securectl policy apply prod-models.yaml
  securectl policy test prod-models.yaml models/phi-3:v1
  securectl policy explain models/phi-3:v1
  securectl policy show prod-models --at 2
  securectl policy diff prod-models prod-models.yaml
  securectl policy replay prod-models.yaml`;

/** `policy`: what has to hold before something becomes trusted. */
export function addPolicy(program: Command, open: OpenSession): void {
  const policy = program
    .command("policy")
    .summary("write, try and explain promotion policies")
    .description("Write, try and explain promotion policies.")
    .addHelpText("after", HELP);
  addApply(policy, open);
  addList(policy, open);
  addShow(policy, open);
  addDelete(policy, open);
  addTest(policy, open);
  addExplain(policy, open);
  addDiff(policy, open);
  addReplay(policy, open);
}

function addApply(policy: Command, open: OpenSession): void {
  policy
    .command("apply")
    .summary("put a policy in force")
    .description("Put a policy in force from the next promotion on, under the name that it has. The same policy again changes nothing.")
    .argument("<file>", "the policy, in YAML or JSON")
    .action(async (file: string, _options: object, command: Command) => {
      const session = open(command);
      const { bytes, document, notation } = await readPolicyFile(file);
      const { name } = document.metadata;
      const headers = { "Content-Type": `application/${notation}` };
      const ask = { method: "PUT", path: policyPath(name), bytes, headers } as const;
      const put = await (await session.native("operator")).request(ask, policyVersionView);
      session.show(put, () => `In force: ${put.name}@${put.version}, ${put.digest}`);
    });
}

function addList(policy: Command, open: OpenSession): void {
  policy
    .command("list")
    .summary("list the policies in force")
    .description("List the promotion policies in force.")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { policies } = await (await session.native("operator")).request({ method: "GET", path: "/v1/policies" }, policyList);
      session.show({ policies }, () => policiesText(policies));
    });
}

function addShow(policy: Command, open: OpenSession): void {
  policy
    .command("show")
    .summary("show a policy")
    .description("Show a policy, or an earlier version of it, with every default filled in.")
    .argument("<name>", "name of the policy")
    .option("--at <version>", "which version (default: the one in force)", parseCount)
    .action(async (name: string, { at }: { readonly at?: number }, command: Command) => {
      const session = open(command);
      const ask = { method: "GET", path: policyPath(name), query: { version: at } } as const;
      const shown = await (await session.native("operator")).request(ask, policyView);
      session.show(shown, () => `${JSON.stringify(shown.document, null, 2)}\n\n${shown.name}@${shown.version}, ${shown.digest}`);
    });
}

function addDelete(policy: Command, open: OpenSession): void {
  withYes(policy.command("delete").summary("end a policy"))
    .description("End a policy from the next promotion on. Its versions stay, and decisions go on naming them.")
    .argument("<name>", "name of the policy")
    .action(async (name: string, { yes }: { readonly yes?: boolean }, command: Command) => {
      const session = open(command);
      await session.confirm(`What the policy ${name} asks for is asked for no more.`, yes);
      const ended = await (await session.native("operator")).request({ method: "DELETE", path: policyPath(name) }, policyVersionView);
      session.show(ended, () => `Ended: ${ended.name}@${ended.version}`);
    });
}

function addTest(policy: Command, open: OpenSession): void {
  policy
    .command("test")
    .summary("try a policy on an artifact")
    .description(
      "Show what a promotion of an artifact would be decided under this policy alone. Nothing changes; the exit code is 4 for a refusal.",
    )
    .argument("<file>", "the policy, in YAML or JSON")
    .addArgument(refArgument())
    .action(async (file: string, ref: string, _options: object, command: Command) => {
      const { bytes } = await readPolicyFile(file);
      await evaluate(open(command), ref, bytes.toString("utf8"));
    });
}

function addExplain(policy: Command, open: OpenSession): void {
  policy
    .command("explain")
    .summary("explain what decides about an artifact")
    .description(
      "Show what a promotion of an artifact would be decided now, and why: every check, who signed what, and the evidence that does not count. The exit code is 4 for a refusal.",
    )
    .addArgument(refArgument())
    .action(async (ref: string, _options: object, command: Command) => evaluate(open(command), ref, undefined));
}

async function evaluate(session: Session, text: string, policy: string | undefined): Promise<void> {
  const { ref } = await findRef(session, "operator", text);
  const ask = { method: "POST", path: artifactPath(ref, "evaluate"), body: { policy }, time: "patient" } as const;
  const decision = await (await session.native("operator")).request(ask, decisionAnswer);
  session.show(decision, () => `${decisionText(decision)}\n\n${inputsText(decision)}\n\n${judgedText(decision)}`);
  if (!decision.allowed) throw new CliError(EXIT.denied, "A promotion would be refused.");
}
