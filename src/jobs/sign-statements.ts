import { auditEvent } from "../registry/audit-event.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import { type LinkAt, type SigningServices, isUnsigned, linkAt, signUnsigned } from "../registry/sign-unsigned.ts";
import { SYSTEM } from "../registry/system-actor.ts";
import { SIGN_STATEMENTS, signingProgress } from "../registry/unsigned-statements.ts";
import { keys, under } from "../storage/keys.ts";
import { type SigningRecord, statementRecord } from "../storage/records.ts";
import { signApprovals } from "./sign-approvals.ts";

const KEY = keys.job(SIGN_STATEMENTS);
/** Rows of one look-up, and links between two records of how far this has come. */
const PAGE = 256;

/**
 * Signs every statement that a version before signatures wrote, once in the life of a store; how many. It can end anywhere and goes on where
 * it was: a link that is signed is left alone. Approvals come first, since promotions wait for them.
 */
export async function signStatements(services: SigningServices, signal?: AbortSignal): Promise<number> {
  await signApprovals(services, signal);
  const before = (await signingProgress(services)) ?? BEGINNING;
  if (before.status === "done") return 0;
  const walk = new Walk(services, before);
  for await (const { key, value } of rowsOf(services, [under(keys.allStatements(), PAGE, before.after ?? [])])) {
    if (signal?.aborted === true) return walk.pause();
    await walk.to(linkAt(key), isUnsigned(statementRecord.parse(value)));
  }
  return walk.end();
}

const BEGINNING: SigningRecord = { v: 1, status: "under-way", after: null, signed: 0 };

class Walk {
  readonly #services: SigningServices;
  #progress: SigningRecord;
  #unmarked = 0;

  constructor(services: SigningServices, progress: SigningRecord) {
    this.#services = services;
    this.#progress = progress;
  }

  async to(at: LinkAt, unsigned: boolean): Promise<void> {
    const signed = unsigned && (await signUnsigned(this.#services, at));
    const after: SigningRecord["after"] = [at.repository, at.artifact, at.sequence];
    this.#progress = { ...this.#progress, after, signed: this.#progress.signed + Number(signed) };
    this.#unmarked += 1;
    if (this.#unmarked >= PAGE) await this.pause();
  }

  async pause(): Promise<number> {
    this.#unmarked = 0;
    await this.#services.metadata.commit({ expect: [], put: [{ key: KEY, value: this.#progress }], remove: [], audit: [] });
    return this.#progress.signed;
  }

  async end(): Promise<number> {
    const { signed } = this.#progress;
    const done: SigningRecord = { ...this.#progress, status: "done", after: null };
    const target = { kind: "registry", name: "every repository" } as const;
    const audit = signed === 0 ? [] : [auditEvent(this.#services, SYSTEM, { type: "statements.sign", target, after: { signed } })];
    await this.#services.metadata.commit({ expect: [], put: [{ key: KEY, value: done }], remove: [], audit });
    return signed;
  }
}
