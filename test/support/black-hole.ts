/** BlackHole: a port of 127.0.0.1 whose SYNs nobody answers: the queue of a listener that takes nothing is full. */
import { connect, type Socket } from "node:net";
import { startProcess } from "./processes.ts";

/** More than a queue for one connection holds on any kernel. */
const fillers = 4;

/** Makes one of a port that is free now. Dispose of it, and the port is free again. */
export async function openBlackHole(port: number): Promise<AsyncDisposable> {
  const script = `require("net").createServer().listen({ host: "127.0.0.1", port: ${port}, backlog: 1 }, () => console.log("ready"))`;
  const listener = await startProcess({ command: process.execPath, args: ["-e", script], ready: { output: /ready/ } });
  listener.signal("SIGSTOP");
  const sockets: Socket[] = [];
  for (let count = 0; count < fillers; count++) {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {}); // Those that find no place are what this is about.
    sockets.push(socket);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await listener.kill("SIGKILL");
    },
  };
}
