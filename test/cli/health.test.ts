import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createNetServer } from "node:net";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { health } from "../../src/cli/health.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo, runLine } from "./captured-io.ts";

/** A server that answers `status` and keeps the requests it saw. */
function answering(status: number) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    response.writeHead(status).end("{}");
  });
  return { server, requests };
}

async function listening(server: Server | ReturnType<typeof createNetServer>, host = "127.0.0.1"): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // A TCP server that listens has such an address.
}

describe("health", () => {
  test("asks the main port for /healthz and ends with 0", async () => {
    const { server, requests } = answering(200);
    const port = await listening(server);
    expect(await runLine("health", { OCIREGISTRY_PORT: String(port) })).toEqual({ code: 0, out: "", errors: "" });
    expect(requests).toEqual(["GET /healthz"]);
    server.close();
  });

  test("asks the health port where there is one", async () => {
    const { server, requests } = answering(200);
    const port = await listening(server);
    expect(await runLine("health", { OCIREGISTRY_PORT: "1", OCIREGISTRY_HEALTH: String(port) })).toMatchObject({ code: 0 });
    expect(requests).toEqual(["GET /healthz"]);
    server.close();
  });

  test("asks another address when told to, and ends with 1 unless it answers 200", async () => {
    const { server, requests } = answering(503);
    const port = await listening(server);
    expect(await runLine(`health --url http://127.0.0.1:${port}/readyz?x=1`)).toEqual({
      code: 1,
      out: "",
      errors: `ociregistry: http://127.0.0.1:${port}/readyz?x=1 answered 503\n`,
    });
    expect(requests).toEqual(["GET /readyz?x=1"]);
    server.close();
  });

  test("speaks TLS where the server does, whoever issued its certificate", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const { keyFile, certificateFile } = await authority.issue();
    const requests: string[] = [];
    const server = createTlsServer({ key: await readFile(keyFile), cert: await readFile(certificateFile) }, (request, response) => {
      requests.push(`${request.method} ${request.url}`);
      response.end();
    });
    const port = await listening(server);
    const configFile = join(folder.path, "config.yaml");
    await writeFile(configFile, JSON.stringify({ port, serverTlsConfig: { cert: certificateFile, key: keyFile } }));
    expect(await runLine(`health --config-file ${configFile}`)).toEqual({ code: 0, out: "", errors: "" });
    expect(requests).toEqual(["GET /healthz"]);
    server.close();
  });

  test("introduces itself where the server expects the PROXY protocol", async () => {
    const { promise: firstLine, resolve } = Promise.withResolvers<string>();
    const server = createNetServer((socket) => {
      socket.once("data", (bytes) => {
        resolve(String(bytes).split("\r\n", 1)[0] ?? "");
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      });
    });
    const port = await listening(server);
    expect(await runLine("health", { OCIREGISTRY_PORT: String(port), OCIREGISTRY_PROXY_PROTOCOL: "true" })).toMatchObject({ code: 0 });
    expect(await firstLine).toBe("PROXY UNKNOWN");
    server.close();
  });

  test("ends with 1 when nobody listens, or nobody answers in time", async () => {
    const { server } = answering(200);
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await runLine("health", { OCIREGISTRY_PORT: String(port) })).toEqual({
      code: 1,
      out: "",
      errors: `ociregistry: http://127.0.0.1:${port}/healthz did not answer: nobody listens there\n`,
    });

    const silent = createNetServer((socket) => socket.on("error", () => {})); // It is hung up on.
    const io = new CapturedIo({ OCIREGISTRY_PORT: String(await listening(silent)) });
    expect(await health({ flags: new Map(), io, timeoutMs: 50 })).toBe(1);
    expect(io.errors).toContain("nothing within 50 ms");
    silent.close();
  });

  test("cannot know a port that was left to the machine", async () => {
    expect(await runLine("health", { OCIREGISTRY_PORT: "0" })).toEqual({
      code: 1,
      out: "",
      errors: "ociregistry: port is 0, so nobody knows where the server listens: say --url\n",
    });
  });
});
