import { describe, expect, test } from "vitest";
import { RegistryNames } from "../../src/oci/registry-names.ts";

const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", scheme: "https", aliases: ["hub"] },
    { name: "127.0.0.1:5000", scheme: "http", aliases: ["up", "mirror.example.com"] },
    { name: "plain.example.com:80", scheme: "http", aliases: [] },
  ],
});

describe("a word for a registry", () => {
  test.each([
    ["hub", "docker.io"],
    ["HUB", "docker.io"],
    ["index.docker.io", "docker.io"],
    ["registry-1.docker.io:443", "docker.io"],
    ["up", "127.0.0.1:5000"],
    ["mirror.example.com", "127.0.0.1:5000"],
    ["plain.example.com", "plain.example.com"],
    ["plain.example.com:80", "plain.example.com"],
    ["quay.io", "quay.io"],
  ])("%s means %s", (word, host) => expect(names.find(word)).toBe(host));

  test("that is an alias means the same however it is spelled", () => {
    const diverted = new RegistryNames({
      defaultNs: "harbor.example.com",
      registries: [{ name: "harbor.example.com", scheme: "https", aliases: ["docker.io"] }],
    });
    const spellings = ["docker.io", "DOCKER.io", "docker.io:443", "docker.io.", "index.docker.io", "registry-1.docker.io"];
    expect(spellings.map((word) => diverted.find(word))).toEqual(spellings.map(() => "harbor.example.com"));
  });

  test("has no letter that is another's capital in some other script", () => {
    for (const word of ["doc\u212aer.io", "\u212aub", "up\u0130"]) expect(names.find(word)).toBeUndefined();
    const kelvin = [{ name: "a.test", scheme: "https" as const, aliases: ["\u212a"] }];
    expect(() => new RegistryNames({ defaultNs: "docker.io", registries: kelvin })).toThrow("not a word");
  });

  test("may be listed, unlisted, or no host at all", () => {
    expect(names.names("up")).toBe(true);
    expect(names.names("quay.io")).toBe(false);
    expect(names.find("not a host")).toBeUndefined();
    expect(names.looksLikeHost("library")).toBe(false);
    expect(names.looksLikeHost("up")).toBe(true);
    expect(names.looksLikeHost("localhost")).toBe(true);
  });
});

test("the default registry counts as listed without being listed", () => {
  const bare = new RegistryNames({ defaultNs: "registry.example.com", registries: [] });
  expect(bare.isListed(bare.defaultHost)).toBe(true);
});

test("a registry by http at the port of https cannot be listed beside the one by https: both would have one name", () => {
  const registries = [
    { name: "a.test:443", scheme: "http" as const, aliases: [] },
    { name: "a.test", scheme: "https" as const, aliases: [] },
  ];
  expect(() => new RegistryNames({ defaultNs: "docker.io", registries })).toThrow('"a.test:443" already means "a.test"');
});

test.each([
  [
    "listed twice",
    [
      ["a.test", []],
      ["A.test:443", []],
    ],
  ],
  [
    "already means",
    [
      ["a.test", ["x"]],
      ["b.test", ["X"]],
    ],
  ],
  [
    "already means",
    [
      ["a.test", ["b.test"]],
      ["b.test", []],
    ],
  ],
  ["not a host", [["not a host", []]]],
] as const)("two meanings for one word are refused: %s", (words, registries) => {
  const listed = registries.map(([name, aliases]) => ({ name, aliases, scheme: "https" as const }));
  expect(() => new RegistryNames({ defaultNs: "docker.io", registries: listed })).toThrow(words);
});
