import type { Unreadable } from "../formats/model-facts.ts";
import type { Caller } from "./ports.ts";
import { RecentlyUsed } from "./recently-used.ts";

/** Who asks, as a person: keys that an owner made for itself ask as one (RULES 17). */
export interface Asking {
  readonly principal: Pick<Caller["principal"], "countsAs">;
}

/** What is being read just now, of whatever kind. */
export class UnderWay {
  readonly #people: string[] = [];

  /** Files that are being read or wait for it, and those of them that one person asked for: who opens many pages has nobody else wait longer. */
  static readonly MOST = 8;
  static readonly MOST_OF_PERSON = 2;

  /** Undefined when it is not this person's turn; else a function for the end. */
  begin(person: string): (() => void) | undefined {
    const ofPerson = this.#people.filter((each) => each === person).length;
    if (this.#people.length >= UnderWay.MOST || ofPerson >= UnderWay.MOST_OF_PERSON) return undefined;
    this.#people.push(person);
    return () => void this.#people.splice(this.#people.indexOf(person), 1);
  }
}

/** What was read, and whether it is a fact about the file: all else is asked again. */
export interface Reading<T> {
  readonly result: T | Unreadable;
  readonly isLasting: boolean;
}

/** Files that are remembered in a process: each up to some megabytes. */
const MAX_REMEMBERED = 16;

/** Results of reading files, by a key that names the file by its digest: each is read once, however many ask, and some are remembered. */
export class Readings<T> {
  readonly #underWay: UnderWay;
  readonly #patience: number;
  readonly #known = new RecentlyUsed<T | Unreadable>(MAX_REMEMBERED);
  readonly #reading = new Map<string, Promise<T | Unreadable>>();

  /** `patience` in milliseconds: so long somebody waits who asks. */
  constructor(underWay: UnderWay, patience: number) {
    this.#underWay = underWay;
    this.#patience = patience;
  }

  /** What is remembered; reads nothing. */
  remembered(key: string): T | Unreadable | undefined {
    return this.#known.get(key);
  }

  /** What was read of a file, or is read now; `under-way` when that takes longer than somebody may wait (ms), or others come first. */
  async of(
    { principal }: Asking,
    key: string,
    read: () => Promise<Reading<T>>,
    patience = this.#patience,
  ): Promise<T | Unreadable | "under-way"> {
    const known = this.remembered(key);
    if (known !== undefined) return known;
    const reading = this.#reading.get(key) ?? this.#begin(principal.countsAs, key, read);
    if (reading === undefined) return "under-way";
    const { promise, resolve } = Promise.withResolvers<"under-way">();
    const timer = setTimeout(() => resolve("under-way"), Math.max(0, patience));
    try {
      return await Promise.race([reading, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #begin(person: string, key: string, read: () => Promise<Reading<T>>): Promise<T | Unreadable> | undefined {
    const end = this.#underWay.begin(person);
    if (end === undefined) return undefined;
    const reading = this.#read(key, read).finally(() => {
      this.#reading.delete(key);
      end();
    });
    this.#reading.set(key, reading);
    return reading;
  }

  async #read(key: string, read: () => Promise<Reading<T>>): Promise<T | Unreadable> {
    const { result, isLasting } = await read();
    if (isLasting) this.#known.set(key, result);
    return result;
  }
}
