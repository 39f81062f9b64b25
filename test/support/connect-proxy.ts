/** ConnectProxy: an HTTP proxy for tunnels only, all of which lead to one port of 127.0.0.1: who asks for a host of the internet gets our fake. */
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";

export interface ConnectProxy extends AsyncDisposable {
  readonly url: string;
  /** `oauth2.googleapis.com:443`, in order. */
  readonly targets: readonly string[];
}

/** Starts one on a free port of 127.0.0.1. */
export async function startConnectProxy(port: number): Promise<ConnectProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => {})));
  server.on("connect", (request, socket) => {
    targets.push(request.url ?? "");
    socket.on("error", () => {}); // "close" follows.
    const onward = connect({ host: "127.0.0.1", port }, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    sockets.add(onward.on("error", () => socket.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // A TCP server that listens has this shape of address.
    targets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
