import { RegistryError } from "../../oci/errors.ts";
import { type ReadPolicy, compareWithInForce, readPolicy } from "../../registry/policy-history.ts";
import { putPolicy } from "../../registry/policies.ts";
import type { Caller } from "../../registry/ports.ts";
import type { StatingServices } from "../../registry/registry-statements.ts";
import { type ReplayServices, replayPolicy } from "../../registry/replay-policy.ts";
import { policyPath } from "../../ui/links.ts";
import { DOCUMENT_FIELD, IN_FORCE_FIELD, MAX_DOCUMENT, TRIED_FIELD } from "../../ui/policies.ts";
import { ACT_FIELD, CURSOR_FIELD, TALLY_FIELDS, type Tally, type Tried, tryPage } from "../../ui/policy-try.ts";
import { markupLength } from "../../ui/text.ts";
import type { Ask, Door } from "../route.ts";
import { field } from "./form.ts";
import { type Pages, redirect } from "./page.ts";
import { demandPolicyRight } from "./policy-right.ts";
import { formOf, viewerOf } from "./session-gate.ts";
import { wholeNumber } from "./whole-number.ts";

type Needs = ReplayServices & StatingServices;

/** Artifacts that are decided about for one page. */
const PAGE = 12;
const NOTHING: Tally = { trusted: 0, others: 0, stopped: 0, passed: 0 };

/** Tries a policy on what is here, a page at a time, and puts in force what was tried. */
export function policyTryDoor(services: Needs, pages: Pages): Door {
  return {
    method: "POST",
    path: "/ui/policies/try",
    action: "session",
    handle: async (c, caller) => {
      demandPolicyRight(caller);
      const form = formOf(c);
      const text = field(form, DOCUMENT_FIELD) ?? "";
      const faults = await faultsOf(services, text);
      if (faults.length > 0) return show(pages, c, { text, tried: undefined, faults });
      if (field(form, ACT_FIELD) === "save") {
        return redirect(c, policyPath(await save(services, form, caller, text), "?done=saved"));
      }
      return show(pages, c, { text, tried: await tryOf(services, c, caller, text), faults });
    },
  };
}

async function faultsOf(services: Needs, text: string): Promise<readonly string[]> {
  if (markupLength(text) > MAX_DOCUMENT) return ["it is too long for a page: use securectl policy replay FILE and apply FILE"];
  const read = await readPolicy(services, text);
  return "faults" in read ? read.faults : [];
}

function show(pages: Pages, c: Ask, { text, tried, faults }: Omit<Parameters<typeof tryPage>[0], "viewer">): Response {
  const shown = markupLength(text) > MAX_DOCUMENT ? text.slice(0, MAX_DOCUMENT / 8) : text;
  const main = tryPage({ text: shown, tried, faults, viewer: viewerOf(c) });
  return pages.show(c, { title: "Try a policy", section: "/ui/policies", main, status: faults.length === 0 ? 200 : 400 });
}

/** The next artifacts where the form says how far it has come, else the first ones. */
async function tryOf(services: Needs, c: Ask, caller: Caller, document: string): Promise<Tried> {
  const form = formOf(c);
  const read = await policyIn(services, document);
  const isFurther = field(form, ACT_FIELD) === "further" && field(form, TRIED_FIELD) === read.digest;
  const cursor = isFurther ? field(form, CURSOR_FIELD) : undefined;
  const request = { name: read.name, document, version: undefined, repositories: undefined, cursor, limit: PAGE, signal: c.req.raw.signal };
  const { artifacts, examined, next } = await replayPolicy(services, caller, request);
  const before = cursor === undefined ? NOTHING : tallyOf(form);
  const tally = {
    trusted: before.trusted + examined.trusted,
    others: before.others + examined.others,
    stopped: before.stopped + artifacts.filter(({ outcome }) => outcome === "would-fail").length,
    passed: before.passed + artifacts.filter(({ outcome }) => outcome === "would-pass").length,
  };
  return { ...read, difference: await compareWithInForce(services, document), artifacts, tally, next };
}

async function policyIn(services: Needs, text: string): Promise<ReadPolicy> {
  const read = await readPolicy(services, text);
  // It was one a moment ago: what it names has gone since.
  if ("faults" in read) throw new RegistryError("CONFLICT", read.faults.join("; "));
  return read;
}

function tallyOf(form: URLSearchParams): Tally {
  const numbers = TALLY_FIELDS.map((name) => wholeNumber(field(form, name), 9) ?? 0);
  const [trusted = 0, others = 0, stopped = 0, passed = 0] = numbers;
  return { trusted, others, stopped, passed };
}

/** Puts in force what was tried; its name. */
async function save(services: Needs, form: URLSearchParams, caller: Caller, text: string): Promise<string> {
  const [tried, inForce] = [field(form, TRIED_FIELD), field(form, IN_FORCE_FIELD)];
  if (tried === undefined || inForce === undefined) throw new RegistryError("INVALID", "try the policy first: nothing was changed");
  const { name, notation } = await policyIn(services, text);
  const restsOn = { document: tried, inForce: inForce === "none" ? null : inForce };
  return (await putPolicy(services, caller, name, { bytes: Buffer.from(text), notation, restsOn })).name;
}
