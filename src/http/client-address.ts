import { BlockList, isIP } from "node:net";

/** A range of addresses. */
export interface AddressRange {
  readonly address: string;
  /** How many of its first bits all of them share. */
  readonly prefix: number;
}

/** Proxies that a request may have come through, and addresses of one header that are looked at. */
const MAX_HOPS = 32;

/** The addresses of proxies that are believed whom they speak for. */
export class TrustedProxies {
  readonly #ranges = new BlockList();
  readonly #isEmpty: boolean;

  constructor(ranges: readonly AddressRange[]) {
    this.#isEmpty = ranges.length === 0;
    for (const { address, prefix } of ranges) this.#ranges.addSubnet(address, prefix, isIP(address) === 6 ? "ipv6" : "ipv4");
  }

  /**
   * Who asks: the peer of the socket or, when that is a proxy of ours, whom it speaks for. Each proxy appends whom it got the request from, so
   * that only what stands to the right of the first stranger is ours, and whatever a client wrote itself counts for nothing.
   */
  clientOf(peer: string, forwarded: string | undefined): string {
    if (this.#isEmpty || forwarded === undefined) return peer;
    let client = peer;
    for (const hop of forwarded.split(",").slice(-MAX_HOPS).toReversed()) {
      if (!this.trusts(client)) return client;
      const address = addressIn(hop);
      if (address === undefined) return client;
      client = address;
    }
    return client;
  }

  /** Is this one of them? */
  trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#ranges.check(address, family === 6 ? "ipv6" : "ipv4");
  }
}

/** An IPv4 address in IPv6 clothes, as what it is. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

/** The address of a hop, which some proxies write with a port. */
function addressIn(hop: string): string | undefined {
  const text = hop.trim();
  const bare = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(text)?.[1] ?? text;
  const address = plainAddress(bare);
  return isIP(address) === 0 ? undefined : address;
}
