import type { AuditEvent } from "../audit/event.ts";

/** A path of text and numbers. `keys.ts` draws every key that exists; nothing else builds one. */
export type Key = readonly [string, ...(string | number)[]];

export interface Entry {
  readonly key: Key;
  /** JSON data, or bytes (`Uint8Array`) at any depth. Others may get the same: it is not to be changed. */
  readonly value: unknown;
  /** The sequence of the change that put it: never the same twice, not even after a removal. */
  readonly version: number;
}

/** A half-open range of keys, `start` included and `end` not, with a bound on the answer. `reverse` answers from the end. */
export interface KeyRange {
  readonly start: Key;
  readonly end: Key;
  readonly limit: number;
  readonly reverse?: boolean;
}

/** What must hold for a change to be made: the key's version, or that the key is absent. */
export interface Expectation {
  readonly key: Key;
  readonly version: number | "absent";
}

export interface Put {
  readonly key: Key;
  readonly value: unknown;
}

/** An addition to the numbers of a record, by member. Changes that add to the same record at a time are no conflict. */
export interface Addition {
  readonly key: Key;
  /** A record that is not there holds zeros. */
  readonly add: Readonly<Record<string, number>>;
  /** What a member may be at most after it has grown: what would be more is a conflict. */
  readonly most: Readonly<Record<string, number>>;
}

/**
 * One atomic change: all of it, or nothing. What it both removes and puts is there afterwards.
 * `audit` may be empty only when every key of the change is operational (`keys.ts`); a driver refuses anything else.
 */
export interface Change {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  readonly remove: readonly Key[];
  readonly audit: readonly AuditEvent[];
  readonly add?: readonly Addition[];
}

/** `conflict`: an expectation failed and nothing was changed; load again and decide again. */
export type Outcome = "committed" | "conflict";

/** Where records live. `commit` resolves only when the change is durable; a change that cannot be encoded leaves nothing behind. */
export interface MetadataStore {
  get(key: Key): Promise<Entry | undefined>;
  list(range: KeyRange): Promise<readonly Entry[]>;
  commit(change: Change): Promise<Outcome>;
  close(): Promise<void>;
}
