/** The parsers of what operators write: durations, sizes, variables, YAML, and the whole configuration. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";
import { ConfigError } from "../../src/config/config-error.ts";
import { findDurationMs } from "../../src/config/durations.ts";
import { readEnvironment, variableOf } from "../../src/config/environment.ts";
import { expandVariables } from "../../src/config/expansion.ts";
import { readConfig } from "../../src/config/load.ts";
import { providerNames, providerOptions, readOptionsText } from "../../src/config/provider-options.ts";
import { findSizeBytes } from "../../src/config/sizes.ts";
import { createTagTtl } from "../../src/config/tag-ttl.ts";
import { Vocabulary } from "../../src/config/vocabulary.ts";
import { readYaml } from "../../src/config/yaml-source.ts";
import { parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { texts } from "./inputs.ts";
import { host, names, path } from "./names.ts";

const vocabulary = new Vocabulary();
const environment = { USER: "ann", EMPTY: "", NESTED: "${USER}" };
const configFile = "config.yaml";
/** Operators alone write these, and few. */
const yamlLengthMax = 2_000;
const yamlLimitMs = 50;

const goodConfig = `# A configuration as people write it.
imagePath: &path ./cache
port: 8080
tagTtl: { default: 1m, "team/**": 5m }
trustedProxies: [10.0.0.0/8]
registries:
  - name: docker.io
    aliases: [hub]
    endpoints: [https://mirror.example/hub, { url: "http://10.0.0.1:5000" }]
    auth: { user: u, password: "${"$"}{USER:-p}" }
    credentials: [{ match: "team/**", auth: { token: { static: dTpw, scheme: bearer } } }]
  - name: registry:5000
    scheme: http
    staleIfError: 24h
    auth: { token: { provider: ecr, providerOpts: "profile=p,region=r", expiry: 6h } }
  - name: login.example
    auth:
      token:
        provider: oauth2
        providerOpts: { tokenUrl: https://login.example/token, clientId: c, clientSecretFromEnv: S }
`;

export const configParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "duration",
    inputs: texts(
      fc.oneof(
        fc
          .array(
            fc.tuple(fc.nat(999), fc.constantFrom("ms", "s", "m", "h", "d")).map((part) => part.join("")),
            { minLength: 1, maxLength: 5 },
          )
          .map((parts) => parts.join("")),
        fc.constantFrom("-1", "0", "1.5h"),
      ),
    ),
    parse: (text) => findDurationMs(text),
    check: (durationMs) => assert.ok(durationMs === undefined || durationMs === Infinity || (Number.isSafeInteger(durationMs) && durationMs >= 0)),
  }),
  fuzzed({
    name: "size",
    inputs: texts(
      fc
        .tuple(fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e6, noNaN: true })), fc.constantFrom("", "KiB", "MiB", "GiB", "TiB"))
        .map((parts) => parts.join("")),
    ),
    parse: findSizeBytes,
    check: (sizeBytes) => assert.ok(sizeBytes === undefined || (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0)),
  }),
  fuzzed({
    name: "duration and size, written and read",
    inputs: fc.tuple(
      fc.array(
        fc.tuple(
          fc.nat(999),
          fc.constantFrom(["ms", 1] as const, ["s", 1_000] as const, ["m", 60_000] as const, ["h", 3_600_000] as const, ["d", 86_400_000] as const),
        ),
        { minLength: 1, maxLength: 6 },
      ),
      fc.nat(4_000),
      fc.constantFrom(["KiB", 2 ** 10] as const, ["MiB", 2 ** 20] as const, ["GiB", 2 ** 30] as const, ["TiB", 2 ** 40] as const),
    ),
    parse: ([parts, count, [unit]]) => [findDurationMs(parts.map(([number, [of]]) => `${number}${of}`).join("")), findSizeBytes(`${count}${unit}`)],
    check: (read, [parts, count, [, unitBytes]]) =>
      assert.deepEqual(read, [parts.reduce((sum, [number, [, unitMs]]) => sum + number * unitMs, 0), count * unitBytes]),
  }),
  fuzzed({
    name: "variables in a text",
    inputs: texts(fc.constantFrom("${USER}", "a ${NOBODY:-b} c", "$${USER}", "${EMPTY:-${USER}}"), { words: ["${", "}", "$${", "USER", ":-"] }),
    parse: (text) => expandVariables(text, environment),
    check(expansion, text) {
      if (!text.includes("${")) assert.deepEqual(expansion, { kind: "expanded", text });
      if (!text.includes("$${"))
        assert.deepEqual(
          expandVariables(
            text.replaceAll("${", () => "$${"),
            {},
          ),
          { kind: "expanded", text },
          "escaped",
        );
    },
  }),
  fuzzed({
    name: "environment",
    inputs: fc.tuple(
      fc.constantFrom(...vocabulary.scalarKeys()),
      fc.string({ minLength: 1, maxLength: 20 }),
      texts(fc.constantFrom(...vocabulary.scalarKeys()).map(variableOf), { lengthMax: 80 }),
    ),
    parse: ([key, value, other]) => readEnvironment({ [other]: "x", [variableOf(key)]: value }, vocabulary.scalarKeys()),
    check: ({ values }, [key, value]) => assert.ok(/^(tcp|udp|sctp):/.test(value) || values.get(key) === value, "a variable leads back to its key"),
  }),
  fuzzed({
    name: "YAML, written and read",
    inputs: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), yamlTree(), { maxKeys: 4 }).filter((tree) => !JSON.stringify(tree).includes("${")),
    parse: (tree) => readYaml(stringify(tree), { environment: {} }),
    check({ tree, problems }, written) {
      assert.deepEqual(problems, []);
      assert.deepEqual(JSON.parse(JSON.stringify(tree)), JSON.parse(JSON.stringify(written)));
    },
    share: 0.05,
    limitMs: yamlLimitMs,
  }),
  fuzzed({
    name: "YAML",
    inputs: texts(configText(), { words: yamlWords(), lengthMax: yamlLengthMax }),
    parse: (text) => readYaml(text, { environment }),
    check: ({ problems }) => problems.forEach(({ line }) => assert.ok(Number.isSafeInteger(line) && line > 0)),
    share: 0.1,
    limitMs: yamlLimitMs,
  }),
  fuzzed({
    name: "configuration",
    inputs: texts(configText(), { words: yamlWords(), lengthMax: yamlLengthMax }),
    parse: (text) => readConfig(text, { configFile, environment }),
    isOwnError: (error) =>
      error instanceof ConfigError && error.problems.length > 0 && error.problems.every((line) => /^config\.yaml:[1-9][0-9]*: [^\n]+$/.test(line)),
    share: 0.05,
    limitMs: yamlLimitMs,
  }),
  fuzzed({
    name: "options of a provider, as a text",
    inputs: texts(optionsText(), { words: [...Object.values(providerOptions).flat(), "=", ",", ", "], lengthMax: yamlLengthMax }),
    parse: readOptionsText,
    check(read, text) {
      if (read.kind === "failed") return assert.match(read.problem, /^(must be name=value|has (an option|[a-zA-Z]+) twice$)/, "nothing of the text is quoted");
      const values = Object.values(read.options);
      assert.equal(values.length, text.split(",").length);
      assert.ok(values.every((value) => typeof value === "string" && value === value.trim() && text.includes(value)));
    },
  }),
  fuzzed({
    name: "pattern of repositories",
    inputs: fc.tuple(
      texts(pattern(), { words: ["**", "*", "?", "[a-z]", "{a,b}", "!(a)", "+(b)", "{1..9}"], lengthMax: 60 }),
      path,
      host.map((written) => names.find(written) ?? names.defaultHost),
    ),
    parse: ([written, name, on]) =>
      createTagTtl(
        { tagTtl: { patterns: [{ pattern: written, ttlMs: 1 }], defaultMs: 2 }, registries: [] },
        names,
      )(repositoryOf(on, parseRepositoryPath(name))),
    isOwnError: (error) => error instanceof ConfigError && error.problems.length === 1,
    check: (ttlMs) => assert.ok(ttlMs === 1 || ttlMs === 2),
    share: 0.2,
    limitMs: yamlLimitMs,
  }),
];

function yamlTree(): fc.Arbitrary<unknown> {
  return fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      fc.string({ minLength: 1, maxLength: 12 }),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie("tree"), { maxKeys: 3 }),
    ),
  })).tree;
}

function optionsText(): fc.Arbitrary<string> {
  const option = fc.tuple(fc.constantFrom(...Object.values(providerOptions).flat()), fc.stringMatching(/^[ -+\--~]{0,12}$/));
  return fc.uniqueArray(option, { selector: ([name]) => name, minLength: 1, maxLength: 4 }).map((all) => all.map((one) => one.join("=")).join(","));
}

/** Known keys with values that fit them, or do not. */
function configText(): fc.Arbitrary<string> {
  const lastWord = (name: string): string => name.split(/[.[\]]+/).findLast((word) => word !== "") ?? "";
  const key = fc.constantFrom(...vocabulary.keys().map(({ name }) => lastWord(name)), "default", "__proto__", "unknown", "<<");
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(
        null,
        true,
        0,
        -1,
        "1m",
        "a.b",
        "public",
        "x:99999",
        "__proto__",
        "${",
        "*",
        "10.0.0.0/8",
        "https://a/b",
        "fe80::1%eth0/64",
        "[::1]:5000",
      ),
      fc.string({ maxLength: 12 }),
      host,
      fc.array(tie("value"), { maxLength: 2 }),
      fc.dictionary(key, tie("value"), { maxKeys: 3 }),
    ),
  })).value;
  const token = fc.record({ provider: fc.constantFrom(...providerNames), providerOpts: fc.oneof(value, optionsText()) }, { requiredKeys: ["provider"] });
  const registries = fc.array(
    fc
      .dictionary(fc.constantFrom("name", "scheme", "aliases", "endpoints", "auth", "credentials", "tls", "tagTtl", "redirectHosts", "fillsMax"), value, {
        maxKeys: 4,
      })
      .chain((registry) =>
        fc.option(token, { nil: undefined }).map((told) => (told === undefined ? registry : { ...registry, name: "a.b", auth: { token: told } })),
      ),
    { maxLength: 2 },
  );
  const tree = fc
    .tuple(fc.dictionary(key, value, { maxKeys: 3 }), fc.option(registries, { nil: undefined }))
    .map(([any, listed]) => (listed === undefined ? any : { ...any, registries: listed }));
  const made = fc.tuple(tree, fc.boolean()).map(([content, isJson]) => (isJson ? JSON.stringify(content) : stringify(content)));
  return fc.oneof({ weight: 2, arbitrary: made }, fc.constant(goodConfig));
}

function yamlWords(): readonly string[] {
  return ["- ", ": ", "\n", "\n  ", "&a ", "*a", "<<: ", "---", "...", "!!str ", "|", ">", "{", "}", "? ", "# ", "${USER}", "registries:\n", "- name: "];
}

function pattern(): fc.Arbitrary<string> {
  return fc.oneof(
    path,
    path.map((name) => `${name}/**`),
    fc.constantFrom("**", "*/b/**", "docker.io/**", "team-?/{a,b}/*", "default"),
  );
}
