/** Air-gapped: what is held is served, what is not is unknown, and nobody is ever dialled: a canary stands where the upstream stood. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCanary } from "../support/canary.ts";
import { writeCredentialProgram } from "../support/credential-programs.ts";
import { profileOf } from "../upstream/aws-asking.ts";
import { dialledIn, traceDialling } from "../support/dialling.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact } from "../support/images.ts";
import { fillsRunning, startOurServer, type OurServerOptions } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ourMain = join(import.meta.dirname, "..", "..", "src", "main.ts");
const unknownDigest = `sha256:${"0".repeat(64)}`;

test("what is held is served without a warning, the rest is 404, and nobody is dialled", async () => {
  await using folder = await temporaryFolder();
  const upstream = await startFakeUpstream();
  const { manifest, blobs } = upstream.putImage("team/app", "1");
  const configured = (more: Record<string, unknown>): OurServerOptions["config"] => ({ tagTtl: "0s", ...more });
  const paths = ["manifests/1", ...[...blobs.keys()].map((digest) => `blobs/${digest}`)];
  {
    await using online = await startOurServer({
      folder: folder.path,
      config: configured({ registries: [{ name: "registry.test", scheme: "http", endpoints: [upstream.url], originFallback: false }] }),
    });
    for (const path of paths) expect((await fetch(`${online.url}/v2/registry.test/team/app/${path}`)).status).toBe(200);
  }
  await upstream.close();
  await using canary = await startCanary();
  const url = `http://${canary.host}`;
  await using server = await startOurServer({
    folder: folder.path,
    config: configured({ airGapped: true, registries: [{ name: "registry.test", scheme: "http", endpoints: [url], originFallback: false }] }),
    env: { HTTP_PROXY: url, HTTPS_PROXY: url },
  });
  const get = (path: string): Promise<Response> => fetch(`${server.url}/v2/registry.test/team/app/${path}`);
  for (const path of [...paths, `manifests/${manifest.descriptor.digest}`, "tags/list", `referrers/${manifest.descriptor.digest}`]) {
    const answer = await get(path);
    expect([answer.status, answer.headers.get("warning")], path).toEqual([200, null]);
  }
  for (const [path, code] of [
    ["manifests/2", "MANIFEST_UNKNOWN"],
    [`manifests/${unknownDigest}`, "MANIFEST_UNKNOWN"],
    [`blobs/${unknownDigest}`, "BLOB_UNKNOWN"],
  ] as const) {
    const answer = await get(path);
    expect([answer.status, await answer.json()], path).toEqual([404, { errors: [expect.objectContaining({ code })] }]);
    expect((await fetch(answer.url, { method: "HEAD" })).status).toBe(404);
  }
  expect((await fetch(`${server.url}/v2/other.test/team/app/tags/list`)).status).toBe(404);
  expect(await (await get(`referrers/${unknownDigest}`)).json()).toMatchObject({ manifests: [] });
  expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ status: "ready" });
  await writeFile(server.configFile, (await readFile(server.configFile, "utf8")).replace('"airGapped":true', '"airGapped":false'));
  await server.process.waitForOutput(/"settings":\["airGapped"\].*\n.*"msg":"configuration reloaded"/);
  const afterwards = await get("manifests/1");
  expect([afterwards.status, afterwards.headers.get("warning")], "until the next start").toEqual([200, null]);
  expect(canary.connections).toBe(0);
});

test("nobody is asked for a credential either, at the start or at a reload", async () => {
  await using folder = await temporaryFolder();
  await using canary = await startCanary();
  const helper = await writeCredentialProgram(folder.path, "helper", `echo '{"Username":"robot","Secret":"p"}'`);
  const awsFile = `${folder.path}/aws`;
  await writeFile(awsFile, profileOf("default", { accessKeyId: "AKIA0", secretAccessKey: "s" }));
  const url = `http://${canary.host}`;
  const tokens = [
    { provider: "ecr", providerOpts: { region: "us-east-1", endpoint: url } },
    { provider: "oauth2", providerOpts: { tokenUrl: `${url}/token`, clientId: "a", clientSecret: "b" } },
    { provider: "exec", providerOpts: { protocol: "docker", command: helper.path } },
  ];
  const registries = tokens.map((token, at) => ({ name: `registry-${at}.test`, scheme: "http", auth: { token } }));
  await using server = await startOurServer({
    folder: folder.path,
    config: { airGapped: true, registries },
    env: { AWS_SHARED_CREDENTIALS_FILE: awsFile, AWS_EC2_METADATA_DISABLED: "true" },
  });
  const pull = async (): Promise<number> => (await fetch(`${server.url}/v2/registry-0.test/team/app/manifests/1`)).status;
  expect(await pull()).toBe(404);
  const config = await readFile(server.configFile, "utf8");
  await writeFile(server.configFile, config.replace("registry-2.test", "registry-3.test"));
  await server.process.waitForOutput(/"msg":"configuration reloaded"/);
  expect(await pull()).toBe(404);
  expect(await helper.runs()).toEqual([]);
  expect(canary.connections).toBe(0);
});

const canTrace = requirePrograms("strace") && requireRoot();

test.runIf(canTrace)(
  "through a whole session no socket is connected to anywhere: pulls, lists, misses, pruning, verifying, preloading",
  async () => {
    await using folder = await temporaryFolder();
    await using upstream = await startFakeUpstream();
    const image = upstream.putImage("team/app", "1");
    upstream.putImage("team/app", undefined, buildArtifact(image.manifest));
    const registries = [{ name: "registry.test", scheme: "http", endpoints: [upstream.url], originFallback: false, auth: { user: "u", password: "p" } }];
    const list = `${folder.path}/images.txt`;
    await writeFile(list, "registry.test/team/app:1\nregistry.test/team/app:2\n");
    const paths = ["manifests/1", ...[...image.blobs.keys()].map((digest) => `blobs/${digest}`), `referrers/${image.manifest.descriptor.digest}`];
    {
      await using online = await startOurServer({ folder: folder.path, config: { registries } });
      for (const path of paths) expect((await fetch(`${online.url}/v2/registry.test/team/app/${path}`)).status).toBe(200);
      await expect.poll(() => fillsRunning(online)).toBe(0);
    }
    const trace = `${folder.path}/trace`;
    const every = "* * * * * *";
    {
      await using server = await startOurServer({
        folder: folder.path,
        config: {
          airGapped: true,
          registries,
          tagTtl: 0,
          adminApi: "loopback",
          preloadImages: list,
          pruneConfig: { enabled: true, duration: "1h", schedule: every, maxSize: "1GiB" },
          verifyConfig: { schedule: every, repair: true },
        },
        through: ["strace", ...traceDialling(trace, { isParent: true })],
      });
      const get = (path: string): Promise<Response> => fetch(`${server.url}${path}`);
      for (const path of paths) expect((await get(`/v2/registry.test/team/app/${path}`)).status, path).toBe(200);
      const missing = await get("/v2/registry.test/team/app/manifests/2");
      expect([missing.status, await missing.text()]).toEqual([404, expect.stringContaining("registry.test/team/app")]);
      for (const path of ["/v2/elsewhere.example/team/app/manifests/1", "/v2/library/alpine/tags/list", `/v2/registry.test/team/app/blobs/${unknownDigest}`]) {
        expect((await get(path)).status, path).toBe(404);
      }
      expect(await (await get("/v2/_catalog")).json()).toEqual({ repositories: ["registry.test/team/app"] });
      expect(await (await get("/v2/registry.test/team/app/tags/list")).json()).toMatchObject({ tags: ["1"] });
      expect(await (await get("/cmd/manifest/list")).text()).toContain("registry.test/team/app:1");
      await server.process.waitForOutput(/"msg":"images pruned"/);
      await server.process.waitForOutput(/"msg":"store verified"/);
      const verify = ["verify", "--config-file", server.configFile, "--images", list, "--repair"];
      const { code, stdout } = await runProcess("strace", [...traceDialling(`${trace}.verify`), process.execPath, ourMain, ...verify]);
      expect([code, stdout]).toEqual([1, expect.stringContaining("team/app:2")]);
      await server.process.kill("SIGTERM");
    }
    for (const file of [trace, `${trace}.verify`]) {
      expect(dialledIn(await readFile(file, "utf8"), { ownPath: `${folder.path}/store/state/admin-` })).toEqual([]);
    }
  },
  120_000,
);

test.runIf(requirePrograms("htpasswd"))(
  "what was carried in is served by its own name to people who log in, although the configuration lists no registry",
  async () => {
    await using folder = await temporaryFolder();
    const upstream = await startFakeUpstream();
    upstream.putImage("team/app", "1");
    {
      const registries = [{ name: "registry.test", scheme: "http", endpoints: [upstream.url], originFallback: false }];
      await using online = await startOurServer({ folder: folder.path, config: { registries } });
      expect((await fetch(`${online.url}/v2/registry.test/team/app/manifests/1`)).status).toBe(200);
    }
    await upstream.close();
    const users = join(folder.path, "users");
    await writeFile(users, (await runProcess("htpasswd", ["-nbBC4", "alice", "secret"])).stdout);
    await using server = await startOurServer({ folder: folder.path, config: { airGapped: true, auth: { htpasswd: { path: users } } } });
    const headers = { authorization: `Basic ${Buffer.from("alice:secret").toString("base64")}` };
    for (const path of ["registry.test/team/app/manifests/1", "team/app/manifests/1?ns=registry.test"])
      expect((await fetch(`${server.url}/v2/${path}`, { headers })).status, path).toBe(200);
  },
);
