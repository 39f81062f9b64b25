/** Registries that nobody listed: what the program says of them when it starts, and whom it dials for a client that names one. */
import { expect, test } from "vitest";
import { startCanary } from "../support/canary.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** The first line of the log with this message. */
function lineOf(output: string, message: string): unknown {
  const line = output.split("\n").find((text) => text.includes(`"msg":${JSON.stringify(message)}`));
  return line === undefined ? undefined : JSON.parse(line);
}

const withoutProxy = { HTTP_PROXY: undefined, HTTPS_PROXY: undefined, http_proxy: undefined, https_proxy: undefined };

test("with nothing private here any public one is served, and no spelling of a private address is dialled", async () => {
  await using folder = await temporaryFolder();
  await using canary = await startCanary();
  await using server = await startOurServer({ folder: folder.path, env: withoutProxy });
  expect(lineOf(server.process.output, "any registry at a public address is served")).toMatchObject({
    level: "info",
    unlistedRegistries: "public",
    because: expect.any(String),
    defaultRegistry: "docker.io",
  });
  const { port } = canary;
  for (const host of ["127.0.0.1", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]) {
    for (const path of [`/v2/a/manifests/1?ns=${host}:${port}`, `/${host}:${port}/v2/a/manifests/1`, `/v2/${host}:${port}/a/manifests/1`]) {
      const answer = await fetch(`${server.url}${path}`);
      const { errors } = (await answer.json()) as { errors: { code: string }[] }; // Every error has this shape.
      expect([403, 400], path).toContain(answer.status);
      expect(errors[0]?.code, path).toBe(answer.status === 403 ? "DENIED" : "NAME_INVALID");
    }
  }
  expect(canary.connections).toBe(0);
});

test("on an island no registry is promised: only what is held is served", async () => {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path, config: { airGapped: true }, env: withoutProxy });
  expect(lineOf(server.process.output, "air-gapped: nobody is asked, only what is held is served")).toMatchObject({ level: "info", airGapped: true });
  expect(server.process.output).not.toContain("any registry");
});

test("with a credential here only listed ones are served, and one loud line says whose content everybody can read", async () => {
  await using folder = await temporaryFolder();
  await using canary = await startCanary();
  await using upstream = await startFakeUpstream();
  upstream.authentication = { kind: "basic", name: "robot", password: "secret" };
  upstream.putImage("team/app", "1");
  const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"], auth: { user: "robot", password: "secret" } }];
  await using server = await startOurServer({ folder: folder.path, config: { registries }, env: withoutProxy });
  const { output } = server.process;
  expect(lineOf(output, "only listed registries are served")).toMatchObject({ unlistedRegistries: "deny", because: expect.stringContaining(upstream.host) });
  const warning = "everybody who can reach this port reads what these credentials can read: clients are not authenticated";
  expect(lineOf(output, warning)).toMatchObject({ level: "warn", registries: [upstream.host] });
  expect(output).not.toContain("secret");
  const refused = await fetch(`${server.url}/v2/team/app/manifests/1?ns=${canary.host}`);
  expect([refused.status, await refused.json()]).toEqual([403, { errors: [expect.objectContaining({ code: "DENIED" })] }]);
  expect(canary.connections).toBe(0);
  expect((await fetch(`${server.url}/v2/up/team/app/manifests/1`)).status).toBe(200);
  expect(upstream.requests.every((line) => line.includes("/v2/team/app/"))).toBe(true);
});
