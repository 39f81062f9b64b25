/** `config check --online`, in this process and as a process of its own, against registries on this machine. */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startFakeOauth2 } from "../support/fake-oauth2.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runLine } from "./captured-io.ts";

const notPlainHttp = (errors: string): readonly string[] => errors.split("\n").filter((line) => line !== "" && !line.includes("over plain http"));

async function check(config: object, flags = "--online", environment: Readonly<Record<string, string>> = {}) {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "config.yaml");
  await writeFile(file, JSON.stringify(config)); // JSON is YAML.
  const { code, out, errors } = await runLine(`config check ${flags} --config-file ${file}`, environment);
  return { code, out: out.replaceAll(`${folder.path}/`, ""), errors: notPlainHttp(errors.replaceAll(`${folder.path}/`, "")) };
}

async function privateUpstream(): Promise<FakeUpstream> {
  const upstream = await startFakeUpstream();
  upstream.authentication = { kind: "basic", name: "ann", password: "hunter2" };
  return upstream;
}

describe("config check --online", () => {
  test("says of each registry who we are there and what it says, and ends with 0 when all is well", async () => {
    await using upstream = await privateUpstream();
    await using open = await startFakeUpstream();
    const registries = [
      { name: upstream.host, scheme: "http", auth: { user: "ann", passwordFromEnv: "PASSWORD" } },
      { name: open.host, scheme: "http" },
    ];
    expect(await check({ registries }, "--online", { PASSWORD: "hunter2" })).toEqual({
      code: 0,
      out: [
        "config.yaml: good",
        `unlisted registries: denied (there are credentials for ${upstream.host})`,
        `${upstream.host}: password, user ann: accepted`,
        `${open.host}: no credential: unjudged: ${open.host} lets anybody in at /v2/`,
        "",
      ].join("\n"),
      errors: [],
    });
    expect([upstream.requests, open.requests]).toEqual([["GET /v2/", "GET /v2/"], ["GET /v2/"]]);
  });

  test("ends with 1 when one of them takes nothing, and tells of all", async () => {
    await using upstream = await privateUpstream();
    const registries = [
      {
        name: upstream.host,
        scheme: "http",
        auth: { user: "ann", password: "wrong" },
        credentials: [{ match: "team/**", auth: { user: "ann", password: "hunter2" } }],
      },
      { name: "127.0.0.1:1", scheme: "http" },
    ];
    const { code, out } = await check({ registries });
    expect(code).toBe(1);
    expect(out.split("\n").slice(2)).toEqual([
      `${upstream.host}: password, user ann: refused: ${upstream.host} answered 401: it does not take this credential`,
      `${upstream.host} for team/**: password, user ann: accepted`,
      "127.0.0.1:1: no credential: failed: connection refused by 127.0.0.1:1",
      "",
    ]);
  });

  test("--json says the same for programs", async () => {
    await using upstream = await privateUpstream();
    await using oauth2 = await startFakeOauth2();
    oauth2.clients.set("us", "s3cret");
    const providerOpts = { tokenUrl: oauth2.tokenUrl, clientId: "us", clientSecret: "s3cret", user: "ann" };
    const registries = [
      {
        name: upstream.host,
        scheme: "http",
        endpoints: [{ url: `${upstream.url}/m`, auth: { user: "ann", password: "hunter2" } }],
        auth: { token: { provider: "oauth2", providerOpts } },
      },
    ];
    const { code, out } = await check({ registries }, "--online --json");
    expect(JSON.parse(out)).toEqual({
      configFile: "config.yaml",
      airGapped: false,
      unlistedRegistries: "deny",
      registries: [
        { registry: upstream.host, mirror: `${upstream.url}/m`, kind: "password", identity: "user ann", verdict: "accepted" },
        {
          registry: upstream.host,
          kind: "oauth2",
          identity: expect.stringMatching(/: user ann$/),
          expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
          verdict: "refused",
          reason: `${upstream.host} answered 401: it does not take this credential`,
        },
      ],
    });
    expect(code).toBe(1);
  });

  test("asks nobody while airGapped is set, and nobody without --online", async () => {
    await using upstream = await privateUpstream();
    const registries = [{ name: upstream.host, scheme: "http", auth: { user: "ann", password: "wrong" } }];
    expect(await check({ airGapped: true, registries })).toMatchObject({
      code: 0,
      errors: ["ociregistry: notice: airGapped is true, so no registry is asked"],
    });
    expect(await check({ registries }, "--json")).toMatchObject({ code: 0, out: expect.not.stringContaining("registries") });
    expect(upstream.requests).toEqual([]);
  });

  test("says so when there is no registry to ask", async () => {
    expect(await check({})).toMatchObject({ code: 0, out: expect.stringMatching(/\nno registries are listed\n$/) });
  });

  test("needs what the configuration names, as a server does", async () => {
    expect(await check({ registries: [{ name: "a.b", auth: { token: { staticFromEnv: "NOBODY" } } }] })).toEqual({
      code: 1,
      out: "",
      errors: ["ociregistry: registries[0].auth.token.staticFromEnv: the environment has no NOBODY"],
    });
  });
});

test("config check warns of a file with secrets that everybody may read", async () => {
  await using folder = await temporaryFolder();
  await chmod(folder.path, 0o755);
  const file = join(folder.path, "config.yaml");
  await writeFile(file, "registries: [{ name: a.b, auth: { user: u, password: hunter2 } }]\n");
  await chmod(file, 0o644);
  const { code, errors } = await runLine(`config check --config-file ${file}`);
  expect(code).toBe(0);
  expect(errors).toBe(`ociregistry: warning: ${file} holds a secret, and everybody on this machine may read it: chmod o-r ${file} (its mode is 0644)\n`);
});

test("no secret of any kind is printed, whatever becomes of it", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await privateUpstream();
  const secret = (kind: string): string => `s3cret/of+${kind}`;
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(folder.path, name);
    await writeFile(path, text, { mode: 0o700 });
    return path;
  };
  const nobody = "http://127.0.0.1:1";
  const helper = await write("helper", `#!/bin/sh\ncat >&2\necho '{"Username":"u","Secret":"${secret("exec")}"}'\n`);
  const dockerConfig = await write("auth.json", JSON.stringify({ auths: { [upstream.host]: { username: "u", password: secret("docker-config") } } }));
  const keyFile = await write("key.json", JSON.stringify({ type: "service_account", client_email: "a@b", private_key: secret("gcp") }));
  const auths = [
    { user: "u", password: secret("password") },
    { user: "u", passwordFromEnv: "PASSWORD" },
    { token: { static: secret("static") } },
    { token: { static: secret("bearer"), scheme: "bearer" } },
    { token: { provider: "ecr", providerOpts: { region: "r", endpoint: nobody } } },
    { token: { provider: "ecr-public", providerOpts: { endpoint: nobody } } },
    { token: { provider: "docker-config", providerOpts: { path: dockerConfig } } },
    { token: { provider: "exec", providerOpts: { command: helper, protocol: "docker" } } },
    { token: { provider: "gcp", providerOpts: { keyFile } } },
    { token: { provider: "gcp", providerOpts: { keyFile, use: "json-key" } } },
    {
      token: {
        provider: "azure",
        providerOpts: { tenantId: "t", clientId: "c", clientSecret: secret("azure"), authorityHost: nobody.replace("http:", "https:") },
      },
    },
    { token: { provider: "oauth2", providerOpts: { tokenUrl: `${nobody}/t`, clientId: "c", clientSecret: secret("oauth2") } } },
  ];
  const credentials = auths.map((auth, index) => ({ match: `${index}/**`, auth }));
  const file = await write("config.yaml", JSON.stringify({ registries: [{ name: upstream.host, scheme: "http", credentials }] }));
  const env = {
    PASSWORD: secret("environment"),
    AWS_ACCESS_KEY_ID: "AKIA",
    AWS_SECRET_ACCESS_KEY: secret("aws"),
    AWS_EC2_METADATA_DISABLED: "true",
    HOME: folder.path,
  };
  const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
  for (const flags of [[], ["--online"], ["--online", "--json"]]) {
    const { code, stdout, stderr } = await runProcess(process.execPath, [main, "config", "check", "--config-file", file, ...flags], { env });
    expect(code).toBe(flags.length === 0 ? 0 : 1);
    const printed = stdout + stderr;
    if (flags.includes("--json"))
      expect(JSON.parse(stdout)).toMatchObject({ registries: auths.map(() => ({ verdict: expect.stringMatching(/refused|failed/) })) });
    expect(printed).not.toMatch(/s3cret/);
    expect(printed).not.toContain(encodeURIComponent("s3cret/"));
    expect(printed).not.toContain(Buffer.from("u:s3cret").toString("base64").slice(0, -2));
  }
}, 60_000);
