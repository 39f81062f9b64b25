import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, writeFile } from "node:fs/promises";
import { request as requestTls } from "node:https";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createTestAuthority } from "../support/certificates.ts";
import { exchange } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { alpine, imageManifest, listening, serving } from "./serving.ts";

describe("a plain port", () => {
  test("answers a TLS handshake with something that begins with HTTP/", async () => {
    await using server = await listening(serving().app);
    const hello = Buffer.from("160301007a0100007603030000000000000000000000000000000000000000", "hex");
    const { received, isClosed } = await exchange(server.at, hello);
    expect(received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(isClosed).toBe(true);
  });

  test.each([
    ["garbage", "\0\0\0\0\r\n\r\n", 400],
    ["a request without end", `GET /v2/ HTTP/1.1\r\nX: ${"a".repeat(40_000)}\r\n\r\n`, 431],
    ["two lengths", "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
    ["a Host that is none", "GET /readyz HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
  ])("refuses %s in JSON and closes", async (_, bytes, status) => {
    await using server = await listening(serving().app);
    const { received, isClosed } = await exchange(server.at, bytes);
    expect(received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(received).toContain('"errors"');
    expect(received).toMatch(/\r\nX-Request-Id: [0-9a-f-]{36}\r\n/);
    expect(isClosed).toBe(true);
  });

  test.each([
    ["without a Host", "GET /v2/ HTTP/1.1\r\n"],
    ["with a Host that is none", "GET /readyz HTTP/1.1\r\nHost: a b\r\n"],
    ["for a path with a backslash", "GET /home\\\\x HTTP/1.1\r\nHost: x\r\n"],
  ])("says which request it was that it refuses: one %s", async (_, head) => {
    await using server = await listening(serving().app);
    const { received, isClosed } = await exchange(server.at, `${head}X-Request-Id: build-7\r\n\r\n`);
    expect(received).toMatch(/^HTTP\/1\.1 400 /);
    expect(received).toContain("\r\nX-Request-Id: build-7\r\n");
    expect(received).toContain('"errors"');
    expect(isClosed).toBe(true);
  });

  test("answers HTTP/1.0 without a Host", async () => {
    await using server = await listening(serving().app);
    expect((await exchange(server.at, "GET /v2/ HTTP/1.0\r\n\r\n")).received).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("takes paths as they come, dots and all", async () => {
    const { app, registry } = serving();
    await using server = await listening(app);
    for (const path of ["/v2/../../etc/manifests/1", "/v2/a/%2e%2e/manifests/1", "/v2/./a/manifests/1"]) {
      const { received } = await exchange(server.at, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(received).toMatch(/^HTTP\/1\.1 400 /);
      expect(received).toContain("NAME_INVALID");
    }
    expect(registry.calls).toEqual([]);
  });

  test("cuts half a request after its time", async () => {
    await using server = await listening(serving().app, { headersTimeoutMs: 200 });
    const { received, isClosed } = await exchange(server.at, "GET /v2/ HTTP/1.1\r\nHost: x\r\n");
    expect(isClosed).toBe(true);
    expect(received).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("keeps connections for longer than any client does", async () => {
    await using server = await listening(serving().app);
    const { received } = await exchange(server.at, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", { deadlineMs: 300 });
    expect(received).toContain("Keep-Alive: timeout=125");
  });

  test("does not read what is uploaded", async () => {
    await using server = await listening(serving().app);
    const head = "PUT /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n";
    for (const bytes of [`${head}\r\nsome`, `${head}Expect: 100-continue\r\n\r\n`]) {
      const { received, isClosed } = await exchange(server.at, bytes);
      expect(received).toMatch(/^HTTP\/1\.1 405 /);
      expect(received).toContain("Connection: close");
      expect(isClosed).toBe(true);
    }
  });

  test.each([
    ["an expectation that nobody knows", "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: wonders\r\n\r\n", 200, "{}"],
    ["a request without a Host", "GET /v2/ HTTP/1.1\r\n\r\n", 400, '"errors"'],
    ["an offer of HTTP/2", "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n", 200, "{}"],
  ])("answers %s in the API's words", async (_, bytes, status, body) => {
    await using server = await listening(serving().app);
    const { received, isClosed } = await exchange(server.at, bytes);
    expect(received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(received).toContain("Content-Type: application/json");
    expect(received).toContain(body);
    expect(isClosed).toBe(true);
  });

  test.each([
    ["garbage", "\0\0\0\0\r\n\r\n"],
    ["half a request that takes too long", "GET /v2/ HTTP/1.1\r\nHo"],
  ])("cuts a body behind which comes %s, and never answers into it", async (_, bytes) => {
    const { app, registry } = serving();
    const content = randomBytes(512 * 1024);
    const digest = registry.putBlob(alpine, content);
    registry.blobBehaviour = { gate: { positionBytes: 256 * 1024, opened: new Promise(() => {}) } };
    await using server = await listening(app, { headersTimeoutMs: 200 });
    const received = await new Promise<Buffer>((resolve) => {
      const pieces: Buffer[] = [];
      const socket = connect({ host: "127.0.0.1", port: server.port });
      let isBehind = false;
      socket.on("error", () => {}); // A cut may be a reset: "close" follows.
      socket.on("data", (piece) => {
        pieces.push(piece);
        if (!isBehind && Buffer.concat(pieces).byteLength > 256 * 1024) isBehind = socket.write(bytes);
      });
      socket.once("close", () => resolve(Buffer.concat(pieces)));
      socket.write(`GET /v2/alpine/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
    const body = received.subarray(received.indexOf("\r\n\r\n") + 4);
    expect(body.byteLength).toBeLessThan(content.byteLength);
    expect(body.equals(content.subarray(0, body.byteLength))).toBe(true);
  });

  test("refuses connections beyond its cap", async () => {
    await using server = await listening(serving().app, { connectionsMax: 1 });
    const first = connect({ host: "127.0.0.1", port: server.port });
    const request = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    const answered = new Promise((resolve) => first.once("data", resolve));
    first.write(request);
    await answered;
    expect(await exchange(server.at, request)).toEqual({ received: "", isClosed: true });
    first.destroy();
  });

  test("that is busy is said in one line", async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    const { port } = busy.address() as AddressInfo;
    await expect(listening(serving().app, { port })).rejects.toThrow(`cannot listen on 127.0.0.1 port ${port}: something else listens there already`);
    busy.close();
  });

  test("on :: is for both families", async () => {
    await using server = await listening(serving().app, { host: "::" });
    expect((await fetch(`http://127.0.0.1:${server.port}/v2/`)).status).toBe(200);
    expect(server.port).toBeGreaterThan(0);
  });

  test("sends a manifest with its length and nothing chunked", async () => {
    const { app, registry } = serving();
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    await using server = await listening(app);
    const get = await exchange(server.at, "GET /v2/alpine/manifests/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(get.received.endsWith(`\r\n\r\n${imageManifest}`)).toBe(true);
    expect(get.received).not.toContain("Transfer-Encoding");
    const head = await exchange(server.at, "HEAD /v2/alpine/manifests/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(head.received).toContain(`Content-Length: ${imageManifest.length}\r\n`);
    expect(head.received.endsWith("\r\n\r\n")).toBe(true);
  });
});

test.each(["/v2/alpine/manifests/latest", "/docker.io/v2/library/alpine/manifests/latest", "http://x/v2/alpine/manifests/latest"])(
  "%s answers GET and HEAD on one connection",
  async (target) => {
    const { app, registry, records } = serving();
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    await using server = await listening(app);
    const { received } = await exchange(server.at, `HEAD ${target} HTTP/1.1\r\nHost: x\r\n\r\nGET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const answers = received.split("HTTP/1.1 200 OK\r\n");
    expect(answers).toHaveLength(3);
    expect(answers[1]?.endsWith("\r\n\r\n")).toBe(true);
    expect(answers[2]?.endsWith(`\r\n\r\n${imageManifest}`)).toBe(true);
    for (const answer of answers.slice(1)) expect(answer).toContain(`Content-Length: ${imageManifest.length}\r\n`);
    expect(records.map(({ method, status, client }) => [method, status, client])).toEqual([
      ["HEAD", 200, "127.0.0.1"],
      ["GET", 200, "127.0.0.1"],
    ]);
  },
);

describe("a TLS port", () => {
  /** The common name of the certificate that is shown, and what was agreed on. */
  function shakeHands(port: number, options: ConnectionOptions): Promise<{ commonName: unknown; protocol: string | null; alpn: string | false | null }> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ host: "127.0.0.1", port, servername: "localhost", ...options }, () => {
        resolve({ commonName: socket.getPeerCertificate().subject.CN, protocol: socket.getProtocol(), alpn: socket.alpnProtocol });
        socket.destroy();
      });
      socket.on("error", reject);
    });
  }

  function statusOver(port: number, options: ConnectionOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      const asked = requestTls({ host: "127.0.0.1", port, path: "/v2/", servername: "localhost", agent: false, ...options }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.on("error", reject);
      asked.end();
    });
  }

  test("speaks HTTP/1.1 only, from TLS 1.2 on", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const { certificateFile, keyFile } = await authority.issue();
    await using server = await listening(serving().app, { tls: { cert: certificateFile, key: keyFile } });
    expect(await shakeHands(server.port, { ca: authority.certificate, ALPNProtocols: ["h2", "http/1.1"] })).toMatchObject({
      alpn: "http/1.1",
      protocol: "TLSv1.3",
    });
    expect(await shakeHands(server.port, { ca: authority.certificate, maxVersion: "TLSv1.2" })).toMatchObject({ protocol: "TLSv1.2" });
    await expect(
      shakeHands(server.port, { ca: authority.certificate, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" }),
    ).rejects.toThrow();
    expect(await statusOver(server.port, { ca: authority.certificate })).toBe(200);
  });

  test("sends a large blob exactly", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const { certificateFile, keyFile } = await authority.issue();
    const { app, registry } = serving();
    const blob = randomBytes(12 * 1024 * 1024);
    const digest = registry.putBlob(alpine, blob);
    await using server = await listening(app, { tls: { cert: certificateFile, key: keyFile } });
    const pieces: Buffer[] = [];
    await new Promise((resolve, reject) => {
      const asked = requestTls(
        { host: "127.0.0.1", port: server.port, path: `/v2/alpine/blobs/${digest}`, servername: "localhost", agent: false, ca: authority.certificate },
        (response) => {
          response.on("data", (piece: Buffer) => pieces.push(piece));
          response.on("end", resolve);
        },
      );
      asked.on("error", reject);
      asked.end();
    });
    expect(Buffer.concat(pieces).equals(blob)).toBe(true);
  });

  test("shows a new certificate after reload, and keeps the old one when the new one is bad", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const [first, second] = [await authority.issue({ commonName: "first" }), await authority.issue({ commonName: "second" })];
    const tls = { cert: join(folder.path, "live.pem"), key: join(folder.path, "live.key") };
    await copyFile(first.certificateFile, tls.cert);
    await copyFile(first.keyFile, tls.key);
    await using server = await listening(serving().app, { tls });
    expect((await shakeHands(server.port, { ca: authority.certificate })).commonName).toBe("first");
    await copyFile(second.certificateFile, tls.cert);
    await expect(server.prepare(tls)).rejects.toThrow(/live\.pem/);
    expect((await shakeHands(server.port, { ca: authority.certificate })).commonName).toBe("first");
    await copyFile(second.keyFile, tls.key);
    const show = await server.prepare(tls);
    expect((await shakeHands(server.port, { ca: authority.certificate })).commonName).toBe("first");
    show();
    expect((await shakeHands(server.port, { ca: authority.certificate })).commonName).toBe("second");
  });

  test("asks for client certificates as it is told", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const { certificateFile: cert, keyFile: key } = await authority.issue();
    const client = await authority.issue({ commonName: "node-1" });
    const ca = authority.certificate;
    await using verifying = await listening(serving().app, { tls: { cert, key, ca: authority.certificateFile, clientAuth: "verify" } });
    expect(await statusOver(verifying.port, { ca, cert: client.certificate, key: client.key })).toBe(200);
    await expect(statusOver(verifying.port, { ca })).rejects.toThrow();
    await using requesting = await listening(serving().app, { tls: { cert, key, ca: authority.certificateFile, clientAuth: "request" } });
    expect(await statusOver(requesting.port, { ca })).toBe(200);
    await expect(listening(serving().app, { tls: { cert, key, clientAuth: "verify" } })).rejects.toThrow(/ca/);
  });

  test("names the file that is missing or wrong", async () => {
    await using folder = await temporaryFolder();
    const missing = join(folder.path, "none.pem");
    await expect(listening(serving().app, { tls: { cert: missing, key: missing } })).rejects.toThrow(/cert.*none\.pem/);
    const wrong = join(folder.path, "wrong.pem");
    await writeFile(wrong, "not a certificate");
    await expect(listening(serving().app, { tls: { cert: wrong, key: wrong } })).rejects.toThrow(/wrong\.pem/);
  });
});

test("curl sees whole bodies and the right lengths", async () => {
  const { app, registry } = serving();
  const digest = registry.putBlob(alpine, Buffer.alloc(1_000_000, "abc"));
  await using server = await listening(app);
  const { stdout } = await promisify(execFile)("curl", [
    "-sS",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code} %{size_download}",
    `${server.origin}/v2/alpine/blobs/${digest}`,
  ]);
  expect(stdout).toBe("200 1000000");
});
