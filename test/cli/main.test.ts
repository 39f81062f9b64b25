/** The program as people run it: a process of its own. */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startOurServer } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Runs `node src/main.ts ARGS` to its end. */
function main(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return runProcess(process.execPath, [join(import.meta.dirname, "..", "..", "src", "main.ts"), ...args], { env });
}

describe("the process", () => {
  test("ends with 0 when done, 1 when it failed, 2 when it was misused", async () => {
    expect(await main(["version"])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ociregistry \d/), stderr: "" });
    expect(await main(["config", "check"], { OCIREGISTRY_LOG_LEVEL: "loud" })).toMatchObject({ code: 1, stdout: "" });
    expect(await main(["unheard-of"])).toMatchObject({ code: 2, stdout: "", stderr: "ociregistry: unknown command 'unheard-of'\n" });
  });

  test("says in one line that its port is taken, and ends with 1", async () => {
    await using folder = await temporaryFolder();
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo; // A TCP server that listens has such an address.
    const { code, stderr } = await main([
      "serve",
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      "--image-path",
      join(folder.path, "store"),
      "--log-level",
      "error",
    ]);
    taken.close();
    expect(stderr).toMatch(new RegExp(`^ociregistry: cannot listen on 127\\.0\\.0\\.1 port ${port}: [^\\n]+\\n$`));
    expect(code).toBe(1);
  });

  test("answers the probe of its own health command", async () => {
    await using folder = await temporaryFolder();
    await using server = await startOurServer({ folder: folder.path });
    expect(await main(["health", "--url", `${server.url}/healthz`])).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(await main(["health", "--url", `${server.url}/nothing-here`])).toMatchObject({ code: 1, stderr: expect.stringContaining("answered 404") });
  });

  test("takes over a changed file, keeps the old one where the new is bad, and says both", async () => {
    await using folder = await temporaryFolder();
    await using server = await startOurServer({ folder: folder.path });
    const configure = (keys: Record<string, unknown>) =>
      writeFile(join(folder.path, "config.yaml"), JSON.stringify({ host: "127.0.0.1", port: 0, logFormat: "json", imagePath: server.imagePath, ...keys }));
    await configure({ registries: [{ name: "one.test" }] });
    await server.process.waitForOutput(/"registries":1,"msg":"configuration reloaded"/);
    await configure({ registrys: [] });
    await server.process.waitForOutput(/config\.yaml:1: unknown key registrys, did you mean registries\?.*not reloaded/);
    await configure({ registries: [{ name: "one.test" }, { name: "two.test" }] });
    await server.process.waitForOutput(/"registries":2,"msg":"configuration reloaded"/);
  });

  test("drains and ends with 0 at SIGTERM", async () => {
    await using folder = await temporaryFolder();
    const server = await startOurServer({ folder: folder.path });
    server.process.signal("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
  });
});
