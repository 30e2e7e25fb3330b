import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startChild } from "./support/child.ts";
import { openPipe } from "./support/output-pipe.ts";
import { smallFilesystem } from "./support/small-filesystem.ts";

const LAST_WORDS = new URL("process/last-words.ts", import.meta.url);

test("a fatal line is written when the call returns, without secrets, so that whoever logs it can end at once", async () => {
  const child = startChild(LAST_WORDS);
  expect(await child.ended()).toBe("SIGKILL");
  expect(child.lines).toHaveLength(1);
  expect(JSON.parse(child.lines[0] ?? "")).toMatchObject({ level: 60, msg: "last words", err: { message: "[redacted]" } });
});

/** How the process ends that says its last words to a descriptor. */
async function endOf(output: number): Promise<unknown> {
  const child = spawn(process.execPath, [LAST_WORDS.pathname], { stdio: ["ignore", output, "inherit"] });
  closeSync(output);
  return ((await once(child, "exit")) as unknown[])[1];
}

test("a fatal line that nothing takes keeps nobody from ending: a full disk, a full pipe, one that nobody reads any more", async () => {
  expect(await endOf(openSync("/dev/full", "w"))).toBe("SIGKILL");
  const folder = await mkdtemp(join(tmpdir(), "amr-log-"));
  try {
    const pipe = openPipe(folder);
    pipe.fill();
    expect(await endOf(pipe.forProgram)).toBe("SIGKILL");
    pipe.close();
    const { forProgram, close } = openPipe(folder, "closed");
    close();
    expect(await endOf(forProgram)).toBe("SIGKILL");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("once a full disk has room again, a line tells how many were lost, and begins a line of its own", async ({ skip }) => {
  await using small = await smallFilesystem("512k");
  if (small === undefined) return skip("this system allows no namespaces");
  const { count, lost, log } = await small.run(new URL("process/log-on-full-disk.ts", import.meta.url));
  const lines = String(log)
    .split("\n")
    .slice(0, -1)
    .map((line) => parsed(line));
  const own = lines.filter((line) => line !== undefined && "n" in line);
  const told = lines.filter((line) => line !== undefined && "lines" in line);
  expect(told).toMatchObject([{ level: 40, lines: lost }]);
  expect(own).toHaveLength(Number(count) - Number(lost));
  expect(lines.filter((line) => line === undefined).length).toBeLessThanOrEqual(1);
});

function parsed(line: string): object | undefined {
  try {
    return JSON.parse(line) as object;
  } catch {
    return undefined;
  }
}
