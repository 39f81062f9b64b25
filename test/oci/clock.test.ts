import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { runProcess } from "../support/processes.ts";

test("a process that stood still reads what has arrived before its deadlines are heard", async () => {
  await using server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // A TCP server that listens has this shape of address.
  const client = connect(port, "127.0.0.1");
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [[Socket], unknown];
  const heard: string[] = [];
  const read = once(accepted, "data").then(() => heard.push("data"));
  const late = new Promise<void>((resolve) => systemClock.after(10, resolve)).then(() => heard.push("deadline"));
  const cancelled = systemClock.after(10, () => heard.push("cancelled"));
  accepted.once("data", cancelled);
  client.write("x");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); // Nothing runs meanwhile.
  await Promise.all([read, late]);
  for (const socket of [client, accepted]) socket.destroy();
  expect(heard).toEqual(["data", "deadline"]);
});

test("a process that has nothing else to do is woken in time", async () => {
  const clock = new URL("../../src/oci/clock.ts", import.meta.url).href;
  const script = `
    import { systemClock } from ${JSON.stringify(clock)};
    const keepsAlive = setTimeout(() => {}, 20_000);
    systemClock.after(20, () => {
      console.log(Math.round(systemClock.elapsed()));
      clearTimeout(keepsAlive);
    });`;
  const { stdout } = await runProcess(process.execPath, ["--input-type=module", "--eval", script]);
  expect(Number(stdout)).toBeLessThan(5_000);
});
