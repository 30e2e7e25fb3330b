import { statfs } from "node:fs/promises";
import { TLSSocket } from "node:tls";
import type { Command } from "commander";
import { z } from "zod";
import { type WhoamiAnswer, whoamiAnswer } from "../../api/whoami.ts";
import { type Check, certificateCheck, check, clockCheck, contentCheck, diskCheck, identityText } from "../checks.ts";
import type { NativeClient } from "../client.ts";
import type { Role } from "../credential.ts";
import { CliError, EXIT } from "../failure.ts";
import { HttpClient, readJson } from "../http.ts";
import type { DoctorReport } from "../json-outputs.ts";
import { isLoopback } from "../server-url.ts";
import type { OpenSession, Session } from "../session.ts";
import { visible } from "../visible.ts";

const MAX_BYTES = 64 * 1024;
/** Whose credentials commands take. */
const ROLES: readonly Role[] = ["operator", "service-token", "publisher", "runtime"];

const healthSchema = z.looseObject({ status: z.string(), insecure_dev_mode: z.boolean().default(false) });
const statsSchema = z.looseObject({ damaged_count: z.number() });
const standSchema = z.looseObject({
  last: z.looseObject({ status: z.string(), checked_at: z.string(), detail: z.string().nullish() }).nullable(),
});

const HELP = `
Each line begins with ok, warn or FAIL. Without a FAIL it exits with 0, else with the code of the first one: 8 for a registry that is
away, 3 for a credential that is refused, 6 for damaged content, 1 for the rest. Credentials are looked for as commands look for them.

Examples:
  securectl doctor
  REGISTRY_URL=https://registry.example securectl doctor --token-file key --json`;

/** `doctor`: is everything that securectl needs as it should be? */
export function addDoctor(program: Command, open: OpenSession): void {
  program
    .command("doctor")
    .summary("check registry, credentials, clock, certificate, content and disk")
    .description("Check that the registry is up and takes your credentials, and that clock, certificate, content and disk are well.")
    .addHelpText("after", HELP)
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      report(session, await examine(session));
    });
}

function report(session: Session, checks: readonly Check[]): void {
  const failed = checks.filter(({ status }) => status === "fail");
  const shown = checks.map(({ name, status, message }) => ({ name, status, message }));
  const found: DoctorReport = { healthy: failed.length === 0, checks: shown };
  session.show(found, () => shown.map(lineOf).join("\n"));
  if (failed[0] !== undefined) throw new CliError(failed[0].exit, `${failed.length} of ${checks.length} checks failed`);
}

function lineOf({ name, status, message }: Pick<Check, "name" | "status" | "message">): string {
  return `${(status === "fail" ? "FAIL" : status).padEnd(4)} ${name}: ${visible(message)}`;
}

async function examine(session: Session): Promise<readonly Check[]> {
  const seen = await probe(session.server).catch((error: unknown) => failureOf("server", error));
  const disk = await examineDisk(session);
  if ("status" in seen) return [seen, ...disk];
  const identities = await examineCredentials(session);
  const known = identities.find(({ answer }) => answer !== undefined);
  return [
    serverCheck(session.server, seen, known?.answer),
    ...(seen.validTo === undefined ? [] : [certificateCheck(seen.validTo, Date.now())]),
    clockCheck(seen.date, seen.asked, seen.got),
    ...credentialChecks(identities),
    ...(await examineContent(known?.client ?? session.nobody())),
    ...disk,
  ];
}

function failureOf(name: string, error: unknown): Check {
  if (!(error instanceof CliError)) throw error;
  return check(name, "fail", error.message, error.exit);
}

/** What one answer of the registry tells. */
interface Seen {
  readonly health: z.infer<typeof healthSchema>;
  readonly code: number;
  readonly date: string | undefined;
  /** End of its certificate; undefined by http. */
  readonly validTo: string | undefined;
  /** Epoch milliseconds. */
  readonly asked: number;
  readonly got: number;
}

/** Asks without a credential, and whether it is ready to serve: up it may be without a disk to write to. */
async function probe(server: URL): Promise<Seen> {
  const http = new HttpClient(server);
  try {
    const asked = Date.now();
    const answer = await http.send({ method: "GET", path: "/readyz", time: "bounded" });
    const got = Date.now();
    const { socket } = answer.body;
    const validTo = socket instanceof TLSSocket ? socket.getPeerCertificate().valid_to : undefined;
    const ready = await readJson(answer, MAX_BYTES, healthSchema);
    const health = await readJson(await http.send({ method: "GET", path: "/health", time: "bounded" }), MAX_BYTES, healthSchema);
    return { health: { ...health, status: ready.status }, code: answer.status, date: answer.headers.date, validTo, asked, got };
  } finally {
    http.close();
  }
}

function serverCheck({ origin }: URL, { health, code }: Seen, known: WhoamiAnswer | undefined): Check {
  const version = known === undefined ? "" : `, version ${known.version}`;
  if (code !== 200) return check("server", "fail", `${origin} is up${version}, but not ready: ${health.status}`, EXIT.unavailable);
  if (health.status === "degraded")
    return check("server", "warn", `${origin} is up${version}, and its storage is full: it takes no uploads`);
  if (health.insecure_dev_mode) return check("server", "warn", `${origin} is up${version}, in the insecure development mode`);
  return check("server", "ok", `${origin} is up${version}`);
}

/** A credential that was found, or what is wrong with it. */
interface Identity {
  readonly source: string;
  readonly client: NativeClient;
  readonly answer: WhoamiAnswer | undefined;
  readonly failure: Check | undefined;
}

async function examineCredentials(session: Session): Promise<readonly Identity[]> {
  const identities = new Map<string, Identity>();
  for (const role of ROLES) {
    try {
      const credential = await session.findCredential(role, role === "publisher" || role === "runtime");
      if (credential !== undefined && !identities.has(credential.source))
        identities.set(credential.source, await identify(session.clientOf(credential), credential.source));
    } catch (error) {
      const failure = failureOf("credential", error);
      identities.set(failure.message, { source: "", client: session.nobody(), answer: undefined, failure });
    }
  }
  return [...identities.values()];
}

async function identify(client: NativeClient, source: string): Promise<Identity> {
  try {
    const answer = await client.request({ method: "GET", path: "/v1/whoami", time: "bounded" }, whoamiAnswer);
    return { source, client, answer, failure: undefined };
  } catch (error) {
    const { message, exit } = failureOf("credential", error);
    return { source, client, answer: undefined, failure: check("credential", "fail", `${source}: ${message}`, exit) };
  }
}

function credentialChecks(identities: readonly Identity[]): readonly Check[] {
  if (identities.length === 0) return [check("credential", "warn", "none was found: see securectl --help for where they are looked for")];
  return identities.map(
    ({ source, answer, failure }) =>
      failure ?? check("credential", "ok", `${source} is of ${answer === undefined ? "somebody" : identityText(answer)}`),
  );
}

/** What the registry knows of its content; nothing where the caller may not know. */
async function examineContent(client: NativeClient): Promise<readonly Check[]> {
  try {
    const { damaged_count: damaged } = await client.request({ method: "GET", path: "/v1/stats", time: "bounded" }, statsSchema);
    const { last } = await client.request({ method: "GET", path: "/v1/models/verify-all", time: "bounded" }, standSchema);
    return [contentCheck({ damaged, last })];
  } catch (error) {
    const failure = failureOf("content", error);
    return failure.exit === EXIT.authentication || failure.exit === EXIT.denied ? [] : [failure];
  }
}

/** The disk of a registry on this machine, where its directory is to be found. */
async function examineDisk({ server, dataDirectory }: Session): Promise<readonly Check[]> {
  if (!isLoopback(server.hostname)) return [];
  try {
    const { bavail, blocks, bsize } = await statfs(dataDirectory);
    return [diskCheck(dataDirectory, { free: bavail * bsize, total: blocks * bsize })];
  } catch {
    return [];
  }
}
