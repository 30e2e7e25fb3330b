import type { Actor, AuditEvent } from "../audit/event.ts";
import type { SecretKind } from "../identity/api-key.ts";
import { isIdentityName } from "../identity/name.ts";
import { auditEvent } from "./audit-event.ts";
import { noteUse } from "./credential-use.ts";
import { type CredentialRefusal, type LiveCredential, equalInConstantTime, findBySecret } from "./find-credential.ts";
import { type Attempt, Lockout } from "./lockout.ts";
import type { Services } from "./ports.ts";
import { SecretHashes } from "./secret-hashes.ts";

type Needs = Pick<Services, "metadata" | "clock" | "secretFor" | "newId" | "log">;

/** Where a request comes from, for the audit and for lockouts. */
export interface Origin {
  readonly address: string;
  /** The address, IPv6 by /64. */
  readonly addressBlock: string;
  readonly userAgent: string | undefined;
  readonly requestId: string;
}

/** A secret that somebody offers. */
export interface Offer {
  readonly kind: SecretKind;
  readonly secret: string;
  /** Whose it is said to be; undefined where the protocol has no name. */
  readonly name: string | undefined;
  readonly by: Attempt["by"];
}

type Claim = Omit<Offer, "kind">;

/** Refused: by a lock for so long, or else for good. */
export interface LoginRefusal {
  readonly refusal: CredentialRefusal | "locked";
  readonly waitMilliseconds: number;
}

/** How much of a secret's keyed hash tells it in a lockout: too little to be worth anything. */
const TAG_LENGTH = 16;
const MAX_USER_AGENT = 256;

/** Proves secrets, counts failures and locks; refused logins are noted. */
export class Logins {
  readonly #services: Needs;
  readonly #hashes: SecretHashes;
  readonly #lockout: Lockout;
  readonly #note: (event: AuditEvent) => void;

  constructor(services: Needs, note: (event: AuditEvent) => void) {
    this.#services = services;
    this.#hashes = new SecretHashes(services);
    this.#lockout = new Lockout(services);
    this.#note = note;
  }

  /** The credential that the offered secret opens, when it is in force and belongs to the name that came with it. */
  async logIn(offer: Offer, origin: Origin): Promise<LiveCredential | LoginRefusal> {
    return this.#guarded(offer, origin, async (hmac) => {
      const found = await findBySecret(this.#services, offer.kind, offer.secret, hmac);
      if ("refusal" in found) return found.refusal;
      if (offer.name !== undefined && offer.name !== found.identity.name) return "unknown";
      await noteUse(this.#services, found.credential.id, origin.address);
      return found;
    });
  }

  /** Is this the registry's service token? */
  async isServiceToken(offered: string, token: string, origin: Origin): Promise<true | LoginRefusal> {
    const offer = { secret: offered, name: undefined, by: "header" } as const;
    // Hashes have one length, so that the comparison does not tell that of the token.
    return this.#guarded(offer, origin, async (hmac) => (equalInConstantTime(hmac, this.#hashes.of(token)) ? true : "unknown"));
  }

  async #guarded<T extends object | true>(
    offer: Claim,
    origin: Origin,
    prove: (hmac: string) => Promise<T | CredentialRefusal>,
  ): Promise<T | LoginRefusal> {
    const hmac = this.#hashes.of(offer.secret);
    const attempt = attemptOf(offer, hmac, origin);
    const { waitMilliseconds, failedBefore } = await this.#lockout.check(attempt);
    if (waitMilliseconds > 0) return this.#refuse(offer, origin, { refusal: "locked", waitMilliseconds });
    const proof = await prove(hmac);
    if (typeof proof !== "string") {
      if (failedBefore) await this.#forgive(attempt);
      return proof;
    }
    // Who offers a secret that was valid once is not guessing.
    if (proof === "unknown") await this.#lockout.failed(attempt);
    return this.#refuse(offer, origin, { refusal: proof, waitMilliseconds: 0 });
  }

  async #forgive(attempt: Attempt): Promise<void> {
    try {
      await this.#lockout.succeeded(attempt);
    } catch (error) {
      this.#services.log.warn({ err: error }, "earlier failures of a login could not be forgotten");
    }
  }

  #refuse({ name }: Claim, origin: Origin, refusal: LoginRefusal): LoginRefusal {
    // A name that is none could be a secret in the wrong field.
    const target = name !== undefined && isIdentityName(name) ? { target: { kind: "identity", name } as const } : {};
    const said = { type: "auth.login", outcome: "deny", reason: refusal.refusal, ...target } as const;
    this.#note(auditEvent(this.#services, actorOf({ principal: "anonymous", kind: "anonymous" }, origin), said));
    return refusal;
  }
}

function attemptOf({ name, by }: Claim, hmac: string, { addressBlock }: Origin): Attempt {
  const secretTag = hmac.slice(0, TAG_LENGTH);
  return { subject: name === undefined ? `secret ${secretTag}` : `name ${name}`, address: addressBlock, secretTag, by };
}

/** Who acts, with where from. */
export function actorOf(who: Pick<Actor, "principal" | "kind" | "credential">, { address, userAgent, requestId }: Origin): Actor {
  const agent = userAgent === undefined ? {} : { userAgent: userAgent.slice(0, MAX_USER_AGENT) };
  return { ...who, address: address.slice(0, 64), ...agent, requestId: requestId.slice(0, 64) };
}
