/** The Go ociregistry's configuration, key by key: each set to something other than its default is taken, and means what its documents say. */
import { describe, expect, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { loadText, problemsOf } from "./load-text.ts";

const dayMs = 86_400_000;
const ecr = "111122223333.dkr.ecr.us-east-1.amazonaws.com";

/** A key with a value, and what of the configuration it must become. */
const keys: readonly (readonly [key: string, text: string, means: (config: Config) => unknown, expected: unknown])[] = [
  ["imagePath", "imagePath: /var/images", ({ imagePath }) => imagePath, "/var/images"],
  ["logLevel", "logLevel: debug", ({ logLevel }) => logLevel, "debug"],
  ["logFile", "logFile: /var/log/ociregistry.log", ({ logFile }) => logFile, "/var/log/ociregistry.log"],
  ["preloadImages", "preloadImages: images.txt", ({ preloadImages }) => preloadImages, "images.txt"],
  ["imageFile", "imageFile: images.txt", ({ imageFile }) => imageFile, "images.txt"],
  ["resolveRef", "resolveRef: quay.io/team/app:1", ({ resolveRef }) => resolveRef, "quay.io/team/app:1"],
  ["port", "port: 5000", ({ port }) => port, 5_000],
  ["os", "os: windows", ({ platforms }) => platforms, [{ os: "windows", architecture: "amd64" }]],
  ["arch", "arch: arm64", ({ platforms }) => platforms, [{ os: "linux", architecture: "arm64" }]],
  ["pullTimeout", "pullTimeout: 90000", ({ pullTimeoutMs }) => pullTimeoutMs, 90_000],
  ["health", "health: 8081", ({ healthPort }) => healthPort, 8_081],
  ["metrics", "metrics: 8082", ({ metricsPort }) => metricsPort, 8_082],
  ["alwaysPullLatest", "alwaysPullLatest: true", ({ alwaysPullLatest }) => alwaysPullLatest, true],
  ["airGapped", "airGapped: true", ({ airGapped }) => airGapped, true],
  ["helloWorld", "helloWorld: true", ({ helloWorld }) => helloWorld, true],
  ["defaultNs", "defaultNs: quay.io", ({ defaultNs }) => defaultNs, "quay.io"],
  ["host", "host: 127.0.0.1", ({ host }) => host, "127.0.0.1"],
  ["registries[].description", "registries: [{ name: quay.io, description: theirs }]", ({ registries }) => registries[0]?.description, "theirs"],
  ["registries[].scheme", "registries: [{ name: 'my:5000', scheme: http }]", ({ registries }) => registries[0]?.scheme, "http"],
  ["registries[].auth.user", "registries: [{ name: quay.io, auth: { user: u, password: p } }]", ({ registries }) => registries[0]?.auth !== undefined, true],
  [
    "registries[].auth.passwordFromEnv",
    "registries: [{ name: quay.io, auth: { user: u, passwordFromEnv: THEPASS } }]",
    ({ registries }) => registries[0]?.auth !== undefined,
    true,
  ],
  [
    "registries[].auth.token",
    `registries: [{ name: ${ecr}, auth: { token: { provider: ecr, providerOpts: "profile=default,region=us-east-1", expiry: 12h } } }]`,
    ({ registries }) => registries[0]?.auth !== undefined,
    true,
  ],
  [
    "registries[].auth.token.static",
    "registries: [{ name: quay.io, auth: { token: { static: abc } } }]",
    ({ registries }) => registries[0]?.auth !== undefined,
    true,
  ],
  [
    "registries[].tls",
    "registries: [{ name: quay.io, tls: { cert: c, key: k, ca: a, insecureSkipVerify: true } }]",
    ({ registries }) => registries[0]?.tls,
    { cert: "c", key: "k", ca: "a", insecureSkipVerify: true },
  ],
  ["registries[].opts", "registries: [{ name: quay.io, opts: { any: thing } }]", ({ registries }) => registries[0]?.name, "quay.io"],
  ["pruneConfig.enabled", "pruneConfig: { enabled: true }", ({ prune }) => prune.enabled, true],
  ["pruneConfig.duration", "pruneConfig: { duration: 10d }", ({ prune }) => prune.olderThanMs, 10 * dayMs],
  ["pruneConfig.type", "pruneConfig: { type: created }", ({ prune }) => prune.by, "created"],
  ["pruneConfig.frequency", "pruneConfig: { enabled: true, frequency: 5h }", ({ prune }) => prune.rhythm, { kind: "every", everyMs: 5 * 3_600_000 }],
  ["pruneConfig.count", "pruneConfig: { count: 50 }", ({ prune }) => prune.countMax, 50],
  ["pruneConfig.expr", "pruneConfig: { type: pattern, expr: 'foo,bar' }", ({ prune }) => prune.expr, "foo,bar"],
  ["pruneConfig.dryRun", "pruneConfig: { dryRun: true }", ({ prune }) => prune.dryRun, true],
  ["pruneConfig.dryrun", "pruneConfig: { dryrun: true }", ({ prune }) => prune.dryRun, true],
  ["listConfig.header", "listConfig: { header: true }", ({ list }) => list.header, true],
  ["listConfig.expr", "listConfig: { expr: alpine }", ({ list }) => list.expr, "alpine"],
  ["listConfig.shortDigest", "listConfig: { shortDigest: true }", ({ list }) => list.shortDigest, true],
  [
    "serverTlsConfig",
    "serverTlsConfig: { cert: c, key: k, ca: a, clientAuth: verify }",
    ({ serverTls }) => serverTls,
    { cert: "c", key: "k", ca: "a", clientAuth: "verify" },
  ],
];

describe("each key means what its documents say", () => {
  test.each(keys)("%s", async (_, text, means, expected) => {
    expect(means((await loadText(`${text}\n`, { environment: { THEPASS: "p" } })).config)).toEqual(expected);
  });
});

test("its page of defaults is taken as it is", async () => {
  const text = `imagePath: /var/lib/ociregistry
logLevel: error
logFile:
preloadImages:
imageFile:
port: 8080
pullTimeout: 60000
alwaysPullLatest: false
airGapped: false
helloWorld: false
health:
registries: []
pruneConfig:
  enabled: false
serverTlsConfig: {}
`;
  expect(await problemsOf(text)).toEqual([]);
});

test("its example of pruning is taken as it is", async () => {
  const text = "pruneConfig:\n  enabled: true\n  duration: 30d\n  type: accessed\n  frequency: 1d\n  count: -1\n  dryRun: false\n";
  expect((await loadText(text)).config.prune).toMatchObject({ enabled: true, olderThanMs: 30 * dayMs, by: "accessed", countMax: Infinity, dryRun: false });
});
