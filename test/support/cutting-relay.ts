/**
 * CuttingRelay: one address of 127.0.0.1 in front of a server, which cuts the connection at a moment of its own: before the server hears of
 * a message, or when it has answered and nobody has heard it. A message is what came in one piece.
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface CuttingRelay extends AsyncDisposable {
  readonly port: number;
  /** From now on: at the message of this number, the first being 1, counted over all connections. */
  cutAt(message: number, when: "before" | "after"): void;
  /** Lets everything pass. Whether something was cut. */
  pass(): boolean;
}

interface Cut {
  left: number;
  readonly when: "before" | "after";
}

/** Starts one that leads to `port` of 127.0.0.1. */
export async function startCuttingRelay(port: number): Promise<CuttingRelay> {
  const sockets = new Set<Socket>();
  let cut: Cut | undefined;
  const server = createServer((client) => {
    const target = connect({ host: "127.0.0.1", port });
    const end = (): void => {
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("error", () => {}); // "close" follows.
      socket.once("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    let isUnheard = false;
    client.on("data", (bytes) => {
      const isNow = cut !== undefined && --cut.left === 0;
      if (isNow && cut?.when === "before") return end();
      isUnheard ||= isNow;
      target.write(bytes);
    });
    target.on("data", (bytes) => (isUnheard ? end() : client.write(bytes)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port, // A TCP server that listens has this shape of address.
    cutAt(message, when) {
      cut = { left: message, when };
    },
    pass() {
      const wasCut = cut !== undefined && cut.left <= 0;
      cut = undefined;
      return wasCut;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
