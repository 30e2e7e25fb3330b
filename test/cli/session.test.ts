import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { EXIT } from "../../src/cli/failure.ts";
import { Session } from "../../src/cli/session.ts";

function sessionOn(terminal: boolean, typed: string): { readonly session: Session; readonly said: () => Promise<string> } {
  const [stdin, stderr] = [Object.assign(new PassThrough(), { isTTY: terminal }), Object.assign(new PassThrough(), { isTTY: terminal })];
  stdin.end(typed);
  const session = new Session({}, {}, { stdin, stdout: new PassThrough(), stderr });
  return {
    session,
    said: () => {
      stderr.end();
      return text(stderr);
    },
  };
}

test("on a terminal a person who says yes goes on", async () => {
  const { session, said } = sessionOn(true, "yes\n");
  await session.confirm("Delete models/x:v1?", undefined);
  expect(await said()).toContain("Delete models/x:v1?");
});

test.each(["no\n", "\n", "y\n", "yes please\n"])("on a terminal the answer %j changes nothing", async (typed) => {
  await expect(sessionOn(true, typed).session.confirm("Delete?", undefined)).rejects.toMatchObject({ exit: EXIT.failure });
});

test("--yes is not asked", async () => {
  const { session, said } = sessionOn(true, "");
  await session.confirm("Delete?", true);
  expect(await said()).toBe("");
});

test("without a terminal nobody is asked", async () => {
  const { session, said } = sessionOn(false, "");
  await session.confirm("Delete?", undefined);
  expect(await said()).toBe("");
});

test("a token on standard input serves every role that a command has", async () => {
  const stdin = new PassThrough();
  stdin.end("token-token-token-token-token-token\n");
  const session = new Session({ tokenFile: "-" }, {}, { stdin, stdout: new PassThrough(), stderr: new PassThrough() });
  const found = [await session.credential("operator", false), await session.credential("service-token", false)];
  expect(found.map((each) => each?.secret)).toEqual(["token-token-token-token-token-token", "token-token-token-token-token-token"]);
});
