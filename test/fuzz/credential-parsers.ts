/** The parsers of what other programs keep and give as credentials: docker's and podman's files, credential helpers, the kubelet's plugins. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { dockerHub, parseRegistryHost } from "../../src/oci/repository.ts";
import { parseHelperAnswer } from "../../src/upstream/credential-helper.ts";
import { findAuth, parseDockerConfig } from "../../src/upstream/docker-config-file.ts";
import { matchesImage, parseImagePattern } from "../../src/upstream/image-pattern.ts";
import { findForImage, parseGoDuration, parseKubeletAnswer } from "../../src/upstream/kubelet-answer.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { json, mostly, texts } from "./inputs.ts";
import { refusedBy } from "./oci-parsers.ts";

const host = parseRegistryHost("registry.example");
const keys = fc.constantFrom(
  "registry.example",
  "registry.example/team",
  "https://registry.example/v1/",
  "http://registry.example",
  "registry.example:443",
  "registry.example:5000",
);
const patterns = fc.constantFrom("registry.example", "*.example", "registry.*/team", "reg?stry.example:5000", "[::1]:5000/a", "https://registry.example/team/");
const isMendable = refusedBy("DENIED");

export const credentialParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "docker's configuration",
    inputs: json(
      mostly(
        fc.record(
          {
            auths: mostly(fc.dictionary(fc.oneof(keys, fc.string()), mostly(dockerEntry()), { maxKeys: 4 })),
            credHelpers: mostly(fc.dictionary(keys, mostly(fc.constantFrom("pass", "ecr-login")), { maxKeys: 2 })),
            credsStore: mostly(fc.constantFrom("pass", "desktop")),
          },
          { requiredKeys: [] },
        ),
      ),
    ),
    parse: (bytes) => {
      const entries = parseDockerConfig(bytes, host);
      return { entries, found: entries && findAuth(entries, "team/app") };
    },
    isOwnError: isMendable,
    check({ entries, found }) {
      for (const { key } of entries?.auths ?? []) assert.match(key, /^(https?:\/\/)?registry\.example\.?(\/|$)/i, "an entry for another host");
      if (found?.kind === "bearer") assert.match(found.token, /^[\x21-\x7e]+$/, "goes into a header");
    },
  }),
  fuzzed({
    name: "key of docker's configuration",
    inputs: texts(keys, {
      words: ["https://", "http://", "registry.example", ":", "/", "v1", "v2", "@", "docker.io", "index.docker.io", "."],
      lengthMax: 1_000,
    }),
    parse: (key) => {
      const bytes = Buffer.from(JSON.stringify({ auths: { [key]: { username: "u", password: "p" } } }));
      return { own: parseDockerConfig(bytes, host)?.auths, hub: parseDockerConfig(bytes, dockerHub)?.auths };
    },
    check: ({ own = [], hub = [] }) => assert.ok(own.length + hub.length <= 1, "one key for two registries"),
  }),
  fuzzed({
    name: "answer of a credential helper",
    inputs: json(
      mostly(fc.record({ ServerURL: mostly(keys), Username: mostly(fc.constantFrom("u", "<token>", "")), Secret: mostly(fc.string()) }, { requiredKeys: [] })),
    ),
    parse: parseHelperAnswer,
    check: (content) => assert.ok(content === undefined || content === "none" || (content.kind === "basic" ? content.password : content.kind === "identity")),
  }),
  fuzzed({
    name: "answer of a kubelet's plugin",
    inputs: json(
      mostly(
        fc.record(
          {
            kind: fc.constant("CredentialProviderResponse"),
            apiVersion: fc.constant("credentialprovider.kubelet.k8s.io/v1"),
            cacheKeyType: mostly(fc.constantFrom("Image", "Registry", "Global")),
            cacheDuration: mostly(durations()),
            auth: mostly(fc.dictionary(patterns, mostly(fc.record({ username: mostly(fc.string()), password: mostly(fc.string()) })), { maxKeys: 3 })),
          },
          { requiredKeys: ["kind", "apiVersion"] },
        ),
      ),
    ),
    parse: (bytes) => {
      const answer = parseKubeletAnswer(bytes, "plugin");
      return { answer, found: findForImage(answer, "registry.example/team/app") };
    },
    isOwnError: isMendable,
    check({ answer: { durationMs, credentials }, found }) {
      assert.ok(durationMs === undefined || (Number.isFinite(durationMs) && durationMs >= 0));
      assert.ok(!found || credentials.some(({ pattern }) => matchesImage(pattern, "registry.example/team/app")));
    },
  }),
  fuzzed({
    name: "image pattern",
    inputs: texts(patterns, { words: ["*", "?", ".", "registry", "example", ":", "/", "[", "]", "a*"] }),
    parse: (pattern) => {
      const parsed = parseImagePattern(pattern);
      return {
        parsed,
        isForOne: parsed && matchesImage(parsed, "registry.example/team/app"),
        isForLong: parsed && matchesImage(parsed, `${"a".repeat(250)}.b/c`),
      };
    },
    check({ parsed, isForOne }) {
      if (isForOne) assert.ok(parsed?.port === "" && parsed.labels.length === 2 && ["", "team", "team/app"].includes(parsed.path));
    },
  }),
  fuzzed({
    name: "duration as Go prints it",
    inputs: texts(durations(), { words: ["1h", "m", "s", "ms", "\u00b5s", ".", "-", "+"] }),
    parse: parseGoDuration,
    check: (ms) => assert.ok(ms === undefined || (Number.isFinite(ms) && ms >= 0)),
  }),
];

function dockerEntry(): fc.Arbitrary<unknown> {
  const auth = fc.string().map((text) => Buffer.from(`user:${text}`).toString("base64"));
  const text = mostly(fc.string());
  return fc.record({ auth: mostly(auth), username: text, password: text, identitytoken: text, registrytoken: text }, { requiredKeys: [] });
}

function durations(): fc.Arbitrary<string> {
  return fc.tuple(fc.nat(100), fc.nat(59), fc.nat(59)).map(([hours, minutes, seconds]) => `${hours}h${minutes}m${seconds}s`);
}
