import { openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LineOutput } from "../../src/line-output.ts";

/** Writes lines into a folder of a small file system until some are lost, makes room, and writes two more. */
const [, , folder = ""] = process.argv;
const [log, ballast] = [join(folder, "log"), join(folder, "ballast")];
writeFileSync(ballast, Buffer.alloc(256 * 1024));
const output = new LineOutput(openSync(log, "w"));
let count = 0;
const line = (): string => `${JSON.stringify({ n: (count += 1), text: "x".repeat(1000) })}\n`;
while (output.lost === 0) output.writeAtOnce(line());
const { lost } = output;
rmSync(ballast);
for (let more = 0; more < 2; more += 1) output.writeAtOnce(line());
process.stdout.write(JSON.stringify({ count, lost, log: readFileSync(log, "utf8") }));
