/** Relay: one address of 127.0.0.1 behind which one server takes another's place. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface Relay extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Cuts what is open; from now on connections lead to this port. */
  leadTo(port: number): void;
}

/** Starts one that leads to `port` of 127.0.0.1. */
export async function startRelay(port: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let targetPort = port;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((socket) => {
    const target = connect({ host: "127.0.0.1", port: targetPort });
    for (const [one, other] of [
      [socket, target],
      [target, socket],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => {}); // "close" follows.
      one.once("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: ownPort } = server.address() as AddressInfo; // A TCP server that listens has this shape of address.
  return {
    host: `127.0.0.1:${ownPort}`,
    leadTo(next) {
      targetPort = next;
      cut();
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
