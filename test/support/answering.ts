import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Something on loopback that answers HTTP as a test wants, where the real registry would have to be broken for it. */
export interface Answering {
  readonly url: string;
  close(): Promise<void>;
}

export async function startAnswering(listener: RequestListener): Promise<Answering> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
