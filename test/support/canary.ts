/** Canary: a listener that nobody may reach. It records every connection, and every byte of it, and never answers. */
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface Canary extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly port: number;
  /** Connections so far: `expect(canary.connections).toBe(0)`. */
  readonly connections: number;
  /** What was sent to it, in all. */
  readonly received: string;
}

/** Starts one on a free port. `address`: another of this machine's loopback addresses. */
export async function startCanary({ address = "127.0.0.1" }: { address?: string } = {}): Promise<Canary> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let received = "";
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("data", (bytes) => (received += bytes.toString("latin1")));
    socket.on("error", () => {}); // Whoever came may leave as they like.
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, address, resolve));
  const { port } = server.address() as AddressInfo; // A TCP server that listens has this shape of address.
  return {
    host: `${address.includes(":") ? `[${address}]` : address}:${port}`,
    port,
    get connections() {
      return connections;
    },
    get received() {
      return received;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
