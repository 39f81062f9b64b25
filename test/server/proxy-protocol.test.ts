import { connect as connectTls } from "node:tls";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { parseProxyHeader } from "../../src/server/proxy-protocol.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { exchange } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { listening, serving } from "./serving.ts";

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

const addresses4 = Buffer.from([198, 51, 100, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80]);

interface Version2 {
  readonly command?: number;
  readonly family?: number;
  readonly block?: Buffer;
  readonly length?: number;
}

function version2({ command = 0x21, family = 0x11, block = addresses4, length = block.byteLength }: Version2 = {}): Buffer {
  return Buffer.concat([signature, Buffer.from([command, family, length >> 8, length & 0xff]), block]);
}

describe("a PROXY header", () => {
  test.each([
    ["PROXY TCP4 198.51.100.7 127.0.0.1 4660 80\r\n", "198.51.100.7"],
    ["PROXY TCP6 2001:db9::7 ::1 4660 80\r\n", "2001:db9::7"],
    ["PROXY UNKNOWN\r\n", undefined],
    ["PROXY UNKNOWN 1.2.3.4 1.2.3.4 1 1\r\n", undefined],
  ])("%j", (line, address) => {
    expect(parseProxyHeader(Buffer.from(`${line}GET /`))).toEqual({ address, sizeBytes: line.length });
  });

  test("of version 2 carries either family, extensions or nothing", () => {
    expect(parseProxyHeader(version2())).toEqual({ address: "198.51.100.7", sizeBytes: 28 });
    const block6 = Buffer.concat([Buffer.from("20010db9000000000000000000000007", "hex"), Buffer.alloc(20)]);
    expect(parseProxyHeader(version2({ family: 0x21, block: block6 }))).toEqual({ address: "2001:db9::7", sizeBytes: 52 });
    const extended = version2({ block: Buffer.concat([addresses4, Buffer.alloc(100)]) });
    expect(parseProxyHeader(extended)).toEqual({ address: "198.51.100.7", sizeBytes: 128 });
    expect(parseProxyHeader(version2({ command: 0x20, family: 0, block: Buffer.alloc(0) }))).toEqual({ address: undefined, sizeBytes: 16 });
  });

  test("of an IPv4 client of a balancer that speaks IPv6 tells the IPv4 address", () => {
    const mapped = Buffer.from("00000000000000000000ffffc6336407", "hex");
    expect(parseProxyHeader(version2({ family: 0x21, block: Buffer.concat([mapped, mapped, Buffer.alloc(4)]) }))?.address).toBe("198.51.100.7");
    expect(parseProxyHeader(Buffer.from("PROXY TCP6 ::FFFF:198.51.100.7 ::1 1 2\r\n"))?.address).toBe("198.51.100.7");
  });

  test.each([
    "GET / HTTP/1.1\r\n\r\n",
    "PROXY TCP4 198.51.100.7 127.0.0.1 4660\r\n",
    "PROXY TCP4 2001:db9::7 ::1 4660 80\r\n",
    "PROXY TCP4 x y 1 2\r\n",
    "\u0016\u0003\u0001\u0002",
    `PROXY TCP4 ${"1".repeat(120)}`,
  ])("%j is none", (line) => {
    expect(() => parseProxyHeader(Buffer.from(line, "latin1"))).toThrow(/PROXY/);
  });

  test("of version 2 is refused when it is malformed or too long", () => {
    for (const bytes of [version2({ command: 0x11 }), version2({ command: 0x22 }), version2({ length: 60_000 }), version2({ block: Buffer.alloc(4) })]) {
      expect(() => parseProxyHeader(bytes)).toThrow(/PROXY/);
    }
  });

  test("is waited for byte by byte", () => {
    for (const whole of [Buffer.from("PROXY TCP4 198.51.100.7 127.0.0.1 4660 80\r\n"), version2()]) {
      for (let size = 0; size < whole.byteLength; size++) expect(parseProxyHeader(whole.subarray(0, size))).toBeUndefined();
      expect(parseProxyHeader(whole)?.address).toBe("198.51.100.7");
    }
  });
});

describe("a server behind a proxy", () => {
  const request = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

  test.each([
    ["version 1", Buffer.from("PROXY TCP4 198.51.100.7 127.0.0.1 4660 80\r\n")],
    ["version 2", version2()],
  ])("takes the client's address from %s", async (_, header) => {
    const { app, records } = serving();
    await using server = await listening(app, { proxyProtocol: true });
    const { received } = await exchange(server.at, Buffer.concat([header, Buffer.from(request)]));
    expect(received).toMatch(/^HTTP\/1\.1 200 /);
    expect(records).toMatchObject([{ client: "198.51.100.7" }]);
  });

  test("takes it also when the header comes in pieces, and for every request of the connection", async () => {
    const { app, records, told } = serving();
    await using server = await listening(app, { proxyProtocol: true });
    const socket = connect({ host: "127.0.0.1", port: server.port, noDelay: true });
    socket.on("error", () => {});
    for (const byte of "PROXY TCP4 198.51.100.7 127.0.0.1 4660 80\r\n") await new Promise((resolve) => socket.write(byte, resolve));
    socket.write(request.replace("Connection: close\r\n", ""));
    await told(1);
    socket.write(request);
    await told(2);
    socket.destroy();
    expect(records.map(({ client }) => client)).toEqual(["198.51.100.7", "198.51.100.7"]);
  });

  test("cuts who sends none, and who sends none in time", async () => {
    const { app, records } = serving();
    await using server = await listening(app, { proxyProtocol: true, headersTimeoutMs: 200 });
    expect(await exchange(server.at, request)).toEqual({ received: "", isClosed: true });
    expect(await exchange(server.at, "PROXY TCP4 198.")).toEqual({ received: "", isClosed: true });
    expect(records).toEqual([]);
  });

  test("reads it before TLS", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const issued = await authority.issue();
    const { app, records, told } = serving();
    await using server = await listening(app, { proxyProtocol: true, tls: { cert: issued.certificateFile, key: issued.keyFile } });
    const raw = connect({ host: "127.0.0.1", port: server.port });
    await new Promise((resolve) => raw.write("PROXY TCP4 198.51.100.7 127.0.0.1 4660 443\r\n", resolve));
    const secure = connectTls({ socket: raw, ca: authority.certificate, servername: "localhost" });
    secure.on("error", () => {});
    secure.write(request);
    await told(1);
    secure.destroy();
    expect(records).toMatchObject([{ client: "198.51.100.7", status: 200 }]);
  });
});
