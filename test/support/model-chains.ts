import { GENESIS, type ModelEvent, modelEventHash, modelEventJson } from "../../src/audit/model-event.ts";

type Record_ = ModelEvent["artifact"];

/** A record as the predecessor keeps it. */
export function recordOf(name: string, over: Partial<Record_> = {}): Record_ {
  return {
    name,
    format: "gguf",
    filename: `${name}.gguf`,
    sha256: "1401b495ac16636adac8a011e6ff394a226c1248a6489121667981e5b0b84a8b",
    size_bytes: 10,
    promoted_at: "2026-11-22T22:42:02Z",
    state: "acquired",
    ...over,
  };
}

/** The same record where its own copy of the bytes lies, as a promotion writes it. */
export function promoted(record: Record_): Record_ {
  const { sha256, format } = record;
  return { ...record, object_path: `objects/sha256/${sha256.slice(0, 2)}/${sha256}.${format}`, state: "trusted" };
}

const ACTIONS = { acquired: "acquire", quarantined: "quarantine", trusted: "promote", revoked: "revoke", deleted: "delete" } as const;

/** A chain of the predecessor that leads through these records, one second apart. */
export function chainOf(...records: readonly (Record_ & { readonly action?: ModelEvent["action"] })[]): ModelEvent[] {
  const events: ModelEvent[] = [];
  const states = new Map<string, Record_["state"]>();
  for (const [at, { action, ...artifact }] of records.entries()) {
    const { name, state, sha256 } = artifact;
    const from = states.get(name);
    events.push(
      linked(events.at(-1), {
        sequence: at + 1,
        timestamp: `2026-11-23T00:00:${String(at % 60).padStart(2, "0")}.5Z`,
        action: action ?? ACTIONS[state],
        name,
        ...(from !== undefined && { from_state: from }),
        to_state: state,
        sha256,
        artifact,
        prev_hash: "",
        hash: "",
      }),
    );
    states.set(name, state);
  }
  return events;
}

/** A link with the hashes that make it follow another one. */
export function linked(before: ModelEvent | undefined, event: ModelEvent): ModelEvent {
  const follows = { ...event, prev_hash: before?.hash ?? GENESIS };
  return { ...follows, hash: modelEventHash(follows) };
}

/** The records that a chain ends in. */
export function recordsIn(events: readonly ModelEvent[]): Record_[] {
  return [...new Map(events.map(({ name, artifact }) => [name, artifact])).values()];
}

/** A manifest as the predecessor writes it: links and records in its order of members, indented. */
export function manifestText(events: readonly ModelEvent[], models: readonly unknown[] = recordsIn(events)): string {
  const links = events.map((event) => JSON.parse(modelEventJson(event)) as unknown);
  return JSON.stringify({ version: 1, models, ...(links.length > 0 && { events: links }) }, undefined, 2);
}
