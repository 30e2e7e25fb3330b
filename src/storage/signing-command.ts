import { verify } from "node:crypto";
import { runToEnd } from "./child-program.ts";
import { givenKey, publicSigningKey } from "./given-key.ts";
import { type Signer, SigningError, type SigningKeys } from "./signing-keys.ts";
import { SigningQueue } from "./signing-queue.ts";

/** A program that signs, and the key with which it does. */
export interface SigningCommand {
  readonly path: string;
  /** SPKI of an ECDSA key on P-256. */
  readonly publicPem: string;
  /** How long (ms) one signature may take. */
  readonly timeout?: number;
}

const WHAT = "the signing command";
const TIMEOUT = 10_000;
/** A DER signature on P-256 has at most 72 bytes. */
const MAX_OUTPUT = 1024;

/**
 * A key that the registry does not hold: a program gets the bytes to sign on standard input and writes the signature (ECDSA over their SHA-256,
 * DER) to standard output. Key services are reached by one. What `kept` holds can still be opened, to sign that it was replaced. Throws
 * `SigningError` for an unsuitable public key.
 */
export function openSigningCommand(command: SigningCommand, kept: SigningKeys): SigningKeys {
  return givenKey(signerOf(command), kept);
}

function signerOf(command: SigningCommand): Signer {
  const found = publicSigningKey(command.publicPem);
  if (found === undefined) throw new SigningError("REGISTRY_SIGN_PUBLIC_KEY must be a PEM file with an ECDSA public key on P-256");
  const queue = new SigningQueue(WHAT);
  return {
    ...found.named,
    sign: (bytes) =>
      queue.run(async () => {
        const signature = await outputOf(command, bytes);
        if (!verify("sha256", bytes, found.key, signature)) {
          throw new SigningError(`what ${WHAT} gave is no signature by the configured public key`);
        }
        return signature;
      }),
  };
}

async function outputOf({ path, timeout = TIMEOUT }: SigningCommand, input: Uint8Array): Promise<Uint8Array> {
  const { end, output } = await runToEnd({ what: WHAT, path, args: [], input, timeout, maxOutput: MAX_OUTPUT });
  if (end !== 0) throw new SigningError(`${WHAT} ended with ${end}`);
  return output;
}
