import type { Server, Socket } from "node:net";
import { type ConnectionCaps, type Counted, ownConnections } from "../limits/connections.ts";
import type { Limits } from "../limits/limits.ts";
import type { Meter } from "../metrics/metric-set.ts";
import { TrustedProxies, plainAddress } from "./client-address.ts";
import { addressKey } from "./limits.ts";

/** What the connections of one process are counted by. */
export interface ConnectionParts {
  /** Of all processes together. */
  readonly caps: ConnectionCaps;
  readonly processes: number;
  readonly limits: Pick<Limits, "connect" | "disconnect">;
  /** They speak for many: whom they speak for is counted instead, by requests. */
  readonly proxies?: TrustedProxies;
  readonly metrics?: Meter;
}

/**
 * Counts the connections of this process, by address and in all. What goes beyond its own share is taken from what all processes share, so
 * that the bounds hold over all of them, whichever a connection comes to.
 */
export class Connections {
  readonly #parts: ConnectionParts;
  readonly #own: ConnectionCaps;
  readonly #proxies: TrustedProxies;
  readonly #held = new Map<Counted, number>();
  /** How many of these nobody else knows of, since nobody answered. */
  readonly #unknown = new Map<Counted, number>();

  constructor(parts: ConnectionParts) {
    const { caps, processes, proxies } = parts;
    this.#parts = parts;
    this.#own = { perAddress: ownConnections(caps.perAddress, processes), inAll: ownConnections(caps.inAll, processes) };
    this.#proxies = proxies ?? new TrustedProxies([]);
  }

  /** Closes connections of a server that are too many, before anything is read of them or TLS is spoken. */
  bound(server: Server): void {
    const serving = server.listeners("connection");
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      const serve = (): void => {
        for (const listener of serving) Reflect.apply(listener, server, [socket]);
      };
      void this.#receive(socket, serve);
    });
  }

  /** Counts one more, unless there are too many; a promise only where another process has to be asked. */
  enter(counted: Counted): boolean | Promise<boolean> {
    if (countOf(this.#held, counted) >= this.#ownOf(counted)) return this.#enterShared(counted);
    add(this.#held, counted, 1);
    return true;
  }

  leave(counted: Counted): void {
    if (countOf(this.#held, counted) > this.#ownOf(counted)) this.#giveBack(counted);
    add(this.#held, counted, -1);
  }

  async #receive(socket: Socket, serve: () => void): Promise<void> {
    // Nobody else hears of it yet when the client breaks off.
    socket.on("error", ignore);
    const address = plainAddress(socket.remoteAddress ?? "");
    // Its address first: attempts that wait for an answer take nothing from others.
    const entered: Counted[] = [];
    for (const counted of this.#proxies.trusts(address) ? [null] : [addressKey(address), null]) {
      const answer = this.enter(counted);
      if (typeof answer === "boolean" ? answer : await answer) entered.push(counted);
      else {
        this.#parts.metrics?.add("registry_refused_connections_total", { bound: counted === null ? "all" : "address" });
        socket.destroy();
        break;
      }
    }
    const leave = (): void => entered.forEach((counted) => this.leave(counted));
    if (socket.destroyed) return leave();
    socket.once("close", leave).off("error", ignore);
    serve();
  }

  /** While nobody answers a process has as many as it would have if all had the same. */
  async #enterShared(counted: Counted): Promise<boolean> {
    const answer = await this.#parts.limits.connect(counted);
    if (!(answer ?? countOf(this.#held, counted) < 2 * this.#ownOf(counted))) return false;
    add(this.#held, counted, 1);
    if (answer === undefined) add(this.#unknown, counted, 1);
    // Others have gone meanwhile: it is one of this process's own.
    if (countOf(this.#held, counted) <= this.#ownOf(counted)) this.#giveBack(counted);
    return true;
  }

  #giveBack(counted: Counted): void {
    if (countOf(this.#unknown, counted) > 0) add(this.#unknown, counted, -1);
    else this.#parts.limits.disconnect(counted);
  }

  #ownOf(counted: Counted): number {
    return counted === null ? this.#own.inAll : this.#own.perAddress;
  }
}

function countOf(counts: ReadonlyMap<Counted, number>, counted: Counted): number {
  return counts.get(counted) ?? 0;
}

function add(counts: Map<Counted, number>, counted: Counted, change: number): void {
  const count = countOf(counts, counted) + change;
  if (count > 0) counts.set(counted, count);
  else counts.delete(counted);
}

function ignore(): void {}
