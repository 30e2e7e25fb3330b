import type { Command } from "commander";
import { parseArtifactRef } from "../artifact-ref.ts";
import { artifactPath, recordSchema } from "../client.ts";
import type { OpenSession } from "../session.ts";

/** `info`: all that the registry knows of an artifact. */
export function addInfo(program: Command, open: OpenSession): void {
  program
    .command("info")
    .summary("show an artifact's record")
    .description("Show the record of an artifact as JSON: state, tags, who pushed and changed it, and the decision that it rests on.")
    .argument("<ref>", "<repository>:<tag> or <repository>@<digest>")
    .addHelpText("after", "\nExample:\n  securectl info models/phi-3:v1")
    .action(async (refArgument: string, _options: object, command: Command) => {
      const session = open(command);
      const ref = parseArtifactRef(refArgument, session.server);
      const record = await (await session.native("operator")).request({ method: "GET", path: artifactPath(ref) }, recordSchema);
      session.terminal.printJson(Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1))));
    });
}
