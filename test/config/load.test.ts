import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { loadText, problemsOf, withoutFolder } from "./load-text.ts";

describe("where a value comes from", () => {
  test("nothing said: the defaults", async () => {
    const { config, notices } = await loadConfig({ environment: {} });
    expect(notices).toEqual([]);
    expect(config).toEqual({
      configFile: undefined,
      imagePath: "/var/lib/ociregistry",
      statePath: "/var/lib/ociregistry/state",
      host: "::",
      port: 8080,
      healthPort: undefined,
      metricsPort: undefined,
      logLevel: "info",
      logFile: undefined,
      logFormat: "auto",
      defaultNs: "docker.io",
      unlistedRegistries: undefined,
      airGapped: false,
      alwaysPullLatest: false,
      tagTtl: { defaultMs: 60_000, patterns: [] },
      staleIfErrorMs: Infinity,
      whenDeniedMs: 86_400_000,
      whenGoneMs: Infinity,
      pullTimeoutMs: 60_000,
      helloWorld: false,
      platforms: [{ os: "linux", architecture: "amd64" }],
      ownPlatform: { os: "linux", architecture: "amd64" },
      preloadImages: undefined,
      preloadRequired: false,
      imageFile: undefined,
      resolveRef: undefined,
      registries: [],
      serverTls: undefined,
      trustedProxies: [],
      proxyProtocol: false,
      adminApi: "off",
      pages: true,
      prune: {
        enabled: false,
        by: "accessed",
        olderThanMs: 30 * 86_400_000,
        expr: undefined,
        countMax: Infinity,
        rhythm: { kind: "every", everyMs: 86_400_000 },
        dryRun: false,
        maxSizeBytes: undefined,
        lowWater: 0.9,
        keep: [],
        timezone: "UTC",
      },
      verify: { schedule: undefined, timezone: "UTC", bytesPerSecond: 50 * 2 ** 20, repair: false },
      list: { header: false, expr: undefined, shortDigest: false },
      shutdownDelayMs: 0,
      drainTimeoutMs: 60_000,
      allowedOrigins: undefined,
      authIsEmpty: false,
    });
  });

  test("a flag wins over a variable, a variable over the file, the file over the default", async () => {
    const text = "port: 1\nhealth: 2\nmetrics: 3\n";
    const { config } = await loadText(text, { environment: { OCIREGISTRY_PORT: "11", OCIREGISTRY_HEALTH: "12" }, flags: { port: "21" } });
    expect([config.port, config.healthPort, config.metricsPort, config.logLevel]).toEqual([21, 12, 3, "info"]);
  });

  test("OCIREGISTRY_CONFIG_FILE names the file, --config-file another", async () => {
    const file = join(import.meta.dirname, "..", "..", "config.yaml");
    expect((await loadConfig({ environment: { OCIREGISTRY_CONFIG_FILE: file } })).config).toMatchObject({ configFile: file, imagePath: "./cache" });
    await expect(loadConfig({ environment: { OCIREGISTRY_CONFIG_FILE: file }, flags: new Map([["configFile", "/nowhere/c.yaml"]]) })).rejects.toThrow(
      "/nowhere/c.yaml: cannot read the configuration: no such file",
    );
  });

  test("a variable replaces the whole of a map", async () => {
    const { config } = await loadText("tagTtl: { default: 5m, a/**: 1h }\n", { environment: { OCIREGISTRY_TAG_TTL: "7m" } });
    expect(config.tagTtl).toEqual({ defaultMs: 420_000, patterns: [] });
  });

  test("state follows the store unless it has a place of its own", async () => {
    expect((await loadText("imagePath: ./cache\n")).config.statePath).toBe("cache/state");
    expect((await loadText("imagePath: ./cache\nstatePath: /run/state\n")).config.statePath).toBe("/run/state");
  });
});

describe("what a configuration says", () => {
  test.each([
    ["drainTimeout: -1", (config: Config) => config.drainTimeoutMs],
    ["pullTimeout: -1", (config: Config) => config.pullTimeoutMs],
    [
      "auth: { openid: { providers: { oidc: { issuer: https://id.example.com, clientid: c, clientsecret: s, scopes: [openid] } }, groupsTtl: -1 } }",
      (config: Config) => config.auth?.openid?.groupsTtlMs,
    ],
  ])("may be without end: %s", async (line, of) => {
    expect(of((await loadText(`externalUrl: https://registry.example.com\n${line}\n`)).config)).toBe(Infinity);
  });

  test("is read whole", async () => {
    const { config, notices } = await loadText(
      `
host: "[::1]"
port: 0
unlistedRegistries: public
tagTtl: { default: 0, "a/**": -1 }
staleIfError: 1h
whenDenied: refuse
whenGone: refuse
pullTimeout: 5000
trustedProxies: [10.0.0.0/8, "::1"]
serverTlsConfig: { cert: s.crt, key: s.key, ca: c.crt, clientAuth: request }
registries:
  - name: registry.example.com:5000
    description: ours
    aliases: [ours, docker.example]
    endpoints:
      - https://mirror.example.com/a/b/
      - { url: http://10.0.0.1:5000, auth: { user: m, passwordFromEnv: MIRROR }, tls: { insecureSkipVerify: true } }
    originFallback: false
    tagTtl: 5m
    staleIfError: false
    whenDenied: serve
    whenGone: serve
    redirectHosts: [CDN.example.com:8443]
    public: true
    fillsMax: 4
    auth: { user: "\${WHO:-ann}", password: 0123, realmHosts: [auth.example.com] }
    tls: { ca: r.pem, cert: r.crt, key: r.key }
`,
    );
    expect(notices).toEqual([]);
    expect(config).toMatchObject({
      host: "::1",
      port: 0,
      unlistedRegistries: "public",
      tagTtl: { defaultMs: 0, patterns: [{ pattern: "a/**", ttlMs: Infinity }] },
      staleIfErrorMs: 3_600_000,
      whenDeniedMs: 0,
      whenGoneMs: 0,
      pullTimeoutMs: 5_000,
      trustedProxies: ["10.0.0.0/8", "::1"],
      serverTls: { cert: "s.crt", key: "s.key", ca: "c.crt", clientAuth: "request" },
    });
    const [registry] = config.registries;
    expect(registry).toMatchObject({
      name: "registry.example.com:5000",
      description: "ours",
      scheme: "https",
      aliases: ["ours", "docker.example"],
      endpoints: [
        { url: "https://mirror.example.com/a/b", auth: undefined, tls: undefined },
        {
          url: "http://10.0.0.1:5000",
          auth: { credential: { kind: "password", user: "m", password: { kind: "environment", variable: "MIRROR" } } },
          tls: { insecureSkipVerify: true },
        },
      ],
      originFallback: false,
      tagTtl: { defaultMs: 300_000, patterns: [] },
      staleIfErrorMs: 0,
      whenDeniedMs: Infinity,
      whenGoneMs: Infinity,
      redirectHosts: ["cdn.example.com:8443"],
      public: true,
      fillsMax: 4,
      auth: { credential: { kind: "password", user: "ann" }, realmHosts: ["auth.example.com"] },
      tls: { ca: "r.pem", cert: "r.crt", key: "r.key", insecureSkipVerify: false },
    });
    const credential = registry?.auth?.credential;
    expect(credential?.kind === "password" && credential.password.kind === "given" && credential.password.secret.reveal()).toBe("0123");
    expect(JSON.stringify(config)).not.toContain("0123");
  });

  test("the Go ociregistry's keys do no harm at their defaults", async () => {
    const { config } = await loadText(`
imagePath: /var/lib/ociregistry
logLevel: error
logFile:
configFile:
preloadImages:
imageFile: ""
resolveRef: ""
port: 8080
os: linux
arch: amd64
pullTimeout: 60000
health:
metrics: 0
alwaysPullLatest: false
airGapped: False
helloWorld: false
defaultNs: docker.io
host: 0.0.0.0
registries:
  - name: localhost:5000
    description: ""
    scheme: http
    auth: { user: "", password: "", passwordFromEnv: "", token: {} }
    tls: { ca: "", cert: "", key: "", insecureSkipVerify: false }
pruneConfig: { enabled: false, duration: 30d, type: accessed, frequency: 1d, count: -1, expr: "", dryRun: false, dryrun: }
listConfig: { header: false, expr: "", shortDigest: false }
serverTlsConfig: { cert: "", key: "", ca: "", clientAuth: none }
`);
    expect(config).toMatchObject({
      logLevel: "error",
      host: "0.0.0.0",
      serverTls: undefined,
      registries: [{ name: "localhost:5000", scheme: "http", auth: undefined, tls: undefined }],
    });
  });

  test("the file that is shipped is good", async () => {
    const { config, notices } = await loadConfig({ environment: {}, flags: new Map([["configFile", shipped]]) });
    expect(config).toMatchObject({ imagePath: "./cache", port: 8080, registries: [] });
    expect(notices).toEqual([]);
  });

  test("what is commented out in the file that is shipped is good as well", async () => {
    const uncommented = (await readFile(shipped, "utf8")).replaceAll(/^# (?= *-? ?[\w/.*"]+:)/gm, "");
    const { config } = await loadText(uncommented);
    expect(config.registries.map(({ name }) => name)).toEqual([
      "docker.io",
      "registry.example.com:5000",
      "registry.local:5000",
      "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
    ]);
    expect(config).toMatchObject({ healthPort: 8081, defaultNs: "quay.io", serverTls: { clientAuth: "request" }, tagTtl: { patterns: [{}, {}] } });
  });

  const shipped = join(import.meta.dirname, "..", "..", "config.yaml");
});

describe("what is wrong with a configuration", () => {
  test.each([
    ["imagePath: x\nimagPath: y\n", ["config.yaml:2: unknown key imagPath, did you mean imagePath? (line 2)"]],
    ["tagTTL: 5m\n", ["config.yaml:1: unknown key tagTTL, did you mean tagTtl? (line 1)"]],
    [
      "registries:\n  - name: a.b\n    insecureSkipVerify: true\n",
      ["config.yaml:3: unknown key registries[0].insecureSkipVerify, did you mean registries[].tls.insecureSkipVerify? (line 3)"],
    ],
    [
      "registries:\n  - name: a.b\n    endpoints:\n      - https://x\n      - urll: https://y\n",
      ["config.yaml:5: registries[0].endpoints[1].url is missing", "config.yaml:5: unknown key registries[0].endpoints[1].urll, did you mean url? (line 5)"],
    ],
    ["__proto__: { port: 1 }\n", [expect.stringMatching(/^config\.yaml:1: unknown key __proto__/)]],
    ["port: 70000\n", ['config.yaml:1: port is "70000", which is not a whole number from 0 to 65535']],
    ["airGapped: yes\n", ['config.yaml:1: airGapped is "yes", which is not true or false']],
    ["logLevel: loud\n", ['config.yaml:1: logLevel is "loud", which is none of error, warn, info, debug']],
    ["registries: docker.io\n", ["config.yaml:1: registries must be a list"]],
    ["serverTlsConfig: on\n", ["config.yaml:1: serverTlsConfig must hold keys and values"]],
    ["host: [a]\n", ["config.yaml:1: host must be text"]],
    ["tagTtl: { a: 1w }\n", [expect.stringMatching(/^config\.yaml:1: tagTtl\.a is "1w", which is not a duration/)]],
    ["tagTtl: [1m]\n", ["config.yaml:1: tagTtl must be a duration, or durations by pattern"]],
    ["shutdownDelay: -1\n", [expect.stringMatching(/shutdownDelay is "-1", which is not a duration .*with -1 the server would never stop/)]],
    [
      "auth: { htpasswd: { path: p }, failDelay: -1 }\n",
      [expect.stringMatching(/failDelay is "-1", .*with -1 nobody would be told that his password is wrong/)],
    ],
    ["pullTimeout: 0\n", [expect.stringMatching(/pullTimeout is "0", which is not a number of milliseconds above 0/)]],
    ["trustedProxies: [10.0.0.0/33]\n", [expect.stringMatching(/^config\.yaml:1: trustedProxies\[0\] is "10.0.0.0\/33", which is not a network/)]],
    ["registries:\n  - description: x\n", ["config.yaml:2: registries[0].name is missing"]],
    ["registries:\n  - name: https://docker.io\n", ['config.yaml:2: registries: "https://docker.io" is not a host[:port]']],
    ["registries:\n  - name: docker.io\n  - name: index.docker.io\n", ['config.yaml:3: registries: "index.docker.io" is listed twice']],
    [
      "registries:\n  - { name: a.b, aliases: [hub] }\n  - { name: c.d, aliases: [hub] }\n",
      ['config.yaml:3: registries: the alias "hub" of "c.d" already means "a.b"'],
    ],
    ["registries: [{ name: a.b, aliases: [x/y] }]\n", [expect.stringMatching(/aliases\[0\] is "x\/y", which is not a word/)]],
    [
      "registries: [{ name: a.b, endpoints: ['https://u:p@x'] }]\n",
      [expect.stringMatching(/^config\.yaml:1: registries\[0\]\.endpoints\[0\] must be a url such as [^@]*$/)],
    ],
    ["defaultNs: nowhere/x\n", ['config.yaml:1: defaultNs: "nowhere/x" is not a host[:port]']],
    [
      "tagTtl:\n  hub/a/*: 1h\nregistries: [{ name: docker.io, aliases: [hub] }]\n",
      ['config.yaml:2: tagTtl: the pattern "hub/a/*" begins with an alias; write "a/*"'],
    ],
    [
      "tagTtl:\n  q/a/*: 1h\nregistries: [{ name: quay.io, aliases: [q] }]\n",
      ['config.yaml:2: tagTtl: the pattern "q/a/*" begins with an alias; write "quay.io/a/*"'],
    ],
    ["port: 5000\nmetrics: 5000\n", ["config.yaml:2: metrics and port are both 5000"]],
    ["port: 5000\nhealth: 5001\nmetrics: 5001\n", []],
    ["serverTlsConfig:\n  cert: a\n", ["config.yaml:2: serverTlsConfig has a cert and no key"]],
    [
      "serverTlsConfig:\n  cert: a\n  key: b\n  clientAuth: verify\n",
      ["config.yaml:4: serverTlsConfig.clientAuth is verify, but there is no ca to check clients by"],
    ],
    ["serverTlsConfig: { clientAuth: request }\n", ["config.yaml:1: serverTlsConfig.clientAuth is request, but there is no cert and key"]],
    ["registries:\n  - name: a.b\n    auth: { user: u }\n", ["config.yaml:3: registries[0].auth has a user and no password"]],
    ["registries:\n  - name: a.b\n    auth: { password: p }\n", ["config.yaml:3: registries[0].auth has a password and no user"]],
    [
      "registries:\n  - name: a.b\n    auth: { user: u, password: p, passwordFromEnv: V, passwordFile: f }\n",
      ["config.yaml:3: registries[0].auth has passwordFromEnv and passwordFile: one is enough"],
    ],
    [
      "registries:\n  - name: a.b\n    auth: { user: u, password: p, passwordFile: f }\n",
      ["config.yaml:3: registries[0].auth has password and passwordFile: one is enough"],
    ],
    [
      "registries:\n  - name: a.b\n    endpoints:\n      - url: https://c\n        tls: { key: k }\n",
      ["config.yaml:5: registries[0].endpoints[0].tls has a key and no cert"],
    ],
    ["registries:\n  - name: a.b\n    originFallback: false\n", ["config.yaml:3: originFallback is false, but a.b has no endpoints to ask instead"]],
    ["port: 1\nport: 2\n", ["config.yaml:2: port is written twice"]],
  ])("%j", async (text, problems) => {
    expect(await problemsOf(text)).toEqual(problems);
  });

  test("everything that is wrong is said, in the order of the file", async () => {
    const problems = await problemsOf("prt: 1\nregistries:\n  - nam: x\nlogLevel: loud\n");
    expect(problems.map((problem) => problem.split(": ", 1)[0])).toEqual(["config.yaml:1", "config.yaml:3", "config.yaml:3", "config.yaml:4"]);
  });

  test("a variable or a flag is named where it is to blame, though the file has the key too", async () => {
    expect(await problemsOf("port: 1\n", { environment: { OCIREGISTRY_PORT: "x" } })).toEqual([expect.stringMatching(/^OCIREGISTRY_PORT: port is "x"/)]);
    expect(await problemsOf("port: 1\n", { environment: { OCIREGISTRY_PORT: "2" }, flags: { port: "x" } })).toEqual([
      expect.stringMatching(/^--port: port is "x"/),
    ]);
  });

  test("no message shows a password", async () => {
    const text = "registries:\n  - name: a.b\n    auth: { user: u, password: [hunter2] }\n  - name: c.d\n    auth: { password: hunter2, passwordFile: f }\n";
    expect((await problemsOf(text)).join()).not.toContain("hunter2");
    expect((await problemsOf(text.replace("[hunter2]", "hunter2"))).join()).not.toContain("hunter2");
  });

  test("what is shown of a file stays on one line and steers no terminal", async () => {
    expect(await problemsOf('defaultNs: "a\\nb\\e[31m\\x7f"\n')).toEqual(['config.yaml:1: defaultNs: "a\\nb\\u001b[31m\\u007f" is not a host[:port]']);
  });

  test("a file that is too large, or none, is refused", async () => {
    expect(await problemsOf(`# ${"x".repeat(1_048_576)}\n`)).toEqual([expect.stringMatching(/^config\.yaml: \d+ bytes: a configuration has at most 1048576/)]);
    await expect(loadConfig({ environment: {}, flags: new Map([["configFile", import.meta.dirname]]) })).rejects.toThrow("it is a folder");
  });
});

describe("platforms", () => {
  const platformsOf = async (text: string): Promise<unknown> => (await loadText(text)).config.platforms;

  test("are os and arch, or a list in their place, or all", async () => {
    expect(await platformsOf("")).toEqual([{ os: "linux", architecture: "amd64" }]);
    expect(await platformsOf("arch: aarch64\n")).toEqual([{ os: "linux", architecture: "arm64" }]);
    expect(await platformsOf("arch: arm64\nplatforms: [linux/arm/v7, windows/amd64]\n")).toEqual([
      { os: "linux", architecture: "arm", variant: "v7" },
      { os: "windows", architecture: "amd64" },
    ]);
    expect(await platformsOf("platforms: [linux/arm64, all]\n")).toBe("all");
  });

  test("that are none are refused", async () => {
    expect(await problemsOf("platforms: [arm64]\n")).toEqual([
      expect.stringContaining('"arm64", which is not os/arch or os/arch/variant, such as linux/arm64, or all'),
    ]);
    expect(await problemsOf("os: lin/ux\n")).toEqual([expect.stringContaining('os: "lin/ux" is no word of a platform')]);
  });
});

describe("keys of what is not built yet", () => {
  test.each([
    [
      "auth:\n  bearer:\n    realm: https://a/token\n    service: s\n    cert: c\n    awsSecretsManager: { region: eu-west-1 }\n    upstreamTokenEndpoint: { service: s }\n",
      [
        "config.yaml:6: not supported yet: auth.bearer.awsSecretsManager (line 6)",
        "config.yaml:7: not supported yet: auth.bearer.upstreamTokenEndpoint (line 7)",
      ],
    ],
  ])("%j", async (text, problems) => {
    expect(await problemsOf(text)).toEqual(problems);
  });
});

describe("notices", () => {
  test.each([
    ["serverTlsConfig: { cert: a, key: b, ca: c, clientAuth: verify }\n", /^config\.yaml:1: clientAuth: verify without a health port/],
    ["serverTlsConfig: { cert: a, key: b, ca: c }\n", /^config\.yaml:1: serverTlsConfig\.ca has no effect/],
    ["registries:\n  - name: a.b\n    scheme: http\n    auth: { user: u, password: p }\n", /^config\.yaml:3: the password for a\.b travels over plain http/],
    [
      "registries:\n  - name: a.b\n    auth: { user: u, password: p, passwordFromEnv: V }\n",
      /^config\.yaml:3: registries\[0\]\.auth\.password has no effect: passwordFromEnv wins$/,
    ],
    ["registries:\n  - name: a.b\n    tls: { insecureSkipVerify: true }\n", /^config\.yaml:3: any certificate is trusted for a\.b/],
    ["registries:\n  - name: a.b\n    opts: { x: 1 }\n", /^config\.yaml:3: opts has no effect/],
    ["configFile: other.yaml\n", /^config\.yaml:1: configFile has no effect/],
  ])("%j", async (text, expected) => {
    const { notices } = await loadText(text);
    expect(notices.map(withoutFolder)).toEqual([expect.stringMatching(expected)]);
  });

  test("a variable with our prefix that means nothing", async () => {
    expect((await loadConfig({ environment: { OCIREGISTRY_LOGLEVEL: "debug" } })).notices).toEqual([
      expect.stringMatching(/^OCIREGISTRY_LOGLEVEL: no such variable/),
    ]);
  });
});

describe("when the store is verified", () => {
  test.each([
    ["verifyConfig: {}\n", { schedule: undefined, timezone: "UTC", bytesPerSecond: 50 * 2 ** 20, repair: false }],
    [
      'verifyConfig:\n  schedule: "0 4 * * 0"\n  timezone: Europe/Berlin\n  bytesPerSecond: 0\n  repair: true\n',
      { schedule: "0 4 * * 0", timezone: "Europe/Berlin", bytesPerSecond: Infinity, repair: true },
    ],
  ])("%j", async (text, verify) => {
    expect((await loadText(text)).config.verify).toEqual(verify);
  });

  test("a schedule that is none, and a time zone that is none, are refused with their lines", async () => {
    expect(await problemsOf('verifyConfig:\n  schedule: "61 * * * *"\n  timezone: Middle/Earth\n')).toEqual([
      expect.stringMatching(/^config\.yaml:2: verifyConfig\.schedule is "61 \* \* \* \*", which is not a cron expression such as "0 4 \* \* 0": .*minute/),
      'config.yaml:3: verifyConfig.timezone is "Middle/Earth", which is not a time zone such as Europe/Berlin or UTC',
    ]);
  });
});

test("ten times as many registries take some ten times as long, not a hundred times", async () => {
  const millisecondsFor = async (registries: number): Promise<number> => {
    const text = JSON.stringify({ registries: Array.from({ length: registries }, (_, number) => ({ name: `registry-${number}.example` })) });
    const before = process.cpuUsage();
    expect((await loadText(text)).config.registries).toHaveLength(registries);
    return process.cpuUsage(before).user / 1_000;
  };
  await millisecondsFor(300);
  const [few, many] = [await millisecondsFor(300), await millisecondsFor(3_000)];
  expect(many / few).toBeLessThan(40);
});
