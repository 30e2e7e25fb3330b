import { type Command, InvalidArgumentError } from "commander";
import {
  type AuditEntry,
  type AuditPage,
  type AuditVerification,
  auditPageSchema,
  auditVerificationSchema,
  linkOf,
} from "../../api/audit.ts";
import { type Link, type Verification, verify } from "../../audit/chain.ts";
import { isDigest } from "../../oci/digest.ts";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import type { AuditProof } from "../json-outputs.ts";
import { parseCount, parseSequence } from "../options.ts";
import { table, timeText } from "../output.ts";
import type { OpenSession, Session } from "../session.ts";

interface ListOptions {
  readonly actor?: string;
  readonly artifact?: string;
  readonly type?: string;
  readonly after: number;
  readonly limit: number;
}

interface Head {
  readonly sequence: number;
  readonly hash: string;
}

const PAGE = 1000;

const HELP = `
Examples:
  securectl audit --artifact models/phi-3:v1
  securectl audit --actor operator --type artifact.promote --json
  securectl audit verify --head 1200:sha256:0123...`;

/** `audit`: what happened, and the proof that none of it was changed. */
export function addAudit(program: Command, open: OpenSession): void {
  const audit = program
    .command("audit")
    .summary("list audit events, or prove their chain")
    .description("List audit events, oldest first.")
    .option("--actor <name>", "only what this identity did")
    .option("--artifact <ref>", "only what concerns this repository, tag or digest")
    .option("--type <type>", "only events of this type, or of the types under it: artifact, artifact.promote")
    .option("--after <sequence>", "go on after this event", parseSequence, 0)
    .option("--limit <count>", "how many at most", parseCount, 100)
    .addHelpText("after", HELP)
    .action(async (options: ListOptions, command: Command) => {
      const session = open(command);
      const listed = await list(await session.native("operator"), options);
      session.show({ events: listed.events, next: listed.next }, () => listText(listed.events));
      if (listed.next !== null) session.terminal.say(`There are more: --after ${listed.next}`);
    });
  addVerify(audit, open);
}

async function list(client: NativeClient, { limit, after, ...filter }: ListOptions): Promise<Pick<AuditPage, "events" | "next">> {
  const events: AuditEntry[] = [];
  let next: number | null = after;
  do {
    const query: Record<string, string | number | undefined> = {
      ...queryOf(filter),
      after: next,
      limit: Math.min(PAGE, limit - events.length),
    };
    const page: AuditPage = await client.request({ method: "GET", path: "/v1/audit", query }, auditPageSchema);
    events.push(...page.events);
    next = page.next;
  } while (next !== null && events.length < limit);
  return { events, next };
}

function queryOf({ actor, artifact, type }: Omit<ListOptions, "after" | "limit">): Record<string, string | undefined> {
  return { actor, artifact, type };
}

function listText(events: readonly AuditEntry[]): string {
  if (events.length === 0) return "No events.";
  const rows = events.map(({ sequence, time, type, outcome, actor, target, count, reason }) => [
    String(sequence),
    timeText(time),
    outcome === "allow" ? type : `${type} (${outcome})`,
    actor.principal,
    targetText(target),
    count === undefined || count === 1 ? "" : `x${count}`,
    reason ?? "",
  ]);
  return table(["SEQ", "TIME", "TYPE", "BY", "TARGET", "TIMES", "REASON"], rows);
}

function targetText(target: AuditEntry["target"]): string {
  if (target === undefined) return "-";
  const { kind, name, tag, digest } = target;
  return `${kind} ${name}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

const VERIFY_HELP = `
The chain is read whole and proved here, so that the registry's own word is not needed. Note the head that is shown: given to a later
run by --head, it proves that the chain was not cut back or written anew since. A broken chain exits with 6.`;

function addVerify(audit: Command, open: OpenSession): void {
  audit
    .command("verify")
    .summary("prove that no event was changed, left out or reordered")
    .description("Prove the hash chain of all audit events.")
    .option("--head <sequence:hash>", "an earlier head, which the chain must hold", headArgument)
    .option("--on-server", "let the registry prove it, which is quicker")
    .addHelpText("after", VERIFY_HELP)
    .action(async (options: { readonly head?: Head; readonly onServer?: boolean }, command: Command) => {
      const session = open(command);
      const client = await session.native("operator");
      if (options.onServer === true && options.head !== undefined)
        throw new CliError(EXIT.usage, "--head is compared here: leave out --on-server");
      const proof = options.onServer === true ? await proveThere(client) : await proveHere(client, options.head);
      report(session, proof);
    });
}

interface Proof {
  readonly checked: number;
  readonly head: Head | null;
  readonly broken: { readonly sequence: number; readonly reason: string } | null;
}

function report({ terminal, json }: Session, { checked, head, broken }: Proof): void {
  const proof: AuditProof = { intact: broken === null, checked, head, broken };
  if (json) terminal.printJson(proof);
  if (broken !== null) throw new CliError(EXIT.integrity, `The audit chain is broken at event ${broken.sequence}: ${broken.reason}.`);
  if (!json) terminal.print(`Intact: ${checked} events\nHead: ${head === null ? "none" : `${head.sequence}:${head.hash}`}`);
}

async function proveHere(client: NativeClient, expected: Head | undefined): Promise<Proof> {
  let [checked, last, next]: [number, Link | undefined, number | null] = [0, undefined, 0];
  let head: AuditPage["head"] = null;
  while (next !== null) {
    const page: AuditPage = await client.request(
      { method: "GET", path: "/v1/audit", query: { after: next, limit: PAGE } },
      auditPageSchema,
    );
    const links = page.events.map(linkOf);
    const result: Verification = verify(links, last);
    checked += links.length;
    if (!result.intact) return { checked, head: headOf(last), broken: result };
    const other = expected && links.find(({ sequence, hash }) => sequence === expected.sequence && hash !== expected.hash);
    if (other !== undefined)
      return { checked, head: headOf(last), broken: { sequence: other.sequence, reason: "it is not the event that the given head names" } };
    [last, next, head] = [result.head, page.next, page.head];
  }
  return { checked, head: headOf(last), broken: endFault(last, head, expected) };
}

/** A chain that lost its last links is whole in itself; the head that the registry keeps, and an earlier one, tell. */
function endFault(last: Link | undefined, head: AuditPage["head"], expected: Head | undefined): Proof["broken"] {
  const end = last?.sequence ?? 0;
  if (end < Math.max(head?.sequence ?? 0, expected?.sequence ?? 0)) return { sequence: end + 1, reason: "the chain ends before its head" };
  return null;
}

async function proveThere(client: NativeClient): Promise<Proof> {
  let [checked, next]: [number, number | null] = [0, 0];
  for (;;) {
    const part: AuditVerification = await client.request(
      { method: "GET", path: "/v1/audit/verify", query: { after: next ?? 0 } },
      auditVerificationSchema,
    );
    checked += part.checked;
    next = part.next;
    if (next === null) return { checked, head: part.head, broken: part.broken };
  }
}

function headOf(link: Link | undefined): Head | null {
  return link === undefined ? null : { sequence: link.sequence, hash: link.hash };
}

function headArgument(text: string): Head {
  const colon = text.indexOf(":");
  const [sequence, hash] = [text.slice(0, colon), text.slice(colon + 1)];
  if (!/^[1-9]\d{0,14}$/.test(sequence) || !isDigest(hash))
    throw new InvalidArgumentError("It must be <sequence>:<hash>, as an earlier run showed it.");
  return { sequence: Number(sequence), hash };
}
