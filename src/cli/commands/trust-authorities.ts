import { type Command, InvalidArgumentError, Option } from "commander";
import { type RevokedAuthorityView, liftedAuthority, revokedAuthorityList, revokedAuthorityView } from "../../api/authorities.ts";
import { isDigest } from "../../oci/digest.ts";
import { CliError, EXIT } from "../failure.ts";
import { reasonOption, withYes } from "../options.ts";
import { table, timeText } from "../output.ts";
import { readSmallFile } from "../read-file.ts";
import type { OpenSession } from "../session.ts";
import { digestOption } from "../trust-root.ts";
import { visible } from "../visible.ts";

const PATH = "/v1/revoked-authorities";
const MAX_PEM = 16_384;

const HELP = `
From the next decision on nothing that the key or identity signed counts, under whichever policy. Artifacts that became trusted by it, and do
not pass their policies without it, are revoked in the background; those that are not trusted yet are quarantined. Evidence from before --from
counts, where a trusted time shows that it is from before.

Examples:
  securectl trust revoke-authority --key publisher.pem --reason "the key was on a stolen laptop"
  securectl trust revoke-authority --issuer https://issuer.corp.example --subject "https://git.corp.example/ml/demo/**" \\
    --from 2026-03-01T00:00:00Z --reason "the build machine was taken over"
  securectl trust revoked`;

const LIFT_HELP = `
Evidence counts again from the next decision on. What was revoked or quarantined because of it stays so: promote it again where that is right.

Example:
  securectl trust lift-authority sha256:0123... --reason "the laptop was found, and its disk was encrypted"`;

interface RevokeOptions {
  readonly key?: string;
  readonly issuer?: string;
  readonly root?: string;
  readonly anyRoot?: boolean;
  readonly subject?: string;
  readonly from?: string;
  readonly reason?: string;
  readonly yes?: boolean;
}

/** `trust revoke-authority`, `revoked` and `lift-authority`: publishers who are believed no more. */
export function addTrustAuthorities(trust: Command, open: OpenSession): void {
  addRevoke(trust, open);
  addRevoked(trust, open);
  addLift(trust, open);
}

function addRevoke(trust: Command, open: OpenSession): void {
  const command = trust
    .command("revoke-authority")
    .summary("have a publisher be believed no more")
    .description("Have the evidence of a publisher's key or identity count no more, and what rested on it be looked at.")
    .addOption(
      new Option("--key <file-or-digest>", "a public key (PEM), or the SHA-256 of its SPKI").conflicts([
        "issuer",
        "root",
        "anyRoot",
        "subject",
      ]),
    )
    .addOption(new Option("--issuer <url>", "who issued the identity").conflicts(["root", "anyRoot"]))
    .addOption(digestOption("--root <digest>", "SHA-256 of the pinned certificate that the signer's is below"))
    .addOption(new Option("--any-root", "below whichever certificates policies pin, now or later").conflicts("root"))
    .addOption(new Option("--subject <text>", "the identity; a pattern where it has a *, which covers all of the text"))
    .addOption(
      new Option("--from <time>", "from which time on, such as 2026-03-01T00:00:00Z (default: whenever it signed)").argParser(parseTime),
    )
    .addOption(reasonOption());
  withYes(command)
    .addHelpText("after", HELP)
    .action(async (options: RevokeOptions, self: Command) => {
      const session = open(self);
      const authority = await authorityOf(options);
      const { from, reason, yes } = options;
      if (reason === undefined) throw new CliError(EXIT.usage, "--reason is needed: the signed statement tells it");
      await session.confirm("Artifacts that rest on this authority alone are revoked.", yes);
      const ask = { method: "POST", path: PATH, body: { authority, from, reason } } as const;
      const revoked = await (await session.native("operator")).request(ask, revokedAuthorityView);
      session.show(revoked, () => `Revoked: ${authorityText(revoked)}\nStatement: ${revoked.statement}`);
    });
}

function addRevoked(trust: Command, open: OpenSession): void {
  trust
    .command("revoked")
    .summary("list publishers who are believed no more")
    .description("List the publishers' keys and identities whose evidence counts no more, and what became of what rested on it.")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const list = await (await session.native("operator")).request({ method: "GET", path: PATH }, revokedAuthorityList);
      session.show(list, () => listText(list.revoked_authorities));
    });
}

function addLift(trust: Command, open: OpenSession): void {
  const command = trust
    .command("lift-authority")
    .summary("believe a publisher again")
    .description("Let the evidence of a revoked authority count again.")
    .argument("<statement>", "the digest of the statement that revoked it, as trust revoked tells it")
    .addOption(reasonOption());
  withYes(command)
    .addHelpText("after", LIFT_HELP)
    .action(async (statement: string, { reason, yes }: Pick<RevokeOptions, "reason" | "yes">, self: Command) => {
      const session = open(self);
      if (reason === undefined) throw new CliError(EXIT.usage, "--reason is needed: the signed statement tells it");
      await session.confirm("What this authority signed counts again.", yes);
      const ask = { method: "DELETE", path: `${PATH}/${encodeURIComponent(statement)}`, body: { reason } } as const;
      const lifted = await (await session.native("operator")).request(ask, liftedAuthority);
      session.show(lifted, () => `Lifted: ${authorityText(lifted)}`);
    });
}

function parseTime(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/.test(text) || Number.isNaN(Date.parse(text)))
    throw new InvalidArgumentError("It must be a time in UTC, such as 2026-03-01T00:00:00Z.");
  return text;
}

async function authorityOf({ key, issuer, root, anyRoot = false, subject }: RevokeOptions): Promise<object> {
  if (key !== undefined) return { type: "key", fingerprint: isDigest(key) ? key : await fingerprintIn(key) };
  if (subject === undefined || (issuer === undefined) === (root === undefined && !anyRoot))
    throw new CliError(EXIT.usage, "name a --key, or an --issuer with a --subject, or a --root or --any-root with a --subject");
  const match = subject.includes("*") ? { glob: subject } : { exact: subject };
  return issuer === undefined
    ? { type: "certificate", ...(root !== undefined && { root }), subject: match }
    : { type: "identity", issuer: { exact: issuer }, subject: match };
}

async function fingerprintIn(file: string): Promise<string> {
  const { fingerprintOf, publicKeyFrom } = await import("../../trust/public-key.ts");
  const key = publicKeyFrom((await readSmallFile(file, MAX_PEM)).toString("utf8"));
  if (key === undefined) throw new CliError(EXIT.usage, "the file must hold one public key in PEM");
  return fingerprintOf(key);
}

function authorityText({ authority }: Pick<RevokedAuthorityView, "authority">): string {
  if (authority.type === "key") return `key ${authority.fingerprint}`;
  const subject = visible("exact" in authority.subject ? authority.subject.exact : authority.subject.glob);
  if (authority.type === "identity") return `${subject} of ${visible(authority.issuer.exact)}`;
  return `${subject} below ${authority.root ?? "any pinned certificate"}`;
}

function listText(revoked: readonly RevokedAuthorityView[]): string {
  const rows = revoked.map((each) => [
    authorityText(each),
    each.from === null ? "always" : timeText(each.from),
    each.revoked_by,
    followedText(each.followed),
    each.statement,
    visible(each.reason),
  ]);
  return table(["AUTHORITY", "FROM", "BY", "ARTIFACTS", "STATEMENT", "REASON"], rows);
}

function followedText(followed: RevokedAuthorityView["followed"]): string {
  if (followed === null) return "under way";
  return `${followed.revoked} revoked, ${followed.quarantined} quarantined, ${followed.kept} kept`;
}
