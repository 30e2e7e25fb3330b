import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { GREEDY_ADDRESS, IDLE_ADDRESSES, IdleConnections, sendHugeBodies, sendSlowBodies, sendSlowHeaders } from "./load-attackers.ts";

/**
 * The process of those who misbehave, apart from the one that measures: begins when it is started and ends when it is told to, after it has
 * said on the channel what became of everything.
 */
const target = z
  .object({ port: z.number(), authorization: z.string(), operator: z.string(), idle: z.number(), greedy: z.number(), slow: z.number() })
  .parse(JSON.parse(process.argv[2] ?? "{}"));

const LAST_WAIT = 30_000;

const idle = new IdleConnections(IDLE_ADDRESSES, 2);
await idle.open(target, target.idle);
const greedy = new IdleConnections([GREEDY_ADDRESS], 1);
await greedy.open(target, target.greedy);
const over = new AbortController();
const slowHeaders = sendSlowHeaders(target, target.slow, over.signal);
const slowBodies = sendSlowBodies(target, target.slow, over.signal);
const hugeBodies = sendHugeBodies(target, over.signal);
process.send?.({ said: "begun", idle: idle.takenIn });
await once(process, "message");
const atTheEnd = { idle: idle.close(), greedy: greedy.close() };
// Those that are slow are to end by the server's doing, which a machine with much to do comes to a little later.
await Promise.race([Promise.all([slowHeaders, slowBodies]), sleep(LAST_WAIT)]);
over.abort();
const [headers, bodies, huge] = await Promise.all([slowHeaders, slowBodies, hugeBodies]);
process.send?.({ said: "ended", ...atTheEnd, headers, bodies, huge }, () => process.exit(0));
