import { expect, test } from "vitest";
import { startChild } from "./support/child.ts";

test("a fatal line is written when the call returns, without secrets, so that whoever logs it can end at once", async () => {
  const child = startChild(new URL("process/last-words.ts", import.meta.url));
  expect(await child.ended()).toBe("SIGKILL");
  expect(child.lines).toHaveLength(1);
  expect(JSON.parse(child.lines[0] ?? "")).toMatchObject({ level: 60, msg: "last words", err: { message: "[redacted]" } });
});
