/** Credentials from the configuration's text to what a registry hears: our own process in front of fake registries. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { basicAuthorization } from "../../src/upstream/credentials.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** What was said to `upstream`, each thing with the repository it was said for. */
function heard(upstream: FakeUpstream): readonly string[] {
  return [...new Set(upstream.log.map(({ repository, headers }) => `${repository ?? "/v2/"}: ${headers.authorization ?? "nothing"}`))];
}

async function pull(url: string, upstream: FakeUpstream, repository: string): Promise<number> {
  const response = await fetch(`${url}/v2/${upstream.host}/${repository}/manifests/1`, { headers: { connection: "close" } });
  await response.arrayBuffer();
  return response.status;
}

describe("credentials of the configuration", () => {
  test("a static token is sent as Basic, unasked", async () => {
    await using folder = await temporaryFolder();
    await using upstream = await startFakeUpstream();
    upstream.putImage("team/app", "1");
    upstream.authentication = { kind: "basic", name: "ann", password: "p" };
    const token = Buffer.from("ann:p").toString("base64");
    const registries = [{ name: upstream.host, scheme: "http", auth: { token: { static: token } } }];
    await using server = await startOurServer({ folder: folder.path, config: { registries } });
    expect(await pull(server.url, upstream, "team/app")).toBe(200);
    expect(heard(upstream)).toEqual([`team/app: Basic ${token}`]);
    expect(server.process.output).not.toContain(token);
  });

  test("a token file that changes is read again", async () => {
    await using folder = await temporaryFolder();
    await using upstream = await startFakeUpstream();
    for (const repository of ["team/one", "team/two"]) upstream.putImage(repository, "1");
    const staticFile = join(folder.path, "token");
    await writeFile(staticFile, "first\n");
    const registries = [{ name: upstream.host, scheme: "http", auth: { token: { staticFile, scheme: "bearer" } } }];
    await using server = await startOurServer({ folder: folder.path, config: { registries } });
    expect(await pull(server.url, upstream, "team/one")).toBe(200);
    await writeFile(staticFile, "second\n");
    await server.process.waitForOutput(/"msg":"configuration reloaded"/);
    expect(await pull(server.url, upstream, "team/two")).toBe(200);
    expect(heard(upstream)).toEqual(["team/one: Bearer first", "team/two: Bearer second"]);
  });

  test("by repository, the longest pattern that matches wins; the rest has the registry's own", async () => {
    await using folder = await temporaryFolder();
    await using upstream = await startFakeUpstream();
    const repositories = ["team-a/app", "team-a/secret/app", "team-b/app", "public/app"];
    for (const repository of repositories) upstream.putImage(repository, "1");
    const credentials = [
      { match: "team-a/**", auth: { token: { static: basic("a") } } },
      { match: "team-a/secret/**", auth: { token: { static: basic("a-secret") } } },
      { match: "team-{b,c}/*", auth: { token: { staticFromEnv: "TEAM_B" } } },
    ];
    const registries = [{ name: upstream.host, scheme: "http", auth: { token: { static: basic("rest") } }, credentials }];
    await using server = await startOurServer({ folder: folder.path, config: { registries }, env: { TEAM_B: basic("b") } });
    for (const repository of repositories) expect(await pull(server.url, upstream, repository)).toBe(200);
    expect(heard(upstream)).toEqual([
      `team-a/app: Basic ${basic("a")}`,
      `team-a/secret/app: Basic ${basic("a-secret")}`,
      `team-b/app: Basic ${basic("b")}`,
      `public/app: Basic ${basic("rest")}`,
    ]);
  });
});

function basic(user: string): string {
  return basicAuthorization(user, "p").replace("Basic ", "");
}
