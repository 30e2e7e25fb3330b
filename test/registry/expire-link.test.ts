import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { expireLink } from "../../src/registry/expire-link.ts";
import { mountBlob } from "../../src/registry/mount-blob.ts";
import { pullBlob } from "../../src/registry/pull-blob.ts";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { manifestRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { type Moment, interrupted } from "../support/race.ts";
import { Transitions, descriptorOf, digestIn, imageOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000 });

const alice = callerWith(["publisher@models"], { name: "alice" });
const operator = callerWith(["operator@*"], { name: "operator" });
const HOUR = 60 * 60 * 1000;

/** A repository with one blob, an artifact that consists of it, and another repository that needs the same blob. */
interface World {
  readonly at: Transitions;
  readonly place: string;
  readonly other: string;
  readonly content: string;
  readonly blob: Digest;
  readonly artifact: object;
}
type Act = (w: World) => Promise<unknown>;

const push: Act = ({ at, place, artifact }) => at.manifest(alice, place, artifact);
const promote: Act = ({ at, place, artifact }) => at.promote(operator, place, digestIn(artifact));
const revoke: Act = ({ at, place, artifact }) => at.revoke(operator, place, digestIn(artifact));
const remove: Act = ({ at, place, artifact }) => at.delete(operator, place, digestIn(artifact));

const SETUPS = {
  uploaded: [],
  acquired: [push],
  trusted: [push, promote],
  revoked: [push, promote, revoke],
  deleted: [push, remove],
} as const satisfies Readonly<Record<string, readonly Act[]>>;
type Setup = keyof typeof SETUPS;

const upload: Act = ({ at, place, content }) => at.blob(alice, place, content);
const look: Act = async ({ at, place, blob }) => (await pullBlob(at.services, alice, repository(place), blob)).keep();

const ACTS = {
  push,
  "upload and push": async (w) => [await upload(w), await push(w)],
  "look and push": async (w) => [await look(w), await push(w)],
  promote,
  revoke,
  delete: remove,
  upload,
  mount: ({ at, place, other, blob }) => mountBlob(at.services, alice, { repository: repository(place), digest: blob, from: other }),
  look,
  "delete blob": ({ at, place, blob }) => at.deleteBlob(alice, place, blob),
} as const satisfies Readonly<Record<string, Act>>;
type Name = keyof typeof ACTS;

/** Whatever is not needed has outlived a grace that is negative. */
const expire: Act = ({ at, place, blob }) => expireLink(at.services, { repository: repository(place), digest: blob }, Date.now() + HOUR);

let started: Transitions;
let registry: Transitions;
let worlds = 0;
beforeAll(async () => {
  started = await Transitions.start();
  const { services } = started;
  registry = started.through({ ...services, settings: { ...services.settings, collectGrace: -HOUR } });
});
afterAll(() => started[Symbol.asyncDispose]());

async function world(setup: Setup): Promise<World> {
  worlds += 1;
  const [place, other, content] = [`models/w${worlds}`, `models/x${worlds}`, `content ${worlds}`];
  const artifact = imageOf([], { config: descriptorOf(content) });
  for (const each of [place, other]) await registry.blob(alice, each, content);
  await registry.manifest(alice, other, artifact);
  const w = { at: registry, place, other, content, blob: digestOf(content), artifact };
  for (const act of SETUPS[setup]) await act(w);
  return w;
}

async function outcomeOf(act: Act, w: World): Promise<string> {
  try {
    return String((await act(w)) !== false);
  } catch (error) {
    if (error instanceof RegistryError && error.code !== "INTERNAL") return "refused";
    throw error;
  }
}

async function stateOf({ at, place, blob, artifact }: World): Promise<string> {
  const { metadata } = at.services;
  const name = repository(place);
  const record = await metadata.get(keys.manifest(name, digestIn(artifact)));
  const { state, sequence } = record === undefined ? { state: "absent", sequence: 0 } : manifestRecord.parse(record.value);
  const link = await metadata.get(keys.link(name, blob));
  const named = await metadata.list(under(keys.edges(name, { kind: "blob", digest: blob }), 10));
  const uses = await metadata.list(under(["link-use", name], 10));
  const astray = uses.filter(({ key }) => key[2] === blob).length > 0 && link === undefined;
  const said = [`${state} ${sequence}`, `link: ${link !== undefined}`, `named: ${named.length}`, ...(astray ? ["use without link"] : [])];
  return said.join(", ");
}

interface Pair {
  readonly setup: Setup;
  readonly act: Name;
}

async function inTurn({ setup, act }: Pair, first: "expiry" | "act"): Promise<string> {
  const w = await world(setup);
  const before = first === "expiry" ? await outcomeOf(expire, w) : undefined;
  const done = await outcomeOf(ACTS[act], w);
  const expired = before ?? (await outcomeOf(expire, w));
  return `${act}: ${done}, gone: ${expired}, ${await stateOf(w)}`;
}

/** The same with the one coming in between at a moment of the other; undefined when the other has no such moment. */
async function raced({ setup, act }: Pair, first: "expiry" | "act", moment: Moment): Promise<string | undefined> {
  const w = await world(setup);
  const [one, other] = first === "expiry" ? [expire, ACTS[act]] : [ACTS[act], expire];
  let between = "";
  const { services, came } = interrupted(registry.services, moment, async () => {
    between = await outcomeOf(other, w);
  });
  const through = registry.through(services);
  const around = await outcomeOf(one, { ...w, at: through });
  const [done, expired] = first === "expiry" ? [between, around] : [around, between];
  return came() ? `${act}: ${done}, gone: ${expired}, ${await stateOf(w)}` : undefined;
}

const PAIRS = Object.keys(SETUPS).flatMap((setup) => Object.keys(ACTS).map((act) => [setup as Setup, act as Name] as const));

// Whatever comes while a link expires, and a link that expires while anything is done, are as good as one after the other.
describe.concurrent("a link expires at one moment", () => {
  test.each(PAIRS)("of an artifact that is %s, whatever it meets: %s", async (setup, act) => {
    const [before, after] = [await inTurn({ setup, act }, "expiry"), await inTurn({ setup, act }, "act")];
    // Nothing that was done before the link is gone finds it gone.
    const orders = before.includes("gone: true") ? [after] : [before, after];
    for (let moment = 1; ; moment += 1) {
      const found = await raced({ setup, act }, "expiry", moment);
      if (found === undefined) break;
      expect(orders).toContain(found);
    }
    expect([before, after, undefined]).toContain(await raced({ setup, act }, "act", "commit"));
  });
});

test("a link that is made anew while the old one expires stays", async () => {
  const w = await world("uploaded");
  const { services } = interrupted(registry.services, "commit", async () => {
    await registry.deleteBlob(alice, w.place, w.blob);
    const later = registry.through({ ...registry.services, clock: () => Date.now() + HOUR });
    await later.blob(alice, w.place, w.content);
  });
  const place = { repository: repository(w.place), digest: w.blob };
  expect(await expireLink(services, place, Date.now())).toBe(false);
  expect(await stateOf(w)).toContain("link: true");
});

test("a link stays that an artifact needs which is promoted and revoked again and again while that is looked at", async () => {
  const w = await world("revoked");
  const { metadata } = registry.services;
  const acts = [promote, revoke, promote];
  const changing: Registry["metadata"] = {
    get: (key) => metadata.get(key),
    list: async (range) => {
      const found = await metadata.list(range);
      await acts.shift()?.(w);
      return found;
    },
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
  expect(await outcomeOf(expire, { ...w, at: registry.through({ ...registry.services, metadata: changing }) })).toBe("false");
  expect(acts).toEqual([]);
  expect(await stateOf(w)).toContain("link: true");
});

test("what keeps a link is told apart from what does not", async () => {
  const gone: Record<string, string> = {};
  for (const setup of Object.keys(SETUPS) as Setup[]) gone[setup] = await outcomeOf(expire, await world(setup));
  expect(gone).toEqual({
    uploaded: "true",
    acquired: "false",
    trusted: "false",
    revoked: "false",
    deleted: "true",
  });
});
