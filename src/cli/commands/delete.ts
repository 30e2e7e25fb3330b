import type { Command } from "commander";
import { type ArtifactRef, refText } from "../artifact-ref.ts";
import { type ArtifactRecord, type NativeClient, artifactPath, recordSchema } from "../client.ts";
import { modelStatusSchema, requestModel, showModel } from "../models.ts";
import { reasonOption, refArgument, withYes } from "../options.ts";
import type { OpenSession, Session } from "../session.ts";
import { findTarget, refOfModel } from "../target.ts";
import { visible } from "../visible.ts";

interface DeleteOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

const HELP = `
Examples:
  securectl delete models/phi-3@sha256:0123... --reason "superseded" --yes
  securectl delete "Phi-3 Mini (Q4)"`;

/** `delete`: removes an artifact's content; its record and history stay. */
export function addDelete(program: Command, open: OpenSession): void {
  const command = program
    .command("delete")
    .alias("rm")
    .summary("delete an artifact's content")
    .description("Delete an artifact with its tags. Its record and its history stay.")
    .addArgument(refArgument())
    .addOption(reasonOption());
  withYes(command)
    .addHelpText("after", HELP)
    .action(async (text: string, { reason, yes }: DeleteOptions, self: Command) => {
      const session = open(self);
      const target = await findTarget(session, "operator", text);
      await session.confirm(`Delete ${"ref" in target ? refText(target.ref) : JSON.stringify(target.name)} and its tags?`, yes);
      if ("name" in target) return deleteName(session, target.name, reason);
      const record = await deleteRef(await session.native("operator"), target.ref, reason);
      return session.show(record, () => doneText(`${record.repository}@${record.digest}`));
    });
}

async function deleteRef(client: NativeClient, ref: ArtifactRef, reason: string | undefined): Promise<ArtifactRecord> {
  return client.request({ method: "DELETE", path: artifactPath(ref), query: { reason } }, recordSchema);
}

/** The predecessor's door knows no reason: with one, the native API is asked, for what the name means. */
async function deleteName(session: Session, name: string, reason: string | undefined): Promise<void> {
  const text = (already: boolean): string => (already ? `Already deleted: ${visible(name)}` : doneText(visible(name)));
  if (reason === undefined) {
    const client = await session.native("service-token");
    const answer = await requestModel(client, { method: "DELETE", path: "/v1/model/delete", name }, modelStatusSchema);
    return session.show(answer, () => text(answer.status === "already_deleted"));
  }
  const client = await session.native("operator");
  const before = await showModel(client, name);
  const record = await deleteRef(client, refOfModel(before), reason);
  return session.show(record, () => text(before.state === "deleted"));
}

function doneText(what: string): string {
  return `Deleted (soft): ${what} - metadata retained for audit`;
}
