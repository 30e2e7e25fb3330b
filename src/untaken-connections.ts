import type { Worker } from "node:cluster";

/**
 * Ends the connection that a worker was being given when it ended. Node's primary hands one at a time to a worker and lets go of it when the
 * worker has said that it took it; when that never comes, it keeps it for good, and the client would wait for ever.
 */
export function closeUntakenConnection(worker: Worker): void {
  const { process } = worker;
  const send: (...args: never[]) => boolean = process.send.bind(process);
  let handed: unknown;
  process.send = (...args: unknown[]): boolean => {
    if (args[1] !== undefined && args[1] !== null) [, handed] = args;
    return Boolean(Reflect.apply(send, process, args));
  };
  // Closed already when it was taken, and closing it again does nothing.
  worker.once("exit", () => {
    if (isClosable(handed)) handed.close();
  });
}

function isClosable(handle: unknown): handle is { close(): void } {
  return typeof handle === "object" && handle !== null && "close" in handle && typeof handle.close === "function";
}
