import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { LargeBlobTrial } from "./large-blob-trial.ts";

const USAGE = `Usage: npm run large-blob -- [--gigabytes N] [--kills N]

Pushes a blob in chunks and pulls it by ranges, while the registry and the client are killed by turns, and holds both to it that no byte is sent
again that was acknowledged, and every process of the registry to 200 MB.

  --gigabytes N  its size (default 2)
  --kills N      as many in the push, and as many in the pull (default 10)
`;

const { values } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "2" },
    kills: { type: "string", default: "10" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
} else {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-large-"));
  try {
    const trial = new LargeBlobTrial(folder, { size: Math.floor(Number(values.gigabytes) * 1024 ** 3), kills: Number(values.kills) });
    await trial.run();
    process.stdout.write(`${trial.figures()}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
