import { z } from "zod";
import { type Link, verify } from "../src/audit/chain.ts";
import { auditPageSchema } from "../src/api/audit.ts";
import { must } from "./must.ts";
import type { Wire } from "./wire.ts";

/** Events that change what a repository is seen to be; each is in one commit with what it tells of. */
const TOLD = /^(?:manifest\.push|artifact\.(?:promote|revoke|quarantine|delete)|tag\.(?:delete|rollback|remove))$/;
const PAGE = 1000;

const told = z.object({ name: z.string(), digest: z.string().optional(), tag: z.string().optional() });

/** Follows the audit over all kills: it goes on from the last link that was seen, which nothing may have changed since. */
export class AuditReader {
  #head: Link | undefined;

  /** Links that were proven. */
  get links(): number {
    return this.#head?.sequence ?? 0;
  }

  /** Proves what was added, and tells of each repository what it says was done, as `<type> <digest or tag>`, sorted. */
  async readOn(wire: Wire): Promise<ReadonlyMap<string, readonly string[]>> {
    const events = new Map<string, string[]>();
    for (;;) {
      const links = await this.#page(wire);
      const proven = verify(links, this.#head);
      if (!proven.intact) throw new Error(`the audit is broken at ${proven.sequence}: ${proven.reason}`);
      this.#head = proven.head;
      for (const { event } of links) {
        if (!TOLD.test(event.type) || event.outcome !== "allow") continue;
        const { name, digest, tag } = told.parse(event.target);
        const list = events.get(name) ?? [];
        list.push(`${event.type} ${event.type.startsWith("tag.") ? tag : digest}`);
        events.set(name, list);
      }
      if (links.length < PAGE) break;
    }
    return new Map([...events].map(([name, list]) => [name, list.toSorted()]));
  }

  async #page(wire: Wire): Promise<readonly Link[]> {
    const answer = await wire.ask("operator", "GET", `/v1/audit?after=${this.#head?.sequence ?? 0}&limit=${PAGE}`);
    must(answer.status === 200, `the audit was answered by ${answer.status}`);
    const { events, head } = auditPageSchema.parse(JSON.parse(answer.body.toString()));
    must(
      this.#head === undefined || (head !== null && head.sequence >= this.#head.sequence),
      `the audit ended at ${this.#head?.sequence} once, and now at ${head?.sequence}`,
    );
    return events.map(({ sequence, previous, hash, ...event }) => ({
      sequence,
      previous,
      hash,
      event: { ...event, time: Date.parse(event.time) },
    }));
  }
}
