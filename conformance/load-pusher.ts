import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { RunningRegistry } from "./registry-process.ts";

const saidSchema = z.object({ said: z.string(), digest: z.string().optional(), sent: z.number().optional() });

/** A process that pushes a large blob again and again (`load-push.ts`), apart from the one that measures. */
export class Pusher {
  readonly #child: ChildProcess;
  readonly digest: string;

  private constructor(child: ChildProcess, digest: string) {
    this.#child = child;
    this.digest = digest;
  }

  /** Resolves when it knows the digest of as many bytes. It sends at most `rate` of them a second; zero: any. */
  static async start(
    registry: Pick<RunningRegistry, "url" | "key">,
    repository: string,
    { size, rate }: { readonly size: number; readonly rate: number },
  ) {
    const target = { url: registry.url, authorization: `Bearer ${await registry.key("publisher")}`, size, repository, rate };
    const child = fork(fileURLToPath(new URL("load-push.ts", import.meta.url)), [JSON.stringify(target)]);
    return new Pusher(child, (await said(child, "ready")).digest ?? "");
  }

  async begin(): Promise<void> {
    const isUnderWay = said(this.#child, "under way");
    this.#child.send("begin");
    await isUnderWay;
  }

  /** Bytes that were sent. */
  async end(): Promise<number> {
    const ended = said(this.#child, "ended");
    this.#child.send("end");
    const { sent = 0 } = await ended;
    if (this.#child.exitCode === null) await once(this.#child, "exit");
    return sent;
  }
}

async function said(child: ChildProcess, what: string): Promise<z.infer<typeof saidSchema>> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the process that pushes has ended")));
    child.on("message", (message) => {
      const heard = saidSchema.parse(message);
      if (heard.said === what) resolve(heard);
    });
  });
}
