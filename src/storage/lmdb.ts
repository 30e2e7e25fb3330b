import { statfs } from "node:fs/promises";
import { constants } from "node:os";
import { type RootDatabase, open } from "lmdb";
import { z } from "zod";
import { type Link, append, linkSchema } from "../audit/chain.ts";
import type { AuditEvent } from "../audit/event.ts";
import { demandAddressSpace } from "./address-space.ts";
import { StorageFullError } from "./blob-store.ts";
import { isOperational, keys } from "./keys.ts";
import { KnownEntries } from "./known-entries.ts";
import { decodeKey, encodeKey, encodeKeyBriefly } from "./lmdb-key.ts";
import type { Addition, Change, Entry, Key, KeyRange, MetadataStore, Outcome } from "./metadata-store.ts";
import { decodeRecord, encodeRecord, setVersion, versionOf } from "./record-encoding.ts";
import { syncPath } from "./sync.ts";

/** Address space that is reserved at first, in bytes; the map grows beyond it when it has to. */
const MAP_SIZE = 64 * 1024 ** 3;
const HEAD = keys.auditHead();
const CHANGE = ["change"] as const;
/** Only the driver writes these. */
const OWN: ReadonlySet<string> = new Set([CHANGE[0], HEAD[0], keys.audits()[0]]);

/**
 * Opens the metadata in an LMDB environment, which is made when there is none. Any number of processes may open the same one.
 *
 * `onBroken` is told that the environment is of no more use to this process: LMDB could not show a commit, and begins no transaction any
 * more until it is opened anew. Reads throw from then on, and commits may never be answered, so that the process had better end. What was
 * acknowledged before is safe. Throws `AddressSpaceError` where the map cannot be had.
 */
export async function openLmdb(directory: string, onBroken: (error: unknown) => void = () => undefined): Promise<MetadataStore> {
  demandAddressSpace();
  const database = open<Buffer, Buffer>({
    path: directory,
    keyEncoder: BYTES_OF_KEYS,
    encoder: BYTES_OF_RECORDS,
    mapSize: MAP_SIZE,
    // What others read would not be durable yet with it, and they could acknowledge what a power cut takes back.
    overlappingSync: false,
    // It makes promises of its own that nobody can await: a failed commit would end the process as an unhandled rejection.
    eventTurnBatching: false,
  });
  // LMDB flushes what is in its file, and leaves it to others that the file itself outlives a power cut.
  await syncPath(directory);
  return new Lmdb(database, directory, onBroken);
}

/**
 * Bytes as they are, of keys and of records. lmdb would copy both of every row of a range into buffers of their own, which costs more than all
 * the rest. These are good only until the next row is read.
 */
const BYTES_OF_KEYS = {
  writeKey: (key: Buffer, target: Buffer, start: number): number => {
    target.set(key, start);
    return start + key.length;
  },
  readKey: (bytes: Buffer, start: number, end: number): Buffer => bytes.subarray(start, end),
};
const BYTES_OF_RECORDS = { encode: (record: Buffer): Buffer => record, decode: (record: Buffer): Buffer => record };

/** A change, encoded outside of the write transaction: what cannot be encoded never gets as far as that. */
interface Encoded {
  readonly expect: readonly { readonly key: Buffer; readonly version: number | "absent" }[];
  readonly put: readonly { readonly key: Buffer; readonly record: Buffer }[];
  readonly remove: readonly Buffer[];
  readonly audit: readonly AuditEvent[];
  readonly add: readonly (Omit<Addition, "key"> & { readonly key: Buffer })[];
}

class Lmdb implements MetadataStore {
  readonly #db: RootDatabase<Buffer, Buffer>;
  readonly #directory: string;
  readonly #onBroken: (error: unknown) => void;
  readonly #known = new KnownEntries();
  #isClosed = false;

  constructor(db: RootDatabase<Buffer, Buffer>, directory: string, onBroken: (error: unknown) => void) {
    this.#db = db;
    this.#directory = directory;
    this.#onBroken = onBroken;
  }

  async get(key: Key): Promise<Entry | undefined> {
    this.#seeNewest();
    const encoded = encodeKeyBriefly(key);
    const record = this.#db.getBinaryFast(encoded);
    return record && this.#known.of(key, encoded, record);
  }

  async list(range: KeyRange): Promise<readonly Entry[]> {
    this.#seeNewest();
    const [start, end] = [encodeKey(range.start), encodeKey(range.end)];
    if (range.limit <= 0 || Buffer.compare(start, end) >= 0) return [];
    const rows = range.reverse
      ? this.#db.getRange({ start: end, end: start, exclusiveStart: true, inclusiveEnd: true, reverse: true, limit: range.limit })
      : this.#db.getRange({ start, end, limit: range.limit });
    return Array.from(rows, ({ key, value }) => ({
      key: decodeKey(key),
      value: decodeRecord(value, value.length),
      version: versionOf(value),
    }));
  }

  async commit(change: Change): Promise<Outcome> {
    const encoded = encode(change);
    try {
      // Not transaction(): that keeps what was written before a throw.
      return await this.#db.childTransaction(() => this.#apply(encoded));
    } catch (error) {
      const cause = await causeOf(error);
      this.#demandWhole();
      throw (await isForLackOfRoom(cause, this.#directory)) ? new StorageFullError("there is no room left for metadata", { cause }) : cause;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#db.close();
  }

  /** lmdb keeps a snapshot for a while; another process may have committed, and answered, since. */
  #seeNewest(): void {
    this.#db.resetReadTxn();
  }

  /**
   * Throws when no transaction begins any more. The error of a failed commit does not tell: a disk fails, or is full, in the midst of a
   * commit, which changes nothing, or in its last step (MDB_PANIC).
   */
  #demandWhole(): void {
    try {
      this.#seeNewest();
      this.#db.getBinaryFast(encodeKeyBriefly(CHANGE));
    } catch (error) {
      // Work that outlives the store by a moment is refused; nothing is broken.
      if (!this.#isClosed) this.#onBroken(error);
      throw error;
    }
  }

  /** Runs inside the write transaction: synchronous, so that nothing can come between the checks and the writes. */
  #apply({ expect, put, remove, audit, add }: Encoded): Outcome {
    if (!expect.every(({ key, version }) => (this.#versionOf(key) ?? "absent") === version)) return "conflict";
    const sums = add.map((addition) => ({ addition, sum: this.#sum(addition) }));
    if (sums.some(({ addition, sum }) => isTooMuch(addition, sum))) return "conflict";
    const last = this.#db.getBinaryFast(encodeKeyBriefly(CHANGE));
    const version = (last === undefined ? 0 : versionOf(last)) + 1;
    const write = (key: Buffer, record: Buffer): void => {
      setVersion(record, version);
      this.#db.putSync(key, record);
    };
    for (const key of remove) this.#db.removeSync(key);
    for (const one of put) write(one.key, one.record);
    for (const { addition, sum } of sums) write(addition.key, encodeRecord(sum));
    let head = this.#head(audit);
    let record: Buffer | undefined;
    for (const event of audit) {
      head = append(head, event);
      record = encodeRecord(head);
      write(encodeKey(keys.audit(head.sequence)), record);
    }
    if (record !== undefined) write(encodeKey(HEAD), record);
    write(encodeKey(CHANGE), encodeRecord(null));
    return "committed";
  }

  #head(audit: readonly AuditEvent[]): Link | undefined {
    const record = audit.length === 0 ? undefined : this.#db.getBinaryFast(encodeKeyBriefly(HEAD));
    return record && linkSchema.parse(decodeRecord(record, record.length));
  }

  #sum({ key, add }: Encoded["add"][number]): Readonly<Record<string, number>> {
    const record = this.#db.getBinaryFast(key);
    const old = record === undefined ? { v: 1 } : numbers.parse(decodeRecord(record, record.length));
    return { ...old, ...Object.fromEntries(Object.entries(add).map(([member, change]) => [member, (old[member] ?? 0) + change])) };
  }

  #versionOf(key: Buffer): number | undefined {
    const record = this.#db.getBinaryFast(key);
    return record && versionOf(record);
  }
}

const numbers = z.record(z.string(), z.number());

function isTooMuch({ add, most }: Pick<Addition, "add" | "most">, sum: Readonly<Record<string, number>>): boolean {
  return Object.entries(most).some(([member, limit]) => (add[member] ?? 0) > 0 && (sum[member] ?? 0) > limit);
}

function encode({ expect, put, remove, audit, add = [] }: Change): Encoded {
  const written = [...put.map(({ key }) => key), ...remove, ...add.map(({ key }) => key)];
  if (written.some((key) => OWN.has(key[0]))) throw new TypeError("a change may not write the audit chain or the sequence of changes");
  if (audit.length === 0 && !written.every(isOperational))
    throw new TypeError("a change needs an audit event unless all its keys are operational");
  return {
    expect: expect.map(({ key, version }) => ({ key: encodeKey(key), version })),
    put: put.map(({ key, value }) => ({ key: encodeKey(key), record: encodeRecord(value) })),
    remove: remove.map(encodeKey),
    audit,
    add: add.map((addition) => ({ ...addition, key: encodeKey(addition.key) })),
  };
}

const FULL: ReadonlySet<unknown> = new Set([constants.errno.ENOSPC, constants.errno.EDQUOT, -30792 /* MDB_MAP_FULL */]);
/** With less than this left (bytes) on the file system, a failed write is taken to have failed for lack of room. */
const NO_ROOM = 1024 ** 2;

/** The true cause of a failed commit, which lmdb hides one promise deeper. */
async function causeOf(error: unknown): Promise<unknown> {
  return error instanceof Error && "commitError" in error ? rejectionOf(error.commitError) : error;
}

async function rejectionOf(promise: unknown): Promise<unknown> {
  return Promise.resolve(promise).then(
    () => new Error("the commit failed"),
    (reason: unknown) => reason,
  );
}

/** LMDB says EIO for the short write of a full disk. */
async function isForLackOfRoom(cause: unknown, directory: string): Promise<boolean> {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return FULL.has(code) || (code === constants.errno.EIO && (await isFull(directory)));
}

async function isFull(directory: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize < NO_ROOM;
}
