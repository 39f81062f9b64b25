/** A machine that knows no IPv6, as strace can make one: the first socket that is asked for, the listener's, is refused. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startProcess } from "../support/processes.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { pull } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const root = join(import.meta.dirname, "..", "..");
const canTrace = requirePrograms("strace") && requireRoot();

test.runIf(canTrace)("where there is no IPv6, host :: is all of IPv4", async () => {
  await using folder = await temporaryFolder();
  const trace = join(folder.path, "trace");
  const refusal = ["-f", "-qq", "-o", trace, "-e", "trace=socket", "-e", "inject=socket:error=EAFNOSUPPORT:when=1"];
  const server = [join(root, "node_modules", ".bin", "node"), "--max-semi-space-size=4", join(root, "src", "main.ts")];
  await using running = await startProcess({
    command: "strace",
    args: [...refusal, ...server, "serve", "--image-path", join(folder.path, "store"), "--port", "0", "--log-format", "json"],
    ready: { output: /"msg":"listening".*\n/ },
  });
  const line = running.output.split("\n").find((text) => text.includes('"msg":"listening"')) ?? "{}";
  const { host, port } = JSON.parse(line) as { host: string; port: number }; // The log line's contract.
  expect(host).toBe("0.0.0.0");
  const answer = await pull({ host: `127.0.0.1:${port}`, path: "/v2/" });
  // What strace runs is not its child's to end: it is ended by the pid that the trace tells, and strace ends with it.
  process.kill(Number.parseInt(await readFile(trace, "utf8"), 10), "SIGTERM");
  await running.ended;
  expect(answer).toMatchObject({ status: 200 });
});
