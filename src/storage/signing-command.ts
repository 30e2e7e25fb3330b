import { type ChildProcess, spawn } from "node:child_process";
import { type KeyObject, createPublicKey, verify } from "node:crypto";
import { keyHint } from "../lifecycle/dsse.ts";
import { hasCode } from "./claim.ts";
import { type Signer, SigningError, type SigningKeys } from "./signing-keys.ts";

/** A program that signs, and the key with which it does. */
export interface SigningCommand {
  readonly path: string;
  /** SPKI of an ECDSA key on P-256. */
  readonly publicPem: string;
  /** How long (ms) one signature may take. */
  readonly timeout?: number;
}

const TIMEOUT = 10_000;
/** A DER signature on P-256 has at most 72 bytes. */
const MAX_OUTPUT = 1024;
/** Signatures that wait for their turn: tokens and cards often bear one session only. */
const MAX_WAITING = 64;

/**
 * A key that the registry does not hold: a program gets the bytes to sign on standard input and writes the signature (ECDSA over their SHA-256,
 * DER) to standard output. PKCS #11 tokens, smart cards and key services are reached by one. What `kept` holds can still be opened, to sign
 * that it was replaced. Throws `SigningError` for an unsuitable public key.
 */
export function openSigningCommand(command: SigningCommand, kept: SigningKeys): SigningKeys {
  const given = signerOf(command);
  return {
    given,
    open: async (keyId) => (keyId === given.keyId ? given : kept.open(keyId)),
    make: async () => given,
    destroy: (keyId) => kept.destroy(keyId),
    destroyAllBut: (keyId) => kept.destroyAllBut(keyId),
  };
}

function signerOf(command: SigningCommand): Signer {
  const publicKey = publicKeyOf(command.publicPem);
  const queue = new Queue();
  return {
    keyId: keyHint(publicKey.export({ type: "spki", format: "der" })),
    algorithm: "PKIX_ECDSA_P256_SHA_256",
    publicPem: publicKey.export({ type: "spki", format: "pem" }),
    sign: (bytes) =>
      queue.run(async () => {
        const signature = await outputOf(command, bytes);
        if (!verify("sha256", bytes, publicKey, signature)) {
          throw new SigningError("what the signing command gave is no signature by the configured public key");
        }
        return signature;
      }),
  };
}

function publicKeyOf(pem: string): KeyObject {
  const key = parsed(pem);
  if (key?.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1") return key;
  throw new SigningError("REGISTRY_SIGN_PUBLIC_KEY must be a PEM file with an ECDSA public key on P-256");
}

function parsed(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem);
  } catch {
    return undefined;
  }
}

async function outputOf({ path, timeout = TIMEOUT }: SigningCommand, bytes: Uint8Array): Promise<Uint8Array> {
  // A group of its own, so that what the command itself started ends with it.
  const child = spawn(path, [], { stdio: ["pipe", "pipe", "ignore"], detached: true });
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const late = setTimeout(() => reject(new SigningError(`the signing command took more than ${timeout} ms`)), timeout);
  const output = gathered(child, () => reject(new SigningError(`the signing command gave more than ${MAX_OUTPUT} bytes`)));
  // A command that ends before it has read all is judged by its end.
  child.stdin.on("error", () => undefined);
  child.once("error", (error) => reject(new SigningError("the signing command cannot be run", { cause: error })));
  child.once("close", (code, signal) => {
    if (code === 0) resolve(output());
    else reject(new SigningError(`the signing command ended with ${code ?? signal ?? "nothing"}`));
  });
  child.stdin.end(bytes);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    endGroup(child);
  }
}

function gathered(child: ChildProcess, tooMuch: () => void): () => Uint8Array {
  const chunks: Buffer[] = [];
  let length = 0;
  child.stdout?.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_OUTPUT) chunks.push(chunk);
    else tooMuch();
  });
  return () => new Uint8Array(Buffer.concat(chunks));
}

/** Whatever is left of it; a group that has ended is no error. */
function endGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (!hasCode(error, "ESRCH")) throw error;
  }
}

/** One at a time, and a bounded number that wait. */
class Queue {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) throw new SigningError("too many signatures wait for the signing command");
    this.#waiting += 1;
    const mine = this.#last.then(task).finally(() => {
      this.#waiting -= 1;
    });
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
