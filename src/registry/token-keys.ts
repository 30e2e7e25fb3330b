import { type KeyObject, createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { CLOCK_TOLERANCE, type SigningKey, TOKEN_LIFETIME, keyIdOf } from "../identity/token.ts";
import { keys, under } from "../storage/keys.ts";
import { type TokenKeyRecord, tokenKeyRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import type { Services } from "./ports.ts";
import { SYSTEM } from "./system-actor.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log">;

const DAY = 24 * 60 * 60 * 1000;
/** How long a key signs (identity.md 2.4). */
const SIGNS_FOR = 30 * DAY;
/** How long after that its last token can be in force. */
const OUTLIVES = (TOKEN_LIFETIME + 2 * CLOCK_TOLERANCE) * 1000;
const KID = /^[\w-]{43}$/;
const MAX_LISTED = 1000;
const IV_LENGTH = 12;
const TAG_LENGTH = 16;

const generate = promisify(generateKeyPair);

/** The ring of keys that sign access tokens, as all workers read it from the metadata; a key is made when there is none that may sign. */
export class TokenKeys {
  readonly #services: Needs;
  /** Parsed keys by `kid`, which names their bytes; whether one is still in force is read every time. */
  readonly #parsed = new Map<string, KeyObject>();

  constructor(services: Needs) {
    this.#services = services;
  }

  /** The key that signs now. */
  async signingKey(): Promise<SigningKey> {
    const active = await this.#active();
    const usable = active.record && this.#unsealed(active.record);
    return usable ?? this.#create();
  }

  /** The public key that a token names, while its tokens can be in force. */
  async verificationKey(kid: string): Promise<KeyObject | undefined> {
    if (!KID.test(kid)) return undefined;
    const record = await this.#find(kid);
    if (record === undefined || record.signsUntil + OUTLIVES <= this.#services.clock()) return undefined;
    return this.#remembered(`public ${kid}`, () => createPublicKey(record.publicPem));
  }

  async #find(kid: string): Promise<TokenKeyRecord | undefined> {
    const entry = await this.#services.metadata.get(keys.tokenKey(kid));
    return entry && tokenKeyRecord.parse(entry.value);
  }

  /** The key that the ring names as active, unless its time is over. */
  async #active(): Promise<{ readonly version: number | "absent"; readonly record: TokenKeyRecord | undefined }> {
    const { metadata, clock } = this.#services;
    const entry = await metadata.get(keys.activeTokenKey());
    const record = typeof entry?.value === "string" ? await this.#find(entry.value) : undefined;
    return { version: entry?.version ?? "absent", record: record && record.signsUntil > clock() ? record : undefined };
  }

  /** Makes a key, unless another worker has made one meanwhile. */
  async #create(): Promise<SigningKey> {
    const { record, key } = await this.#generate();
    return decideAndCommit(this.#services, async () => {
      const { version, record: theirs } = await this.#active();
      const usable = theirs && this.#unsealed(theirs);
      if (usable !== undefined) return { result: usable };
      const event = auditEvent(this.#services, SYSTEM, {
        type: "token-key.create",
        target: { kind: "registry", name: "token-key" },
        after: { kid: record.kid, signsUntil: record.signsUntil },
      });
      return {
        change: {
          expect: [{ key: keys.activeTokenKey(), version }],
          put: [
            { key: keys.tokenKey(record.kid), value: record },
            { key: keys.activeTokenKey(), value: record.kid },
          ],
          remove: [],
          audit: [event],
        },
        result: { kid: record.kid, key },
      };
    });
  }

  async #generate(): Promise<{ readonly record: TokenKeyRecord; readonly key: KeyObject }> {
    const { publicKey, privateKey } = await generate("ec", { namedCurve: "P-256" });
    const kid = await keyIdOf(publicKey);
    const now = this.#services.clock();
    const record: TokenKeyRecord = {
      v: 1,
      kid,
      publicPem: publicKey.export({ type: "spki", format: "pem" }),
      sealedPrivateKey: this.#seal(kid, privateKey.export({ type: "pkcs8", format: "der" })),
      createdAt: now,
      signsUntil: now + SIGNS_FOR,
    };
    return { record, key: privateKey };
  }

  /** Encrypted at rest: a copy of the metadata, such as a backup, must not be able to sign. */
  #seal(kid: string, secret: Uint8Array): Uint8Array<ArrayBuffer> {
    const iv = this.#services.random(IV_LENGTH);
    const cipher = createCipheriv("aes-256-gcm", this.#sealingKey(), iv).setAAD(Buffer.from(kid));
    const sealed = [cipher.update(secret), cipher.final()];
    return new Uint8Array(Buffer.concat([iv, cipher.getAuthTag(), ...sealed]));
  }

  /** Undefined when it was sealed under another secret of the registry: then a new key has to be made. */
  #unsealed({ kid, sealedPrivateKey }: TokenKeyRecord): SigningKey | undefined {
    try {
      return { kid, key: this.#remembered(`private ${kid}`, () => createPrivateKey(this.#open(kid, sealedPrivateKey))) };
    } catch (error) {
      this.#services.log.warn({ err: error, kid }, "a token key cannot be opened with this registry's secret");
      return undefined;
    }
  }

  #open(kid: string, sealed: Uint8Array): { readonly key: Buffer; readonly format: "der"; readonly type: "pkcs8" } {
    const [iv, tag] = [sealed.subarray(0, IV_LENGTH), sealed.subarray(IV_LENGTH, IV_LENGTH + TAG_LENGTH)];
    const decipher = createDecipheriv("aes-256-gcm", this.#sealingKey(), iv, { authTagLength: TAG_LENGTH });
    decipher.setAAD(Buffer.from(kid)).setAuthTag(tag);
    const key = Buffer.concat([decipher.update(sealed.subarray(IV_LENGTH + TAG_LENGTH)), decipher.final()]);
    return { key, format: "der", type: "pkcs8" };
  }

  #sealingKey(): Uint8Array {
    return this.#services.secretFor("token-key");
  }

  #remembered(name: string, parse: () => KeyObject): KeyObject {
    const known = this.#parsed.get(name) ?? parse();
    this.#parsed.set(name, known);
    return known;
  }
}

/** A key as anyone may know it. Times are epoch milliseconds. */
export interface PublicTokenKey {
  readonly id: string;
  readonly algorithm: "ES256";
  readonly pem: string;
  readonly validFrom: number;
  readonly validUntil: number;
}

/** Every key that ever signed access tokens, oldest first. */
export async function listTokenKeys({ metadata }: Pick<Services, "metadata">): Promise<readonly PublicTokenKey[]> {
  const entries = await metadata.list(under(keys.tokenKeys(), MAX_LISTED));
  const records = entries.map(({ value }) => tokenKeyRecord.parse(value)).toSorted((a, b) => a.createdAt - b.createdAt);
  return records.map(({ kid, publicPem, createdAt, signsUntil }) => ({
    id: kid,
    algorithm: "ES256",
    pem: publicPem,
    validFrom: createdAt,
    validUntil: signsUntil + OUTLIVES,
  }));
}
