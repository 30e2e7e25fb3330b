import { type Command, InvalidArgumentError, Option } from "commander";
import type { LayoutReport } from "../../api/layout-report.ts";
import { publicKeyIn } from "../../lifecycle/proof-keys.ts";
import { STATES } from "../../lifecycle/state.ts";
import { CliError, EXIT } from "../failure.ts";
import { LayoutError } from "../layout-error.ts";
import { refusedLayout, reportOn } from "../layout-report.ts";
import { openLayout } from "../layout.ts";
import { collect, parseDuration } from "../options.ts";
import { shortDigest, sizeText, table, timeText } from "../output.ts";
import { startStatusLine } from "../progress.ts";
import { readSmallFile } from "../read-file.ts";
import type { OpenSession, Session } from "../session.ts";
import { visible } from "../visible.ts";

const MAX_KEY_BYTES = 65_536;
const SECOND = 1000;
const PEM = /-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----/g;

const HELP = `
It needs no network and no registry: only one of the registry's public keys, which you have from somewhere that you trust (GET /v1/keys, or
securectl signing-key list). The key that signs now is the best one; from an older one a chain of statements must lead to it. Every state is
rebuilt from the signed statements, and every byte is held to its digest. Whatever was hidden, forged, put in another order or belongs to
another time is refused, with a reason code each and the exit code 6.

An export does not learn of what happens later: --max-age bounds how old it may be, and it expires by itself. --require makes the command
fail with exit code 4 when the artifact is in another state: a layout may prove, too, that something is revoked.

Examples:
  securectl verify-layout ./phi-3 --key registry.pem --require trusted
  securectl verify-layout phi-3.tar --key registry.pem --max-age 24h --json`;

interface Options {
  readonly key: readonly string[];
  readonly maxAge?: number;
  readonly at?: number;
  readonly require?: string;
}

/** `verify-layout`: what an exported layout proves, with public keys alone. */
export function addVerifyLayout(program: Command, open: OpenSession): void {
  program
    .command("verify-layout")
    .summary("check an exported artifact offline, with public keys alone")
    .description("Rebuild the states of an exported artifact from its signed statements, without the registry.")
    .argument("<place>", "an OCI image layout: a folder, or a tar archive")
    .option("--key <file>", "PEM file with public keys of the registry that you trust; may be repeated", collect(filesIn), [])
    .option("--max-age <time>", "how old the snapshot may be, such as 24h, besides what it says itself", parseDuration)
    .option("--at <time>", "check as if it were this time, such as 2026-11-22T10:00:00Z", parseTime)
    .addOption(new Option("--require <state>", "fail when an artifact is in another state").choices(STATES))
    .addHelpText("after", HELP)
    .action(async (place: string, options: Options, command: Command) => {
      const session = open(command);
      const trusted = await trustedKeys(options.key.flat());
      const report = await reported(session, place, options, trusted);
      session.show(report, () => textOf(place, report));
      if (!report.accepted) throw new CliError(EXIT.integrity, `the layout proves nothing: ${codesIn(report)}`);
      demandState(report, options.require);
    });
}

/** Every artifact that was exported is in the state that was asked for. */
function demandState({ artifacts, states }: LayoutReport, wanted: string | undefined): void {
  if (wanted === undefined) return;
  for (const artifact of artifacts) {
    const state = states.find(({ digest }) => digest === artifact)?.state ?? "unknown";
    if (state !== wanted) throw new CliError(EXIT.denied, `${artifact} is ${state}, not ${wanted}`);
  }
}

async function reported(session: Session, place: string, { maxAge, at }: Options, trusted: ReadonlySet<string>): Promise<LayoutReport> {
  const checker = { trusted, now: at ?? Date.now(), maxAge: maxAge === undefined ? Infinity : maxAge * SECOND };
  const line = startStatusLine(session.terminal);
  try {
    const layout = await openLayout(place);
    try {
      return await reportOn(layout, checker, (bytes) => line.update(() => `checking ${place}: ${sizeText(bytes)}`));
    } finally {
      await layout.close();
    }
  } catch (error) {
    if (error instanceof LayoutError) return refusedLayout(error);
    throw error;
  } finally {
    line.done();
  }
}

function filesIn(text: string): readonly string[] {
  return text.split(",").filter((file) => file !== "");
}

async function trustedKeys(files: readonly string[]): Promise<ReadonlySet<string>> {
  if (files.length === 0) throw new CliError(EXIT.usage, "name a public key of the registry that you trust: --key FILE");
  const ids = new Set<string>();
  for (const file of files) {
    const found = (await readSmallFile(file, MAX_KEY_BYTES)).toString("latin1").match(PEM) ?? [];
    const keys = found.map((pem) => publicKeyIn(pem));
    for (const key of keys) if (key !== undefined) ids.add(key.id);
    if (keys.length === 0 || keys.includes(undefined)) {
      throw new CliError(EXIT.usage, `${file} must hold public keys of the registry in PEM: ECDSA on P-256`);
    }
  }
  return ids;
}

function parseTime(text: string): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(time)) throw new InvalidArgumentError("It must be a time such as 2026-11-22T10:00:00Z.");
  return time;
}

function codesIn({ faults }: LayoutReport): string {
  return [...new Set(faults.map(({ code }) => code))].join(", ");
}

function textOf(place: string, report: LayoutReport): string {
  return report.accepted ? acceptedText(report) : refusedText(place, report);
}

function acceptedText(report: LayoutReport): string {
  const { repository, artifacts, states, taken_at: at, expires_at: until, evidence, content } = report;
  const rows = states.map(({ digest: artifact, state, sequence, permanent, history }) => {
    const last = history.at(-1);
    return [
      shortDigest(artifact),
      permanent ? `${state} (permanently)` : state,
      String(sequence),
      last === undefined ? "" : timeText(last.at),
      last?.actor ?? "",
    ];
  });
  const proven = artifacts.map((artifact) => {
    const { state = "unknown" } = states.find((each) => each.digest === artifact) ?? {};
    return `PROVEN: ${repository ?? ""}@${artifact} is ${state}`;
  });
  const covered = evidence.filter((each) => each.covered).length;
  return [
    ...proven,
    `as of ${timeText(at ?? "")}, to be relied on until ${timeText(until ?? "")}`,
    "",
    table(["ARTIFACT", "STATE", "SEQ", "SINCE", "BY"], rows),
    "",
    `${content.blobs} blobs, ${sizeText(content.bytes)}, have the right bytes; of ${evidence.length} attached, ${covered} are covered by the promotion`,
    ...signersText(report),
  ].join("\n");
}

/** Whose evidence counts no more, though the registry left the artifact as it is: others may have signed as well. */
function signersText({ signers }: LayoutReport): readonly string[] {
  const lines = signers.flatMap(({ signer, sequence, requirement, revoked_by: by }) =>
    by === null ? [] : `Believed no more: ${signerText(signer)}, who signed for ${visible(requirement)} (promotion ${sequence}): ${by}`,
  );
  return [...new Set(lines)];
}

function signerText(signer: LayoutReport["signers"][number]["signer"]): string {
  if (signer.type === "key") return `key ${signer.fingerprint}`;
  return signer.type === "identity" ? `${visible(signer.subject)} of ${visible(signer.issuer)}` : visible(signer.subject);
}

function refusedText(place: string, { faults, states }: LayoutReport): string {
  const lines = faults.map(({ code, message, about }) => `  ${code}: ${message}${about === null ? "" : ` (${about})`}`);
  const revoked = states.map(({ repository, digest }) => `  ${repository}@${digest} is revoked, permanently`);
  return [`REFUSED: ${place}`, ...lines, ...revoked].join("\n");
}
