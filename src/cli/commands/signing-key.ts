import type { Command } from "commander";
import { type PublicKeyView, publicKeyList, publicKeyView } from "../../api/keys.ts";
import { CliError, EXIT } from "../failure.ts";
import { reasonOption, withYes } from "../options.ts";
import { table, timeText } from "../output.ts";
import type { OpenSession } from "../session.ts";

const HELP = `
Anyone can check the registry's statements with these keys: those that sign artifacts' histories have the purpose attestation.

Examples:
  securectl signing-key show > registry.pem
  securectl signing-key list --json
  securectl signing-key rotate --reason "yearly change"`;

/** `signing-key`: the registry's own keys, as opposed to those of its clients. */
export function addSigningKey(program: Command, open: OpenSession): void {
  const signingKey = program
    .command("signing-key")
    .summary("list the registry's public keys, or change the one that signs")
    .description("List the registry's public keys, or have a new one sign statements.")
    .addHelpText("after", HELP);
  signingKey
    .command("list")
    .summary("list public keys")
    .description("List every public key with which the registry signs or signed.")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { keys } = await session.nobody().request({ method: "GET", path: "/v1/keys" }, publicKeyList);
      session.show({ keys }, () => listText(keys));
    });
  addShow(signingKey, open);
  addRotate(signingKey, open);
}

function addShow(signingKey: Command, open: OpenSession): void {
  signingKey
    .command("show")
    .summary("print a public key in PEM")
    .description(
      "Print the public key that signs statements now in PEM, as verify-layout, cosign and openssl read it, or another one by its id.",
    )
    .argument("[id]", "id of a key, as signing-key list tells it")
    .action(async (id: string | undefined, _options: object, command: Command) => {
      const session = open(command);
      const { keys } = await session.nobody().request({ method: "GET", path: "/v1/keys" }, publicKeyList);
      const isMeant = (key: PublicKeyView): boolean =>
        id === undefined ? key.purpose === "attestation" && key.valid_until === null : key.id === id;
      const key = keys.find(isMeant);
      if (key === undefined) throw new CliError(EXIT.notFound, "The registry has no such key: see securectl signing-key list.");
      session.show(key, () => key.pem.trimEnd());
    });
}

function addRotate(signingKey: Command, open: OpenSession): void {
  const rotate = signingKey
    .command("rotate")
    .summary("have a new key sign from now on")
    .description("Make a new key and have it sign statements from now on. The old one signs that it is followed by it, and is destroyed.")
    .addOption(reasonOption());
  withYes(rotate).action(async ({ reason, yes }: { readonly reason?: string; readonly yes?: boolean }, command: Command) => {
    const session = open(command);
    await session.confirm("The key that signs now is destroyed.", yes);
    const ask = { method: "POST", path: "/v1/keys/rotate", body: { reason } } as const;
    const made = await (await session.native("operator")).request(ask, publicKeyView);
    session.show(made, () => `Signing from now on: ${made.id}`);
  });
}

function listText(keys: readonly PublicKeyView[]): string {
  const rows = keys.map(({ id, purpose, algorithm, valid_from: from, valid_until: until }) => [
    id,
    purpose,
    algorithm,
    timeText(from),
    until === null ? "now" : timeText(until),
  ]);
  return table(["ID", "PURPOSE", "ALGORITHM", "FROM", "UNTIL"], rows);
}
