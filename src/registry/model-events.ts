import { GENESIS, type MODEL_ACTIONS, type ModelEvent, type ModelView, modelEventHash, modelEventSchema } from "../audit/model-event.ts";
import type { State } from "../lifecycle/state.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** Links may be large, for what a scanner found stands in them. */
const PAGE = 64;

/** What happened to a registered artifact, in the words of the predecessor's audit chain. */
export interface ModelHappening {
  readonly action: (typeof MODEL_ACTIONS)[number];
  /** Undefined for a name that is new. */
  readonly from: State | undefined;
  /** The record afterwards. */
  readonly view: ModelView;
}

/** The rows that append a link to the predecessor's chain, in the change that they tell of. */
export async function modelEventRows(
  services: Needs,
  { action, from, view }: ModelHappening,
): Promise<{ readonly expect: readonly Expectation[]; readonly put: readonly Put[] }> {
  const key = keys.modelEventHead();
  const head = await services.metadata.get(key);
  const last = head && modelEventSchema.parse(head.value);
  const event: ModelEvent = {
    sequence: (last?.sequence ?? 0) + 1,
    timestamp: timestampOf(services.clock()),
    action,
    name: view.name,
    ...(from !== undefined && { from_state: from }),
    to_state: view.state,
    sha256: view.sha256,
    artifact: view,
    prev_hash: last?.hash ?? GENESIS,
    hash: "",
  };
  const link = { ...event, hash: modelEventHash(event) };
  return {
    expect: [{ key, version: head?.version ?? "absent" }],
    put: [
      { key, value: link },
      { key: keys.modelEvent(link.sequence), value: link },
    ],
  };
}

/** All links of the predecessor's chain, oldest first, read while they are used. */
export async function* modelEvents({ metadata }: Pick<Services, "metadata">): AsyncGenerator<ModelEvent, void, undefined> {
  let after: readonly number[] = [];
  for (;;) {
    const page = await metadata.list(under(keys.modelEvents(), PAGE, after));
    for (const { value } of page) {
      const event = modelEventSchema.parse(value);
      yield event;
      after = [event.sequence];
    }
    if (page.length < PAGE) return;
  }
}

/** RFC 3339 as Go writes it: no zeros at the end of a fraction. */
function timestampOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.?0*Z$/, "Z");
}
