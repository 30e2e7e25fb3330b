import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type UploadClaim, UploadLedger } from "../../src/limits/uploads.ts";
import { WorkTurns } from "../../src/limits/turns.ts";

const HOUR = 3_600_000;
const WIDE = { perIdentity: 1000, inAll: 1000 };

function claimOf(upload: string, changed: Partial<UploadClaim> = {}): UploadClaim {
  return { upload, namespace: "models", identity: "a", bytes: 0, left: null, open: null, ...changed };
}

describe("uploads whose bytes arrive", () => {
  test("keep an identity from beginning another one while there are too many, and nobody from going on", () => {
    const ledger = new UploadLedger({ perIdentity: 2, inAll: 3 });
    for (const upload of ["u1", "u2"]) {
      expect(ledger.admit(claimOf(upload), 0)).toBe("admitted");
      expect(ledger.arrive(claimOf(upload), 1, 0)).toBe("admitted");
    }
    expect(ledger.admit(claimOf("u3"), 0)).toBe("busy");
    expect(ledger.arrive(claimOf("u4"), 1, 0)).toBe("admitted");
    expect(ledger.admit(claimOf("u5", { identity: "b" }), 0)).toBe("busy");
    ledger.end("u4");
    expect(ledger.admit(claimOf("u5", { identity: "b" }), 0)).toBe("admitted");
    ledger.pause("u1", 1, 0);
    expect(ledger.admit(claimOf("u3"), 0)).toBe("admitted");
  });

  test("count no more when the process that has them ends", () => {
    const ledger = new UploadLedger({ perIdentity: 1, inAll: 1 });
    ledger.arrive(claimOf("u1"), 1, 0);
    ledger.left(2);
    expect(ledger.admit(claimOf("u2"), 0)).toBe("busy");
    ledger.left(1);
    ledger.pause("u1", 1, 0);
    expect(ledger.admit(claimOf("u2"), 0)).toBe("admitted");
  });
});

describe("open uploads of a namespace", () => {
  test("are bounded, until one of them is ended", () => {
    const ledger = new UploadLedger(WIDE);
    expect(["u1", "u2", "u3"].map((upload) => ledger.admit(claimOf(upload, { open: 2 }), 0))).toEqual(["admitted", "admitted", "open"]);
    expect(ledger.admit(claimOf("u4", { open: 2, namespace: "team" }), 0)).toBe("admitted");
    ledger.end("u1");
    expect(ledger.admit(claimOf("u3", { open: 2 }), 0)).toBe("admitted");
  });

  test("that nobody has gone on with for an hour make way", () => {
    const ledger = new UploadLedger(WIDE);
    ledger.admit(claimOf("u1", { open: 2 }), 0);
    ledger.arrive(claimOf("u2", { open: 2 }), 1, 0);
    expect(ledger.admit(claimOf("u3", { open: 2 }), HOUR)).toBe("open");
    expect(ledger.admit(claimOf("u3", { open: 2 }), HOUR + 1)).toBe("admitted");
    expect(ledger.admit(claimOf("u4", { open: 2 }), HOUR + 1)).toBe("open");
  });

  test("have room reserved, which is given back when they end", () => {
    const ledger = new UploadLedger(WIDE);
    expect(ledger.admit(claimOf("u1", { bytes: 60, left: 100 }), 0)).toBe("admitted");
    expect(ledger.admit(claimOf("u2", { bytes: 41, left: 100 }), 0)).toBe("bytes");
    expect(ledger.admit(claimOf("u2", { bytes: 0, left: 100 }), 0)).toBe("admitted");
    expect(ledger.arrive(claimOf("u2", { bytes: 41, left: 100 }), 1, 0)).toBe("bytes");
    expect(ledger.arrive(claimOf("u2", { bytes: 40, left: 100 }), 1, 0)).toBe("admitted");
    ledger.end("u1");
    expect(ledger.arrive(claimOf("u3", { bytes: 60, left: 100 }), 1, 0)).toBe("admitted");
  });
});

describe("an upload that nobody has gone on with for an hour", () => {
  test.each(["admit", "arrive"] as const)("keeps no room from those that %s", (what) => {
    const ledger = new UploadLedger(WIDE);
    const ask = (claim: UploadClaim, now: number) => (what === "admit" ? ledger.admit(claim, now) : ledger.arrive(claim, 1, now));
    for (const upload of ["left", "arriving"]) ledger.arrive(claimOf(upload, { bytes: 50, left: 100 }), 1, 0);
    ledger.pause("left", 1, 0);
    expect(ask(claimOf("next", { bytes: 50, left: 100 }), HOUR)).toBe("bytes");
    expect(ask(claimOf("next", { bytes: 51, left: 100 }), HOUR + 1)).toBe("bytes");
    expect(ask(claimOf("next", { bytes: 50, left: 100 }), HOUR + 1)).toBe("admitted");
    expect(ledger.arrive(claimOf("left", { bytes: 50, left: 100 }), 1, HOUR + 1)).toBe("bytes");
  });

  test("goes on where there is room for it", () => {
    const ledger = new UploadLedger(WIDE);
    ledger.arrive(claimOf("left", { bytes: 60, left: 100 }), 1, 0);
    ledger.pause("left", 1, 0);
    expect(ledger.arrive(claimOf("left", { bytes: 101, left: 100 }), 1, HOUR + 1)).toBe("bytes");
    expect(ledger.arrive(claimOf("left", { bytes: 100, left: 100 }), 1, HOUR + 1)).toBe("admitted");
    ledger.end("left");
    expect(ledger.admit(claimOf("next", { bytes: 100, left: 100 }), HOUR + 1)).toBe("admitted");
  });
});

/** What clients do with a few uploads, in any order. */
const act = fc.record({
  what: fc.constantFrom("admit", "arrive", "pause", "end", "left"),
  upload: fc.constantFrom("u1", "u2", "u3", "u4", "u5", "u6"),
  process: fc.integer({ min: 1, max: 3 }),
  bytes: fc.integer({ min: 0, max: 60 }),
});

type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

/** The ledger, and what it promised as a client remembers it. */
class Promises {
  readonly #ledger = new UploadLedger({ perIdentity: 1, inAll: 1 });
  readonly #promised = new Map<string, number>();

  readonly acts: Readonly<Record<Act["what"], (act: Act) => void>> = {
    admit: ({ upload, bytes }) => {
      const isNew = !this.#promised.has(upload);
      if (isNew && this.#ledger.admit(claimOf(upload, { bytes, left: 100 }), 0) === "admitted") this.#promised.set(upload, bytes);
    },
    arrive: ({ upload, bytes, process }) => {
      const own = this.#promised.get(upload) ?? 0;
      const isThereRoom = this.total - own + bytes <= 100;
      const isAdmitted = this.#ledger.arrive(claimOf(upload, { bytes, left: 100 }), process, 0) === "admitted";
      if (isAdmitted !== isThereRoom) throw new Error(`${upload} was ${isAdmitted ? "" : "not "}admitted`);
      if (isAdmitted) this.#promised.set(upload, Math.max(own, bytes));
    },
    pause: ({ upload, process }) => this.#ledger.pause(upload, process, 0),
    end: ({ upload }) => {
      this.#ledger.end(upload);
      this.#promised.delete(upload);
    },
    left: ({ process }) => this.#ledger.left(process),
  };

  get total(): number {
    return [...this.#promised.values()].reduce((sum, each) => sum + each, 0);
  }

  /** Ends everything; is the ledger then as a new one? */
  isClean(): boolean {
    for (const process of [1, 2, 3]) this.#ledger.left(process);
    for (const upload of ["u1", "u2", "u3", "u4", "u5", "u6"]) this.#ledger.end(upload);
    return this.#ledger.admit(claimOf("last", { bytes: 100, left: 100, open: 1 }), 0) === "admitted";
  }
}

test("whatever comes in whatever order, no more room is promised than there is, and no less, and nothing stays counted when all has ended", () => {
  const check = fc.check(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const promises = new Promises();
      for (const each of acts) {
        promises.acts[each.what](each);
        if (promises.total > 100) return false;
      }
      return promises.isClean();
    }),
  );
  expect(check).toMatchObject({ failed: false });
});

test("work of which there is one at a time begins again when it is done, or its process has ended", () => {
  const turns = new WorkTurns({ export: 1 });
  expect([turns.begin("export", 1), turns.begin("export", 2)]).toEqual([true, false]);
  turns.end("export", 2);
  expect(turns.begin("export", 2)).toBe(false);
  turns.end("export", 1);
  expect(turns.begin("export", 2)).toBe(true);
  turns.left(2);
  expect(turns.begin("export", 1)).toBe(true);
});
