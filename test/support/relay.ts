/** Relay: one address of 127.0.0.1 behind which one server takes another's place. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { States } from "./states.ts";

export interface Relay extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly port: number;
  /** How many connections came so far, and how many are open. */
  readonly accepted: number;
  readonly open: number;
  /** All that came in, a character a byte. */
  readonly received: string;
  /** Cuts what is open; from now on connections lead to this port. */
  leadTo(port: number): void;
  /** Cuts what is open, and resolves when nothing is. */
  cut(): Promise<void>;
  /** Resolves when no more than so many are open. */
  untilOpen(count: number): Promise<void>;
}

/** Starts one that leads to `port` of 127.0.0.1. */
export async function startRelay(port: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const states = new States();
  let targetPort = port;
  let accepted = 0;
  let received = "";
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const untilOpen = (count: number): Promise<void> => states.until(() => sockets.size <= 2 * count, { tell: () => `${sockets.size / 2} connections are open` });
  const server = createServer((socket) => {
    accepted++;
    socket.on("data", (bytes: Buffer) => (received += bytes.toString("latin1")));
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
        states.changed();
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: ownPort } = server.address() as AddressInfo; // A TCP server that listens has this shape of address.
  return {
    host: `127.0.0.1:${ownPort}`,
    port: ownPort,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size / 2;
    },
    get received() {
      return received;
    },
    untilOpen,
    async cut() {
      cut();
      await untilOpen(0);
    },
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
