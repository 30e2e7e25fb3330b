import type { Command } from "commander";
import { z } from "zod";
import { artifactPath } from "../client.ts";
import { refArgument } from "../options.ts";
import { table, timeText } from "../output.ts";
import type { OpenSession } from "../session.ts";
import { findRef } from "../target.ts";

const transitionSchema = z.looseObject({
  sequence: z.number(),
  state: z.string(),
  at: z.string(),
  actor: z.string(),
  reason: z.string().nullable(),
});
const historySchema = z.looseObject({ repository: z.string(), digest: z.string(), history: z.array(transitionSchema) });

/** `history`: how an artifact came to its state. */
export function addHistory(program: Command, open: OpenSession): void {
  program
    .command("history")
    .summary("show an artifact's transitions")
    .description("Show the transitions of an artifact, oldest first, over all times that it was pushed.")
    .addArgument(refArgument())
    .addHelpText("after", "\nExample:\n  securectl history models/phi-3:v1")
    .action(async (text: string, _options: object, command: Command) => {
      const session = open(command);
      const { ref } = await findRef(session, "operator", text);
      const path = artifactPath(ref, "history");
      const found = await (await session.native("operator")).request({ method: "GET", path }, historySchema);
      session.show(found, () => {
        const rows = found.history.map(({ sequence, state, at, actor, reason }) => [
          String(sequence),
          timeText(at),
          state,
          actor,
          reason ?? "-",
        ]);
        return `${found.repository}@${found.digest}\n${table(["SEQ", "TIME", "STATE", "BY", "REASON"], rows)}`;
      });
    });
}
