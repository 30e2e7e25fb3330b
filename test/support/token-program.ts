import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";

/**
 * Answers as OpenSC's `pkcs11-tool` does for a key on P-256 in a file: `node token-program.ts KEY CALLS SPOILED ARGUMENTS…`. It writes down how it
 * was called, and does what `SPOILED`, JavaScript, says instead of reading or signing. A token signs a digest, which Node's own cryptography
 * cannot do: the arithmetic is done here.
 */
const [, , keyFile = "", callsFile = "", spoiled = "{}", ...args] = process.argv;
const key = createPrivateKey(readFileSync(keyFile));
const input = readFileSync(0);
// oxlint-disable-next-line node/no-process-env -- it is where the tool finds the PIN
const pin = process.env["AI_MODEL_REGISTRY_TOKEN_PIN"] ?? null;
appendFileSync(callsFile, `${JSON.stringify({ args, pin, input: input.length })}\n`);

const P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const G: Point = [
  0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
];
type Point = readonly [bigint, bigint];

const mod = (a: bigint, m: bigint): bigint => ((a % m) + m) % m;

function inverse(a: bigint, m: bigint): bigint {
  let [r, next, s, after] = [mod(a, m), m, 1n, 0n];
  while (next !== 0n) {
    const q = r / next;
    [r, next, s, after] = [next, r - q * next, after, s - q * after];
  }
  return mod(s, m);
}

function add(a: Point | undefined, b: Point): Point {
  if (a === undefined) return b;
  const slope = a[0] === b[0] ? (3n * a[0] * a[0] - 3n) * inverse(2n * a[1], P) : (b[1] - a[1]) * inverse(b[0] - a[0], P);
  const x = mod(slope * slope - a[0] - b[0], P);
  return [x, mod(slope * (a[0] - x) - a[1], P)];
}

function times(k: bigint, point: Point): Point {
  let sum: Point | undefined;
  let power = point;
  for (let rest = k; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) sum = add(sum, power);
    power = add(power, power);
  }
  return sum ?? point;
}

const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
const bytesOf = (number: bigint): Buffer => Buffer.from(number.toString(16).padStart(64, "0"), "hex");

/** ECDSA over a digest of 32 bytes (FIPS 186-5 §6.4.1), as two numbers. */
function rawSignature(digest: Uint8Array): Buffer {
  const d = numberOf(Buffer.from(String(key.export({ format: "jwk" }).d), "base64url"));
  const k = mod(numberOf(randomBytes(32)), N - 1n) + 1n;
  const r = mod(times(k, G)[0], N);
  return Buffer.concat([bytesOf(r), bytesOf(mod(inverse(k, N) * (numberOf(digest) + r * d), N))]);
}

const fail = (said: string): never => {
  process.stderr.write(said);
  process.exit(1);
};

interface Spoiled {
  /** What it fails with, by what it was asked for. */
  readonly read?: string;
  readonly readWithoutPin?: string;
  readonly sign?: string;
  /** Answers this in base64 instead. */
  readonly answer?: string;
  readonly hangs?: boolean;
  readonly signsElse?: boolean;
}
const how = JSON.parse(spoiled) as Spoiled;
const isReading = args.includes("--read-object");
if (how.hangs === true) setInterval(() => undefined, 1_000);
else if (isReading && how.read !== undefined) fail(how.read);
else if (isReading && pin === null && how.readWithoutPin !== undefined) fail(how.readWithoutPin);
else if (isReading) process.stdout.write(createPublicKey(key).export({ type: "spki", format: "der" }));
else if (how.sign !== undefined) fail(how.sign);
else if (how.answer !== undefined) process.stdout.write(Buffer.from(how.answer, "base64"));
else process.stdout.write(rawSignature(how.signsElse === true ? Buffer.alloc(32, 1) : input));
