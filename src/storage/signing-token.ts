import { createHash, verify } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type EndedProgram, runToEnd } from "./child-program.ts";
import { derSignature } from "./ecdsa-signature.ts";
import { type PublicSigningKey, givenKey, publicSigningKey } from "./given-key.ts";
import { type Signer, SigningError, type SigningKeys } from "./signing-keys.ts";
import { SigningQueue } from "./signing-queue.ts";

/** A key in a PKCS #11 token, and how it is reached. */
export interface TokenKey {
  /** OpenSC's `pkcs11-tool`, by its path or its name. */
  readonly tool: string;
  /** The shared library that comes with the token. */
  readonly module: string;
  /** The token's label. */
  readonly token: string;
  /** CKA_ID of the key pair, in hexadecimal. The tool heeds no label when it signs. */
  readonly keyId: string;
  readonly pin: string;
  /** How long (ms) the token may take for one answer. */
  readonly timeout?: number;
}

const WHAT = "the signing token";
const TIMEOUT = 10_000;
/** The public key has 91 bytes in DER, a signature 64. */
const MAX_OUTPUT = 1024;
/** Where the tool finds the PIN: a command line is there for everybody on the machine to read. */
const PIN_VARIABLE = "AI_MODEL_REGISTRY_TOKEN_PIN";
const MAX_TRIES = 3;
/** Between two tries, in milliseconds. */
const PAUSE = 100;
/** No statement, whose encoding begins with DSSEv1: whoever sees the signature has no use for it. */
const TRIAL = new TextEncoder().encode("does this key sign?");

/**
 * A key that never leaves a PKCS #11 token (a hardware security module, a card, SoftHSM): OpenSC's tool is run for every signature, since
 * there is no module of Node's that speaks to tokens without a compiler. The public key is read from the token, and something is signed at once, so that
 * a wrong PIN costs one of the token's tries and not one a transition. What `kept` holds can still be opened, to sign that it was replaced. Throws
 * `SigningError` with what is wrong, and the remedy.
 */
export async function openSigningToken(key: TokenKey, kept: SigningKeys): Promise<SigningKeys> {
  const signer = signerOf(key, await readPublicKey(key));
  await signer.sign(TRIAL);
  return givenKey(signer, kept);
}

async function readPublicKey(key: TokenKey): Promise<PublicSigningKey> {
  const read = ["--read-object", "--type", "pubkey"];
  const open = await runTool(key, read, { withPin: false });
  // Some tokens show their public keys only to who is logged in.
  const { end, output, said } = open.end === 0 && open.output.byteLength > 0 ? open : await runTool(key, read, { withPin: true });
  if (end !== 0) throw failed(key, said, end);
  const found = publicSigningKey({ key: Buffer.from(output), format: "der", type: "spki" });
  if (found !== undefined) return found;
  throw new SigningError(`the key ${key.keyId} of ${WHAT} must be an ECDSA key on P-256 with its public half beside it`);
}

function signerOf(key: TokenKey, { key: publicKey, named }: PublicSigningKey): Signer {
  const queue = new SigningQueue(WHAT);
  let locked: SigningError | undefined;
  return {
    ...named,
    sign: (bytes) =>
      queue.run(async () => {
        // Tokens lock themselves after a few wrong tries.
        if (locked !== undefined) throw locked;
        const input = createHash("sha256").update(bytes).digest();
        const { end, output, said } = await signPatiently(key, input);
        if (isAboutPin(said)) locked = failed(key, said, end);
        if (end !== 0) throw locked ?? failed(key, said, end);
        const signature = derSignature(output);
        if (signature !== undefined && verify("sha256", bytes, publicKey, signature)) return signature;
        throw new SigningError(`what ${WHAT} gave is no signature by its public key ${key.keyId}`);
      }),
  };
}

/** Other processes log in to the same token: SoftHSM, whose files they write meanwhile, then looks empty or broken for a moment. */
async function signPatiently(key: TokenKey, input: Uint8Array): Promise<EndedProgram> {
  for (let tries = 1; ; tries += 1) {
    const ended = await runTool(key, ["--sign", "--mechanism", "ECDSA"], { withPin: true, input });
    if (ended.end === 0 || isAboutPin(ended.said) || tries === MAX_TRIES) return ended;
    await sleep(PAUSE);
  }
}

function runTool(
  { tool, module, token, keyId, pin, timeout = TIMEOUT }: TokenKey,
  what: readonly string[],
  { withPin, input = new Uint8Array() }: { readonly withPin: boolean; readonly input?: Uint8Array },
): Promise<EndedProgram> {
  const login = withPin ? ["--login", "--pin", `env:${PIN_VARIABLE}`] : [];
  // oxlint-disable-next-line node/no-process-env -- the child has what this process has, which modules find their settings in, and the PIN
  const env = { ...process.env, ...(withPin ? { [PIN_VARIABLE]: pin } : {}) };
  const args = ["--module", module, "--token-label", token, ...login, ...what, "--id", keyId];
  return runToEnd({ what: `${WHAT}'s program ${tool}`, path: tool, args, env, input, timeout, maxOutput: MAX_OUTPUT });
}

function isAboutPin(said: string): boolean {
  return /\bCKR_PIN_\w+/.test(said);
}

/** What is wrong, in words; of what the tool says only the code that it has from the token. */
function failed({ module, token, keyId }: TokenKey, said: string, end: EndedProgram["end"]): SigningError {
  const [code] = /\bCKR_\w+/.exec(said) ?? [];
  if (isAboutPin(said)) {
    return new SigningError(
      `${WHAT} refuses the PIN (${code ?? ""}): mend its file and start again; it is not tried again, since tokens lock themselves`,
    );
  }
  if (/Failed to load pkcs11 module|sc_dlopen failed/.test(said)) {
    return new SigningError(`the PKCS #11 module ${module} cannot be loaded: is it there, and for this machine?`);
  }
  if (/No slot with token named|No slots/.test(said)) {
    return new SigningError(`the PKCS #11 module finds no token with the label ${token}: is it plugged in?`);
  }
  if (/key not found|object not found/i.test(said)) return new SigningError(`${WHAT} has no key with the id ${keyId}`);
  return new SigningError(`${WHAT} failed with ${code ?? `exit code ${end}`}`);
}
