/** How many uploads there may be at a time whose bytes arrive now. */
export interface UploadCaps {
  readonly perIdentity: number;
  readonly inAll: number;
}

/** An upload that is about to begin or to go on, and what its namespace has left. */
export interface UploadClaim {
  readonly upload: string;
  readonly namespace: string;
  readonly identity: string;
  /** Bytes that it is known to have in the end, as far as that was said. */
  readonly bytes: number;
  /** Bytes that the namespace may still take, reserved ones not counted; null where there is no quota. */
  readonly left: number | null;
  /** How many uploads of the namespace may be open; null: any number. */
  readonly open: number | null;
}

/** `busy`: too many uploads arrive now; `open` and `bytes`: the namespace's quota of that is used up. */
export const ADMISSIONS = ["admitted", "busy", "open", "bytes"] as const;
export type Admission = (typeof ADMISSIONS)[number];

interface Session {
  readonly upload: string;
  readonly namespace: string;
  readonly identity: string;
  reserved: number;
  touchedAt: number;
  /** Requests that write to it now, by the process that has them. */
  readonly writers: Map<number, number>;
}

/** The open uploads of a namespace, and the bytes that are promised to all of them. */
interface Promised {
  readonly sessions: Set<Session>;
  reserved: number;
}

/** An upload that nobody has written to for so long (ms) is open no more, and no room is kept for it; its bytes stay until they expire. */
const IDLE = 60 * 60 * 1000;
/** All uploads that are kept track of; more are not begun. */
const MAX_SESSIONS = 100_000;

/** The uploads under way in all processes: how many there are, and which room is promised to them. Times are in milliseconds. */
export class UploadLedger {
  readonly #caps: UploadCaps;
  readonly #sessions = new Map<string, Session>();
  readonly #namespaces = new Map<string, Promised>();
  /** Bodies that arrive now, by identity. */
  readonly #arriving = new Map<string, number>();
  #arrivingInAll = 0;

  constructor(caps: UploadCaps) {
    this.#caps = caps;
  }

  /** Admits a new upload, or says why not. */
  admit(claim: UploadClaim, now: number): Admission {
    const { perIdentity, inAll } = this.#caps;
    if (this.#arrivingInAll >= inAll || (this.#arriving.get(claim.identity) ?? 0) >= perIdentity) return "busy";
    this.#dropIdle(claim, now);
    if (this.#sessions.size >= MAX_SESSIONS) return "busy";
    const open = this.#namespaces.get(claim.namespace)?.sessions.size ?? 0;
    if (open >= (claim.open ?? Infinity)) return "open";
    if (!this.#hasRoom(claim)) return "bytes";
    this.#open(claim, now);
    return "admitted";
  }

  /** A request writes to an upload from now on; it was admitted before, so that only the room for its bytes is asked for. */
  arrive(claim: UploadClaim, process: number, now: number): Admission {
    if (!this.#hasRoom(claim)) this.#dropIdle(claim, now);
    if (!this.#hasRoom(claim)) return "bytes";
    const session = this.#sessions.get(claim.upload) ?? this.#open(claim, now);
    this.#reserve(session, Math.max(session.reserved, claim.bytes));
    session.touchedAt = now;
    session.writers.set(process, (session.writers.get(process) ?? 0) + 1);
    this.#count(session.identity, 1);
    return "admitted";
  }

  /** The request has ended; the upload may go on by another one. */
  pause(upload: string, process: number, now: number): void {
    const session = this.#sessions.get(upload);
    const writers = session?.writers.get(process) ?? 0;
    if (session === undefined || writers === 0) return;
    session.touchedAt = now;
    if (writers > 1) session.writers.set(process, writers - 1);
    else session.writers.delete(process);
    this.#count(session.identity, -1);
  }

  /** The upload has become a blob, or is gone. */
  end(upload: string): void {
    const session = this.#sessions.get(upload);
    if (session === undefined) return;
    for (const writers of session.writers.values()) this.#count(session.identity, -writers);
    this.#sessions.delete(upload);
    this.#reserve(session, 0);
    const promised = this.#namespaces.get(session.namespace);
    promised?.sessions.delete(session);
    if (promised?.sessions.size === 0) this.#namespaces.delete(session.namespace);
  }

  /** A process has ended, and all of its requests with it. */
  left(process: number): void {
    for (const session of this.#sessions.values()) {
      this.#count(session.identity, -(session.writers.get(process) ?? 0));
      session.writers.delete(process);
    }
  }

  #open({ upload, namespace, identity, bytes }: UploadClaim, now: number): Session {
    const session: Session = { upload, namespace, identity, reserved: 0, touchedAt: now, writers: new Map() };
    this.#sessions.set(upload, session);
    const promised = this.#namespaces.get(namespace) ?? { sessions: new Set(), reserved: 0 };
    promised.sessions.add(session);
    this.#namespaces.set(namespace, promised);
    this.#reserve(session, bytes);
    return session;
  }

  #reserve(session: Session, bytes: number): void {
    const promised = this.#namespaces.get(session.namespace);
    if (promised !== undefined) promised.reserved += bytes - session.reserved;
    session.reserved = bytes;
  }

  #hasRoom({ upload, namespace, bytes, left }: UploadClaim): boolean {
    if (left === null) return true;
    const promised = this.#namespaces.get(namespace)?.reserved ?? 0;
    const own = this.#sessions.get(upload)?.reserved ?? 0;
    return promised - own + bytes <= left;
  }

  /** Those that nobody goes on with are looked for only when there are too many, or no room is left. */
  #dropIdle(claim: UploadClaim, now: number): void {
    const own = this.#namespaces.get(claim.namespace)?.sessions ?? new Set();
    if (this.#sessions.size >= MAX_SESSIONS) this.#endIdle(this.#sessions.values(), now);
    else if (own.size >= (claim.open ?? Infinity) || !this.#hasRoom(claim)) this.#endIdle(own, now);
  }

  #endIdle(sessions: Iterable<Session>, now: number): void {
    for (const { writers, touchedAt, upload } of sessions) if (writers.size === 0 && touchedAt + IDLE < now) this.end(upload);
  }

  #count(identity: string, change: number): void {
    const arriving = (this.#arriving.get(identity) ?? 0) + change;
    this.#arrivingInAll += change;
    if (arriving > 0) this.#arriving.set(identity, arriving);
    else this.#arriving.delete(identity);
  }
}
