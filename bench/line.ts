/**
 * A line of so many bytes a second between us and a registry: `node bench/line.ts PORT TARGET-PORT BYTES-PER-SECOND`. What comes from
 * the target goes on at that pace, for each connection by itself; what goes there is not held up. Loopback only.
 */
import { connect, createServer, type Socket } from "node:net";

const [port = 0, targetPort = 0, bytesPerSecond = 0] = process.argv.slice(2).map(Number);
const everyMs = 4;
const host = "127.0.0.1";

createServer((client) => {
  const target = connect({ host, port: targetPort });
  client.pipe(target);
  pace(target, client);
  client.on("error", () => target.destroy());
  target.on("error", () => client.destroy());
  client.on("close", () => target.destroy());
}).listen(port, host);

/** Hands on what `from` has, a share every few milliseconds; time in which there was nothing to send is not made up for. */
function pace(from: Socket, to: Socket): void {
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let lastMs = performance.now();
  from.on("data", (chunk: Buffer) => {
    waiting.push(chunk);
    waitingBytes += chunk.length;
    if (waitingBytes > bytesPerSecond / 50) from.pause();
  });
  from.on("end", () => (isEnded = true));
  let isEnded = false;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    let shareBytes = waitingBytes === 0 ? 0 : Math.floor((bytesPerSecond * (nowMs - lastMs)) / 1_000);
    lastMs = nowMs;
    while (shareBytes > 0 && waiting[0]) {
      const [chunk] = waiting;
      const part = chunk.subarray(0, shareBytes);
      to.write(part);
      shareBytes -= part.length;
      waitingBytes -= part.length;
      if (part.length === chunk.length) waiting.shift();
      else waiting[0] = chunk.subarray(part.length);
    }
    if (waitingBytes < bytesPerSecond / 100) from.resume();
    if (isEnded && waitingBytes === 0) to.end();
  }, everyMs);
  to.on("close", () => clearInterval(timer));
}
