/** The words that names are made of, for every parser that has to do with them. */
import fc from "fast-check";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";

/** Registries as an operator may list them. */
export const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", scheme: "https", aliases: ["hub"] },
    { name: "quay.io", scheme: "https", aliases: ["q", "quay.alias.example"] },
    { name: "registry:5000", scheme: "http", aliases: ["mine"] },
    { name: "plain.example", scheme: "http", aliases: ["localhost"] },
    { name: "[::1]:5000", scheme: "http", aliases: [] },
  ],
});

const component = fc.stringMatching(/^[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
const awkwardComponent = fc.constantFrom("v2", "manifests", "blobs", "tags", "list", "referrers", "library", "hub", "q", "localhost", "docker.io", "a.b");

export const path: fc.Arbitrary<string> = fc
  .array(fc.oneof({ weight: 4, arbitrary: component }, awkwardComponent), { minLength: 1, maxLength: 6 })
  .map((components) => components.join("/"));

export const host: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(
      fc.constantFrom("docker.io", "index.docker.io", "registry-1.docker.io", "quay.io", "registry", "localhost", "plain.example", "xn--bcher-kva.example"),
      fc.constantFrom(
        "[::1]",
        "[2001:db8::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "010.0.0.1",
        "1.2.3.256",
      ),
      fc.domain(),
    ),
    fc.constantFrom("", "", ".", ":80", ":443", ":5000", ".:5000", ":05000"),
    fc.boolean(),
  )
  .map(([name, rest, isShouted]) => (isShouted ? name.toUpperCase() : name) + rest);

export const tag: fc.Arbitrary<string> = fc.oneof(
  fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/),
  fc.constantFrom("latest", "v2", "list", `sha256-${"0".repeat(64)}`, "a".repeat(128)),
);

export const digest: fc.Arbitrary<Digest> = fc
  .tuple(fc.uint8Array({ maxLength: 4 }), fc.constantFrom("sha256" as const, "sha256" as const, "sha512" as const))
  .map(([bytes, algorithm]) => digestOf(bytes, algorithm));

/** Pieces of all of them. */
export const words = [
  "docker.io",
  "library",
  "hub",
  "quay.io",
  "v2",
  "manifests",
  "blobs",
  "tags",
  "list",
  "referrers",
  "_catalog",
  "sha256:",
  "sha512:",
  ":5000",
  "-",
  "_",
  "__",
  ".",
];
