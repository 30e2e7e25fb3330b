import { constants, fstatSync, openSync, write, writeSync } from "node:fs";
import { Socket } from "node:net";
import { isatty } from "node:tty";

/** Bytes of lines that wait, at most. */
const MAX_WAITING = 1024 * 1024;
/** What a pipe takes whole or not at all (PIPE_BUF, pipe(7)), so that lines of several processes do not mix. */
const WHOLE = 4096;
/** Milliseconds until what takes nothing now is asked again, the first time and at most. */
const [FIRST_PAUSE, LAST_PAUSE] = [5, 500];
/** Milliseconds that an end waits for what takes nothing. */
const PATIENCE = 1000;
const NEWLINE = 0x0a;

/** Lines that are written together, as far as they are not written yet. */
interface Batch {
  bytes: Buffer;
  /** So many lost lines are what it tells of; else it holds lines of whoever writes. */
  readonly tells: number;
}

/**
 * Lines to standard output or standard error, in whatever state that is. Nobody ever waits for who reads it: lines are written in the
 * background, wait in bounded memory while it takes nothing (a full pipe, a paused terminal), and are lost, the oldest first, beyond that;
 * all that wait are lost when it fails (a closed terminal, a full disk). Once it takes lines again, one tells how many were lost.
 */
export class LineOutput {
  readonly #descriptor: number;
  #opened: Descriptor | undefined;
  #waiting: Buffer[] = [];
  #size = 0;
  #batch: Batch | undefined;
  #isBeingWritten = false;
  #pause = FIRST_PAUSE;
  #asking: NodeJS.Timeout | undefined;
  /** Did what was written last end within a line? */
  #isCut = false;
  #lost = 0;
  #untold = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** How many lines were lost so far. */
  get lost(): number {
    return this.#lost;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    this.#waiting.push(bytes);
    this.#size += bytes.byteLength;
    while (this.#size > MAX_WAITING) {
      this.#size -= this.#waiting.shift()?.byteLength ?? 0;
      this.#lose(1);
    }
    if (!this.#isBeingWritten && this.#asking === undefined) this.#continue();
  }

  /** Writes a line, before those that wait, when the call returns, or loses it when nothing takes it in time: for who is about to end. */
  writeAtOnce(line: string): void {
    const bytes = Buffer.from(line);
    this.#waiting.unshift(bytes);
    this.#size += bytes.byteLength;
    this.#finish();
  }

  #continue(): void {
    const batch = (this.#batch ??= this.#next());
    if (batch === undefined) return;
    this.#isBeingWritten = true;
    write(this.#open().unblocked(), batch.bytes, (error, written) => {
      // Whoever ends has written the rest meanwhile.
      if (this.#batch !== batch) return;
      this.#isBeingWritten = false;
      if (error === null) this.#took(batch, written);
      else if (error.code === "EAGAIN") return this.#askLater();
      else this.#loseAll();
      this.#continue();
    });
  }

  /** Writes all that waits while this thread does nothing else, but for what another thread may just be writing. */
  #finish(): void {
    if (this.#isBeingWritten) {
      this.#untold -= this.#batch?.tells ?? 0;
      [this.#batch, this.#isBeingWritten, this.#isCut] = [undefined, false, false];
    }
    clearTimeout(this.#asking);
    this.#asking = undefined;
    const end = performance.now() + PATIENCE;
    for (let batch = this.#batch ?? this.#next(); batch !== undefined; batch = this.#batch ?? this.#next()) {
      this.#batch = batch;
      try {
        this.#took(batch, writeSync(this.#open().unblocked(), batch.bytes));
      } catch (error) {
        if (!isFull(error) || performance.now() > end) return this.#loseAll();
        Atomics.wait(SLEEP, 0, 0, FIRST_PAUSE);
      }
    }
  }

  #open(): Descriptor {
    if (this.#opened === undefined) {
      this.#opened = unblocking(this.#descriptor);
      process.on("exit", () => this.#finish());
    }
    return this.#opened;
  }

  #next(): Batch | undefined {
    if (this.#waiting.length === 0) return undefined;
    const cut = this.#isCut ? "\n" : "";
    const tells = this.#untold;
    if (tells > 0) return { bytes: Buffer.from(`${cut}${lostLines(tells)}`), tells };
    const lines: Buffer[] = [Buffer.from(cut)];
    let size = cut.length;
    do {
      const line = this.#waiting.shift() ?? Buffer.alloc(0);
      lines.push(line);
      size += line.byteLength;
    } while (size + (this.#waiting[0]?.byteLength ?? Infinity) <= WHOLE);
    this.#size -= size - cut.length;
    return { bytes: Buffer.concat(lines), tells: 0 };
  }

  #took(batch: Batch, written: number): void {
    this.#pause = FIRST_PAUSE;
    if (written > 0) this.#isCut = batch.bytes[written - 1] !== NEWLINE;
    batch.bytes = batch.bytes.subarray(written);
    if (batch.bytes.byteLength > 0) return;
    this.#batch = undefined;
    this.#untold -= batch.tells;
  }

  #askLater(): void {
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
      this.#continue();
    }, this.#pause).unref();
    this.#pause = Math.min(2 * this.#pause, LAST_PAUSE);
  }

  #loseAll(): void {
    const begun = this.#batch?.tells === 0 ? linesIn(this.#batch.bytes) : 0;
    this.#lose(begun + this.#waiting.length);
    [this.#batch, this.#waiting, this.#size] = [undefined, [], 0];
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#untold += lines;
  }
}

/** What `Atomics.wait` may sleep by. */
const SLEEP = new Int32Array(new SharedArrayBuffer(4));

/** In the form of the log's own lines. */
function lostLines(lines: number): string {
  const told = { level: 40, time: Date.now(), pid: process.pid, lines, msg: "lines of the log were lost, since nothing took them" };
  return `${JSON.stringify(told)}\n`;
}

function linesIn(bytes: Buffer): number {
  let [lines, at] = [0, bytes.indexOf(NEWLINE)];
  for (; at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}

interface Descriptor {
  /** To be asked for each write. */
  unblocked(): number;
}

/**
 * What writes to a descriptor of the program's without waiting for who reads, since a thread that waits in a write keeps the process from
 * ending. A pipe and a terminal are opened anew, which changes nothing for others that write there.
 */
function unblocking(descriptor: number): Descriptor {
  const stat = fstatSync(descriptor);
  if (stat.isFIFO() || isatty(descriptor)) {
    try {
      const own = openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      return { unblocked: () => own };
    } catch {
      // Nobody has it open for reading, or it is another user's. Such a terminal is waited for, in the background until the end.
    }
  }
  if (!stat.isFIFO() && !stat.isSocket()) return { unblocked: () => descriptor };
  return {
    // A socket cannot be opened anew. Node makes one wait again, for all processes that have it, when it starts a process and when it ends.
    unblocked: () => {
      new Socket({ fd: descriptor, readable: false }).destroy();
      return descriptor;
    },
  };
}
