/** The shape of the program, computed from its sources: who may import whom, which library lives where, what a file may be called. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** For each folder (or file) of src: the others that it may import. `types:` allows `import type` only. */
const allowedImports: Readonly<Record<string, readonly string[]>> = {
  oci: [],
  server: ["oci", "types:auth", "types:web"],
  cache: ["oci"],
  upstream: ["oci"],
  auth: ["oci"],
  operations: ["oci"],
  transfer: ["oci", "cache"],
  web: ["oci", "types:auth", "types:cache"],
  config: ["oci"],
  "access.ts": ["oci", "auth", "config"],
  "rules.ts": ["oci", "cache", "upstream", "config"],
  "token-issuers.ts": ["rules.ts", "oci", "auth", "upstream", "config"],
  "identity-providers.ts": ["rules.ts", "token-issuers.ts", "oci", "auth", "upstream", "config"],
  "own-token-service.ts": ["access.ts", "oci", "auth"],
  "open-records.ts": ["oci", "auth"],
  "session-keys.ts": ["auth", "config"],
  "provider-grants.ts": ["open-records.ts", "session-keys.ts", "auth", "config"],
  "browser-sign-in.ts": ["open-records.ts", "session-keys.ts", "oci", "auth", "config"],
  "own-api-keys.ts": ["oci", "auth"],
  "credential-stores.ts": ["oci", "upstream"],
  "operator-keys.ts": ["open-records.ts", "oci", "auth", "config"],
  "client-methods.ts": [
    "browser-sign-in.ts",
    "identity-providers.ts",
    "own-api-keys.ts",
    "own-token-service.ts",
    "provider-grants.ts",
    "open-records.ts",
    "token-issuers.ts",
    "oci",
    "auth",
    "config",
  ],
  "guards.ts": ["access.ts", "browser-sign-in.ts", "client-methods.ts", "own-api-keys.ts", "own-token-service.ts", "oci", "auth", "config"],
  "pull-path.ts": ["rules.ts", "oci", "cache", "upstream"],
  "command-parts.ts": ["pull-path.ts", "rules.ts", "oci", "cache", "operations", "config"],
  "pruning.ts": ["oci", "cache", "operations", "config"],
  "administration.ts": ["oci", "cache", "config", "types:server"],
  "verification.ts": ["oci", "cache", "operations", "transfer", "types:config"],
  "reloading.ts": ["guards.ts", "pruning.ts", "rules.ts", "oci", "operations", "config", "types:cache", "types:server", "types:upstream"],
  "wiring.ts": [
    "access.ts",
    "administration.ts",
    "verification.ts",
    "guards.ts",
    "pruning.ts",
    "reloading.ts",
    "pull-path.ts",
    "rules.ts",
    "oci",
    "server",
    "cache",
    "upstream",
    "auth",
    "operations",
    "transfer",
    "web",
    "config",
  ],
  cli: [
    "access.ts",
    "browser-sign-in.ts",
    "command-parts.ts",
    "credential-stores.ts",
    "operator-keys.ts",
    "own-token-service.ts",
    "pruning.ts",
    "wiring.ts",
    "config",
    "oci",
    "transfer",
    "types:cache",
  ],
  "main.ts": ["cli", "oci"],
};

/** Where each library may be imported: one library, one folder, so that it can be exchanged there. */
const libraryHomes: Readonly<Record<string, readonly string[]>> = {
  hono: ["server", "web"],
  "@hono/node-server": ["server"],
  undici: ["upstream"],
  "@aws-sdk/client-ecr": ["upstream"],
  "@aws-sdk/client-ecr-public": ["upstream"],
  "@aws-sdk/credential-providers": ["upstream"],
  "ipaddr.js": ["upstream"],
  "google-auth-library": ["upstream"],
  "@azure/identity": ["upstream"],
  tldts: ["upstream"],
  "lru-cache": ["auth", "cache", "upstream"],
  bcryptjs: ["auth", "cli"],
  ldapts: ["auth"],
  "openid-client": ["auth"],
  jose: ["auth"],
  redis: ["auth"],
  "@marcbachmann/cel-js": ["auth"],
  zod: ["config"],
  // Lists of images are YAML too, and no configuration: other people's, without our limits and variables, some of a hundred megabytes.
  yaml: ["config", "transfer"],
  pino: ["operations"],
  "prom-client": ["operations"],
  "node-cron": ["config", "operations"],
  commander: ["cli"],
  re2js: ["config"],
  "tar-stream": ["transfer"],
};

const forbiddenNames = new Set(["index", "utils", "util", "helpers", "helper", "common", "types", "misc"]);

interface Import {
  readonly from: string;
  /** A path below the root for files of ours, else the specifier. */
  readonly to: string;
  readonly isOurs: boolean;
  readonly isType: boolean;
}

const sources = filesUnder("src");
const imports = sources.flatMap((file) => importsOf(file));

test("each folder imports only what the table allows", () => {
  const crossing = imports.filter(({ from, to, isOurs }) => isOurs && stationOf(from) !== stationOf(to));
  const forbidden = crossing.filter(({ from, to, isType }) => {
    const allowed = allowedImports[stationOf(from)] ?? [];
    return !allowed.includes(stationOf(to)) && !(isType && allowed.includes(`types:${stationOf(to)}`));
  });
  expect(forbidden.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

test("every folder and file at the top of src stands in the table", () => {
  const unknown = new Set(sources.map(stationOf).filter((station) => !(station in allowedImports)));
  expect([...unknown]).toEqual([]);
});

test("each library is imported in its own folder only", () => {
  const external = imports.filter(({ to, isOurs }) => !isOurs && !to.startsWith("node:"));
  const astray = external.filter(({ from, to }) => !libraryHomes[libraryOf(to)]?.includes(stationOf(from)));
  expect(astray.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

test("nothing of ours is imported from outside src, and every import carries its ending", () => {
  const ours = imports.filter(({ isOurs }) => isOurs);
  expect(ours.filter(({ to }) => !to.startsWith("src/") && to !== "package.json").map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  expect(ours.filter(({ to }) => !/\.(ts|json)$/.test(to)).map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

test("there is no cycle of imports", () => {
  const graph = new Map(sources.map((file) => [file, imports.filter(({ from, isOurs }) => isOurs && from === file).map(({ to }) => to)]));
  expect(findCycle(graph)).toBeUndefined();
});

test("only main.ts ends the process or takes its signals", () => {
  const others = sources.filter((file) => file !== "src/main.ts");
  expect(others.filter((file) => /process\.(exit\b|exitCode|abort|kill|on\(\s*["']SIG|once\(\s*["']SIG)/.test(read(file)))).toEqual([]);
  // Credential programs are killed with all that they started.
  const byName = others.filter((file) => /import \{[^}]*\b(exit|abort|kill)\b[^}]*\} from "node:process"/.test(read(file)));
  expect(byName).toEqual(["src/upstream/run-program.ts"]);
});

test("no file is called after nothing in particular", () => {
  const files = [...sources, ...filesUnder("test"), ...filesUnder("bench")];
  const parts = files.flatMap((file) => file.split("/").map((part) => ({ file, name: part.split(".", 1)[0] ?? "" })));
  expect(parts.filter(({ name }) => forbiddenNames.has(name)).map(({ file }) => file)).toEqual([]);
});

test("every file begins by saying what it is; a test file may leave that to its tests", () => {
  const files = [...sources, ...filesUnder("test"), ...filesUnder("bench")].filter((file) => !file.endsWith(".test.ts"));
  expect(files.filter((file) => !/^(#!.*\n)?\/\*\*/.test(read(file)))).toEqual([]);
});

test("tests mock no module of ours", () => {
  const mocking = new RegExp(["vi", "(mock|doMock)\\("].join("\\."));
  expect(filesUnder("test").filter((file) => mocking.test(read(file)))).toEqual([]);
});

function filesUnder(folder: string): readonly string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith(".ts")).map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** `src/cache/fill.ts` -> `cache`, `src/wiring.ts` -> `wiring.ts`. */
function stationOf(file: string): string {
  return file.split("/")[1] ?? file;
}

function libraryOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function importsOf(file: string): readonly Import[] {
  const matches = read(file).matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm);
  return [...matches].map(([, type, named, dynamic]) => {
    const specifier = named ?? dynamic ?? "";
    const isOurs = specifier.startsWith(".");
    return { from: file, to: isOurs ? normalize(join(dirname(file), specifier)) : specifier, isOurs, isType: type !== undefined };
  });
}

/** Some path that ends where it began, or undefined. */
function findCycle(graph: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  function visit(file: string, path: readonly string[]): readonly string[] | undefined {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  }
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}
