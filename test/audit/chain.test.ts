import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Link, append, linkSchema, verify } from "../../src/audit/chain.ts";
import type { AuditEvent } from "../../src/audit/event.ts";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { digestOf } from "../../src/oci/digest.ts";

const events = fc.record({
  id: fc.uuid(),
  time: fc.nat(),
  type: fc.constantFrom("blob.push", "artifact.promote"),
  actor: fc.record({ principal: fc.string({ maxLength: 20 }), kind: fc.constantFrom("human", "service", "system") }),
  outcome: fc.constantFrom("allow", "deny", "error"),
  reason: fc.string({ maxLength: 20 }),
}) as fc.Arbitrary<AuditEvent>;

const chains = fc.array(events, { minLength: 1, maxLength: 12 }).map(chainOf);

function chainOf(all: readonly AuditEvent[]): Link[] {
  const links: Link[] = [];
  for (const event of all) links.push(append(links.at(-1), event));
  return links;
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`nothing at ${index}`);
  return found;
}

function edited(link: Link): Link {
  return { ...link, event: { ...link.event, reason: `${link.event.reason}!` } };
}

/** A link that somebody changed and gave the hash that belongs to it now. */
function rehashed(link: Link): Link {
  const { sequence, previous, event } = link;
  return { ...link, hash: digestOf(canonicalJson({ sequence, previous, event })) };
}

test("a chain that was appended link by link is intact, and its head is the last link", () => {
  fc.assert(
    fc.property(chains, (links) => {
      expect(verify(links)).toEqual({ intact: true, head: links.at(-1) });
      expect(links.map(({ sequence }) => sequence)).toEqual(links.map((_link, index) => index + 1));
      for (const link of links) expect(linkSchema.parse(link)).toEqual(link);
    }),
  );
});

test("an empty chain is intact", () => {
  expect(verify([])).toEqual({ intact: true, head: undefined });
});

test("a chain is verified page after page", () => {
  fc.assert(
    fc.property(chains, fc.nat(), (links, any) => {
      const cut = any % links.length;
      const first = verify(links.slice(0, cut));
      if (!first.intact) throw new Error(first.reason);
      expect(verify(links.slice(cut), first.head)).toEqual({ intact: true, head: links.at(-1) });
    }),
  );
});

test("an edited event is found at its place", () => {
  fc.assert(
    fc.property(chains, fc.nat(), (links, any) => {
      const index = any % links.length;
      expect(verify(links.with(index, edited(at(links, index))))).toMatchObject({ intact: false, sequence: index + 1 });
    }),
  );
});

test("an edited event whose own hash was made to fit is found by the link after it", () => {
  fc.assert(
    fc.property(fc.array(events, { minLength: 2, maxLength: 12 }).map(chainOf), fc.nat(), (links, any) => {
      const index = any % (links.length - 1);
      expect(verify(links.with(index, rehashed(edited(at(links, index)))))).toMatchObject({ intact: false, sequence: index + 2 });
    }),
  );
});

test("a link that was removed, repeated or moved is found", () => {
  fc.assert(
    fc.property(fc.array(events, { minLength: 3, maxLength: 12 }).map(chainOf), fc.nat(), (links, any) => {
      const index = any % (links.length - 1);
      expect(verify(links.toSpliced(index, 1)).intact).toBe(false);
      expect(verify(links.toSpliced(index, 0, at(links, index))).intact).toBe(false);
      expect(verify(links.with(index, at(links, index + 1)).with(index + 1, at(links, index))).intact).toBe(false);
    }),
  );
});

test("what was cut off at the end shows in the head", () => {
  const links = chainOf(fc.sample(events, 3));
  expect(verify(links.slice(0, 2))).toEqual({ intact: true, head: links[1] });
});

test("a clock that was set back does not take the chain's time back", () => {
  const sample = fc.sample(events, 2);
  const head = append(undefined, { ...at(sample, 0), time: 2000 });
  const link = append(head, { ...at(sample, 1), time: 1000 });
  expect(link.event.time).toBe(2000);
  expect(verify([head, rehashed({ ...link, event: { ...link.event, time: 1000 } })])).toMatchObject({
    intact: false,
    reason: "time goes backwards",
  });
});

test("an event that has no canonical form makes no link", () => {
  const event = at(fc.sample(events, 1), 0);
  expect(() => append(undefined, { ...event, reason: "\ud800" })).toThrow(TypeError);
});
