import type { Command } from "commander";
import { artifactPath, recordSchema } from "../client.ts";
import { showModel } from "../models.ts";
import { refArgument } from "../options.ts";
import { withSortedKeys } from "../output.ts";
import type { OpenSession, Session } from "../session.ts";
import { findTarget } from "../target.ts";

const HELP = `
Of a registered name the record is that of the predecessor's API, of a reference that of the native one, with tags, who pushed and
changed it, and the decision that it rests on.

Examples:
  securectl info "Phi-3 Mini (Q4)"
  securectl info models/phi-3:v1`;

/** `info`: all that the registry knows of an artifact. */
export function addInfo(program: Command, open: OpenSession): void {
  program
    .command("info")
    .summary("show an artifact's record")
    .description("Show the record of an artifact as JSON.")
    .addArgument(refArgument())
    .addHelpText("after", HELP)
    .action(async (text: string, _options: object, command: Command) => {
      const session = open(command);
      session.terminal.printJson(withSortedKeys(await recordOf(session, text)));
    });
}

async function recordOf(session: Session, text: string): Promise<unknown> {
  const target = await findTarget(session, "operator", text);
  if ("name" in target) return showModel(await session.native("service-token"), target.name);
  return (await session.native("operator")).request({ method: "GET", path: artifactPath(target.ref), time: "bounded" }, recordSchema);
}
