import type { Command } from "commander";
import { type ArtifactRef, refText } from "../artifact-ref.ts";
import { type ArtifactRecord, type NativeAsk, artifactPath, recordSchema } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import { modelStatusSchema, requestModel, showModel } from "../models.ts";
import { reasonOption, refArgument, withYes } from "../options.ts";
import type { OpenSession, Session } from "../session.ts";
import { findTarget, refOfModel } from "../target.ts";
import { visible } from "../visible.ts";

interface RevokeOptions {
  readonly reason?: string;
  readonly permanent?: boolean;
  readonly everywhere?: boolean;
  readonly yes?: boolean;
}

const HELP = `
Whoever could pull it is told the reason, without which only a registered name is revoked. Downloads that are under way are cut. Without
--permanent it can be promoted again by somebody who may reinstate.

Examples:
  securectl revoke models/phi-3:v1 --reason "poisoned tokenizer"
  securectl revoke models/phi-3@sha256:0123... --reason "CVE-2026-0001" --everywhere --permanent --yes
  securectl revoke "Phi-3 Mini (Q4)"`;

/** `revoke`: takes an artifact back, at every door at once. */
export function addRevoke(program: Command, open: OpenSession): void {
  const command = program
    .command("revoke")
    .summary("take an artifact back, at once")
    .description("Revoke an artifact: from now on nobody gets it.")
    .addArgument(refArgument())
    .addOption(reasonOption())
    .option("--permanent", "for good: no promotion can lift it")
    .option("--everywhere", "in every repository, and for every later push of it");
  withYes(command)
    .addHelpText("after", HELP)
    .action(async (text: string, options: RevokeOptions, self: Command) => {
      const session = open(self);
      const target = await findTarget(session, "operator", text);
      const { reason, permanent, everywhere, yes } = options;
      const plain = "name" in target && permanent === undefined && everywhere === undefined;
      if (reason === undefined && !plain) throw new CliError(EXIT.usage, "--reason is needed: everybody who is refused is told it");
      const how = `${permanent === true ? " permanently" : ""}${everywhere === true ? " in every repository" : ""}`;
      await session.confirm(`Revoke ${"ref" in target ? refText(target.ref) : JSON.stringify(target.name)}${how}?`, yes);
      return "ref" in target ? revokeRef(session, target.ref, options) : revokeName(session, target.name, options);
    });
}

async function revokeRef(session: Session, ref: ArtifactRef, options: RevokeOptions): Promise<void> {
  const record = await (await session.native("operator")).request(askOf(ref, options), recordSchema);
  session.show(record, () => `Revoked: ${record.repository}@${record.digest}`);
}

/** The predecessor's door knows no reason: with one, the native API is asked, for what the name means. */
async function revokeName(session: Session, name: string, options: RevokeOptions): Promise<void> {
  const revoked = (status: string): string => `Revoked: ${visible(name)} (status=${visible(status)})`;
  if (options.reason === undefined) {
    const client = await session.native("service-token");
    const answer = await requestModel(client, { method: "POST", path: "/v1/model/revoke", name, body: {} }, modelStatusSchema);
    return session.show(answer, () => revoked(answer.status));
  }
  const client = await session.native("operator");
  const before = await showModel(client, name);
  const record: ArtifactRecord = await client.request(askOf(refOfModel(before), options), recordSchema);
  return session.show(record, () => revoked(before.state === "revoked" ? "already_revoked" : "revoked"));
}

function askOf(ref: ArtifactRef, { reason, permanent, everywhere }: RevokeOptions): NativeAsk {
  return { method: "POST", path: artifactPath(ref, "revoke"), body: { reason, permanent, everywhere } };
}
