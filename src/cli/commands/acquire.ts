import type { Command } from "commander";
import { modelSchema } from "../models.ts";
import { parseSequence } from "../options.ts";
import { whileWaiting } from "../progress.ts";
import type { OpenSession } from "../session.ts";
import { visible } from "../visible.ts";

interface AcquireOptions {
  readonly sha256?: string;
  readonly size?: number;
  readonly source?: string;
}

const HELP = `
The file lies in the registry's data directory; the registry takes a copy of it. With --sha256 or --size another file than the one that
was meant is refused.

Examples:
  securectl acquire "Phi-3 Mini (Q4)" phi-3-mini-q4.gguf --sha256 0123...
  securectl acquire phi-3 incoming/phi-3.safetensors --source https://models.example/phi-3`;

/** `acquire`: registers a file that lies in the data directory under a name. */
export function addAcquire(program: Command, open: OpenSession): void {
  program
    .command("acquire")
    .summary("register a file of the data directory under a name")
    .description("Register a file that lies in the registry's data directory under a name. It is held until it is promoted.")
    .argument("<name>", "name of the artifact: any line of up to 256 bytes")
    .argument("<filename>", "path of the file below the registry's data directory; .gguf or .safetensors")
    .option("--sha256 <hex>", "the digest that the file must have")
    .option("--size <bytes>", "the size that the file must have", parseSequence)
    .option("--source <text>", "where the file comes from, for the record")
    .addHelpText("after", HELP)
    .action(async (name: string, filename: string, { sha256, size, source }: AcquireOptions, command: Command) => {
      const session = open(command);
      const client = await session.native("service-token");
      const body = { name, filename, sha256, size_bytes: size, source };
      const ask = { method: "POST", path: "/v1/model/acquire", body, time: "patient" } as const;
      const model = await whileWaiting(session.terminal, `acquiring ${name}`, client.request(ask, modelSchema));
      session.show(model, () => `Acquired: ${visible(model.name)} (sha256=${visible(model.sha256)}, state=${visible(model.state)})`);
    });
}
