import { once } from "node:events";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { LargeContent } from "./large-content.ts";
import { CutError } from "./wire.ts";
import { OutrunError, sendPart } from "./large-transfer.ts";

/** Of processes that are no real-time ones. */
const LOWEST = 19;

/*
 * A process that pushes one large blob again and again, made while it is sent, until it is told to end; what it has then not finished is
 * cancelled. It says on the channel when it is ready, when bytes are under way, and in the end how many it has sent. `rate` is how many bytes a
 * second it sends at most; zero: any.
 */
const { url, authorization, size, repository, rate } = z
  .object({ url: z.string(), authorization: z.string(), size: z.number(), repository: z.string(), rate: z.number() })
  .parse(JSON.parse(process.argv[2] ?? "{}"));

// As if it ran on a machine of its own: what it needs to make bytes is nothing that the registry does to others.
setPriority(LOWEST);
const headers = { authorization };
const content = new LargeContent(size);
const digest = content.digest();
const ending = new AbortController();
let [sent, isUnderWay] = [0, false];
let began = 0;

process.send?.({ said: "ready", digest });
await once(process, "message");
began = performance.now();
process.once("message", () => ending.abort());
while (!ending.signal.aborted) await push();
process.send?.({ said: "ended", sent }, () => process.exit(0));

async function push(): Promise<void> {
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: "POST", headers });
  if (begun.status !== 202) throw new Error(`an upload was answered by ${begun.status}`);
  let path = begun.headers.get("location") ?? "";
  let at = 0;
  const passed = async (offset: number): Promise<void> => {
    if (ending.signal.aborted) throw new CutError("told to end");
    const early = rate > 0 ? began + (sent / rate) * 1000 - performance.now() : 0;
    if (early > 0) await sleep(early);
    sent += offset - at;
    at = offset;
    if (!isUnderWay) process.send?.({ said: "under way" });
    isUnderWay = true;
  };
  try {
    path = await sendPart({ url, authorization }, content, { path, from: 0, to: size, passed });
    const place = new URL(path, url);
    place.searchParams.set("digest", digest);
    const closed = await fetch(place, { method: "PUT", headers });
    if (closed.status !== 201) throw new Error(`the end of an upload was answered by ${closed.status}`);
  } catch (error) {
    if (!(error instanceof CutError || error instanceof OutrunError) || !ending.signal.aborted) throw error;
    await fetch(new URL(path, url), { method: "DELETE", headers });
  }
}
