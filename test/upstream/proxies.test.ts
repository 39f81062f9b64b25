import { createServer, request as httpRequest } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { startCanary } from "../support/canary.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { Proxies } from "../../src/upstream/proxies.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

/** A forward proxy that sends everything to 127.0.0.1, at the port asked for, and records what it was asked. */
async function startProxy({ status = 200 } = {}) {
  const asked: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((incoming, response) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    authorizations.push(incoming.headers["proxy-authorization"]);
    const url = new URL(incoming.url ?? "");
    const { "proxy-authorization": _, ...headers } = incoming.headers;
    incoming.pipe(
      httpRequest({ host: "127.0.0.1", port: url.port, path: url.pathname + url.search, method: incoming.method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      }),
    );
  });
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => {})));
  server.on("connect", (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    authorizations.push(incoming.headers["proxy-authorization"]);
    socket.on("error", () => {});
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const onward = connect(Number(incoming.url?.split(":").at(-1)), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    sockets.add(onward.on("error", () => {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    asked,
    authorizations,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe("through a proxy", () => {
  test("plain http is asked for by its whole URL", async () => {
    await using fake = await startFakeUpstream();
    await using proxy = await startProxy();
    fake.putImage("team/app", "latest");
    const host = `registry.corp:${fake.port}`;
    // Whoever looked the name up here would fail: names are the proxy's affair.
    const resolve = () => Promise.reject(new Error("not here"));
    await using upstreams = startUpstreams([{ ...listedAs(fake), host: repositoryAt(host).host }], {
      proxy: { httpProxy: `http://user:p%40ss@${proxy.host}` },
      resolve,
    });
    const manifest = await upstreams.getManifest(repositoryAt(host), reference(), call());
    expect(manifest.isPublic).toBe(false);
    expect(proxy.asked).toEqual([`GET http://${host}/v2/team/app/manifests/latest`]);
    expect(proxy.authorizations).toEqual([`Basic ${Buffer.from("user:p@ss").toString("base64")}`]);
    expect(fake.log[0]?.headers).toMatchObject({ host });
    expect(fake.log[0]?.headers["proxy-authorization"]).toBeUndefined();
  });

  test("https goes through a tunnel, and its certificate is that of the registry", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    await using fake = await startFakeUpstream({ tls: await authority.issue({ names: ["registry.corp"] }) });
    await using proxy = await startProxy();
    fake.putImage("team/app", "latest");
    const host = `registry.corp:${fake.port}`;
    await using upstreams = startUpstreams([{ ...listedAs(fake), host: repositoryAt(host).host, tls: { ca: authority.certificate } }], {
      proxy: { httpsProxy: proxy.host },
    });
    await upstreams.getManifest(repositoryAt(host), reference(), call());
    expect(proxy.asked).toEqual([`CONNECT ${host}`]);
    expect(fake.requests).toHaveLength(1);
  });

  test("that refuses to connect, the registry is unavailable", async () => {
    await using proxy = await startProxy({ status: 403 });
    await using upstreams = startUpstreams([], { proxy: { httpsProxy: proxy.host } });
    const error = await failureOf(upstreams.getManifest(repositoryAt("registry.example"), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("answered 403");
  });

  test("addresses and localhost are still checked, before the proxy hears of them", async () => {
    await using proxy = await startProxy();
    await using canary = await startCanary();
    await using upstreams = startUpstreams([], { proxy: { httpsProxy: proxy.host, httpProxy: proxy.host } });
    for (const name of ["127.0.0.1", "localhost", "10.0.0.1", "[::1]", "169.254.169.254"]) {
      await failureOf(upstreams.getManifest(repositoryAt(`${name}:${canary.port}`), reference(), call()), "DENIED");
    }
    expect(proxy.asked).toEqual([]);
    expect(canary.connections).toBe(0);
  });

  test("a listed address may be asked", async () => {
    await using fake = await startFakeUpstream();
    await using proxy = await startProxy();
    fake.putImage("team/app", "latest");
    await using upstreams = startUpstreams([listedAs(fake)], { proxy: { httpProxy: proxy.host } });
    await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(proxy.asked).toHaveLength(1);
  });
});

describe("NO_PROXY", () => {
  test.each([
    ["corp.example", "https://registry.corp.example", true],
    ["corp.example", "https://corp.example", true],
    ["corp.example", "https://notcorp.example", false],
    [".corp.example", "https://corp.example", false],
    [".corp.example", "https://a.corp.example", true],
    ["*.corp.example", "https://a.corp.example", true],
    ["a.example:5000, b.example", "https://a.example:5000", true],
    ["a.example:5000", "https://a.example", false],
    ["a.example:443", "https://a.example", true],
    ["10.0.0.0/8", "https://10.1.2.3", true],
    ["10.0.0.0/8", "https://11.1.2.3", false],
    ["10.0.0.0/99", "https://10.1.2.3", false],
    ["::1", "https://[::1]:5000", true],
    ["127.0.0.1:5000", "http://127.0.0.1:5000", true],
    ["127.0.0.1:5000", "http://127.0.0.1:5001", false],
    ["*", "https://anything.example", true],
    ["", "https://anything.example", false],
  ])("%s for %s: %s", (noProxy, url, isDirect) => {
    const proxies = new Proxies({ httpsProxy: "proxy.example:3128", httpProxy: "proxy.example:3128", noProxy });
    expect(proxies.find(new URL(url)) === undefined).toBe(isDirect);
  });

  test("https and http have proxies of their own", () => {
    const proxies = new Proxies({ httpsProxy: "https://one.example" });
    expect(proxies.find(new URL("https://a.example"))?.host).toBe("one.example");
    expect(proxies.find(new URL("http://a.example"))).toBeUndefined();
    expect(() => new Proxies({ httpProxy: "socks5://one.example" })).toThrow(TypeError);
  });
});

test.each(["ftp://proxy.example", "http://a%zz@proxy.example", "http://a:%ff@proxy.example", "http://["])("%s is no proxy", (httpsProxy) => {
  expect(() => new Proxies({ httpsProxy })).toThrow(TypeError);
});
