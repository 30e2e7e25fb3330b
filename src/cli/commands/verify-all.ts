import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { z } from "zod";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import { sizeText, timeText } from "../output.ts";
import { type StatusLine, startStatusLine } from "../progress.ts";
import type { OpenSession, Session } from "../session.ts";
import { failedSchema, failureText } from "../verification.ts";
import { visible } from "../visible.ts";

const ALL = "/v1/models/verify-all";
const LOOK_MILLISECONDS = 1000;

const runSchema = z.looseObject({ progress: z.number(), blobs_checked: z.number(), bytes_checked: z.number() });
const endedSchema = z.looseObject({ status: z.string(), detail: z.string().nullable().optional(), checked_at: z.string() });
const standSchema = z.looseObject({ current: runSchema.nullable(), last: endedSchema.nullable() });
const cancelledSchema = z.looseObject({ cancelled: endedSchema.nullable() });

const passedSchema = z.looseObject({ status: z.enum(["verified", "skipped"]), name: z.string() });
const resultSchema = z.looseObject({
  checked: z.number(),
  status: z.enum(["ok", "failed"]),
  models: z.array(z.discriminatedUnion("status", [failedSchema, passedSchema])),
});
type Result = z.infer<typeof resultSchema>;

interface VerifyAllOptions {
  readonly detach?: boolean;
  readonly status?: boolean;
  readonly cancel?: boolean;
}

const HELP = `
There is one check at a time: whoever asks while it is under way waits for that one. It exits with 0 when all bytes are those that were
recorded, with 6 when some are not; those are out of service then. Without --detach it can be left at any time, and goes on.

Examples:
  securectl verify-all
  securectl verify-all --detach
  securectl verify-all --status --json`;

/** `verify-all`: are all bytes that the registry keeps still those that were recorded? */
export function addVerifyAll(program: Command, open: OpenSession): void {
  program
    .command("verify-all")
    .summary("hash the bytes of all artifacts again")
    .description("Hash all bytes that the registry keeps again, and tell which artifacts are damaged.")
    .addOption(new Option("--detach", "start the check, and do not wait for its end").conflicts(["status", "cancel"]))
    .addOption(new Option("--status", "show how far a check is, and how the last one ended").conflicts(["cancel"]))
    .option("--cancel", "end the check that is under way, for everybody who waits for it")
    .addHelpText("after", HELP)
    .action(async ({ detach, status, cancel }: VerifyAllOptions, command: Command) => {
      const session = open(command);
      const client = await session.native("service-token");
      if (cancel === true) return cancelCheck(session, client);
      if (status === true) return showStand(session, client);
      return detach === true ? startCheck(session, client) : waitForCheck(session, client);
    });
}

async function startCheck(session: Session, client: NativeClient): Promise<void> {
  const headers = { Prefer: "respond-async" };
  const stand = await client.request({ method: "POST", path: ALL, body: {}, headers, time: "bounded" }, standSchema);
  session.show(stand, () => "Started. See how far it is by: securectl verify-all --status");
}

async function showStand(session: Session, client: NativeClient): Promise<void> {
  const stand = await standOf(client);
  const { current, last } = stand;
  const now = current === null ? "No check is under way." : `Under way: ${runText(current)}`;
  const before = last === null ? "No check has ended yet." : `Last check: ${endText(last)}`;
  session.show(stand, () => `${now}\n${before}`);
}

async function cancelCheck(session: Session, client: NativeClient): Promise<void> {
  const answer = await client.request({ method: "DELETE", path: ALL, time: "bounded" }, cancelledSchema);
  session.show(answer, () => (answer.cancelled === null ? "No check is under way." : "Cancelled."));
}

async function waitForCheck(session: Session, client: NativeClient): Promise<void> {
  const line = startStatusLine(session.terminal);
  const over = new AbortController();
  const following = follow(client, line, over.signal);
  try {
    const ask = { method: "POST", path: ALL, body: {}, answers: [409], time: "patient" } as const;
    report(session, await client.request(ask, resultSchema));
  } finally {
    over.abort();
    await following;
  }
}

/** Shows how far the check is. What goes wrong here is told by the request that waits for its end. */
async function follow(client: NativeClient, line: StatusLine, signal: AbortSignal): Promise<void> {
  try {
    for (;;) {
      await sleep(LOOK_MILLISECONDS, undefined, { signal });
      const { current } = await standOf(client);
      if (current !== null) line.update(() => `verifying: ${runText(current)}`);
    }
  } catch {
    // It is over, or cannot be followed.
  } finally {
    line.done();
  }
}

async function standOf(client: NativeClient): Promise<z.infer<typeof standSchema>> {
  return client.request({ method: "GET", path: ALL, time: "bounded" }, standSchema);
}

function runText({ progress, blobs_checked: blobs, bytes_checked: bytes }: z.infer<typeof runSchema>): string {
  return `${Math.floor(progress * 100)}%, ${blobs} blobs, ${sizeText(bytes)}`;
}

function endText({ status, detail, checked_at: at }: z.infer<typeof endedSchema>): string {
  return `${visible(status)} at ${visible(timeText(at))}${detail === null || detail === undefined ? "" : ` (${visible(detail)})`}`;
}

function report(session: Session, result: Result): void {
  session.show(result, () => resultText(result));
  if (result.status !== "ok") throw new CliError(EXIT.integrity, "some bytes are not those that were recorded");
}

/** What failed, in the words of verify, and how many there were of each. */
function resultText({ checked, models }: Result): string {
  const count = (status: string): number => models.filter((model) => model.status === status).length;
  const failures = models.flatMap((model) => (model.status === "failed" ? [failureText(model)] : []));
  const summary = `Checked: ${checked} (verified ${count("verified")}, failed ${count("failed")}, skipped ${count("skipped")})`;
  return [...failures, summary].join("\n");
}
