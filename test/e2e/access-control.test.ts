/** zot's decisions on repositories, over real sockets: who reads what, what the catalog shows to whom, and what is refused when it is loaded. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { numbersElsewhere, refusedConfigurations, zotConfigurations, zotDecisions, type ZotDecision } from "../auth/zot-decisions.ts";
import { startFakeIssuer } from "../support/fake-issuer.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { runProcess } from "../support/processes.ts";
import { ellipticKey, jwkOf, signToken } from "../support/signed-tokens.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

/** Not Docker Hub's: there a name of one component means another. */
const host = "registry.example";
const repositories = [...new Set(zotDecisions.map(({ path }) => path))];
const served = Object.keys(zotConfigurations).filter((name) => !refusedConfigurations[name]);
const htpasswd = { htpasswd: { path: "HTPASSWD" } };

interface Asking {
  readonly config: object;
  readonly users: readonly string[];
}

describe("zot's decisions", () => {
  let folder: TemporaryFolder;
  let imagePath = "";
  beforeAll(async () => {
    folder = await temporaryFolder();
    imagePath = join(folder.path, "store");
    // What a catalog is to show must be held: whoever may read nothing there is cannot bring it.
    await using open = await start({ config: {}, users: [] });
    for (const repository of repositories) expect((await open.get(`/v2/${repository}/manifests/1`)).status).toBe(200);
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());

  function start({ config, users }: Asking): Promise<GuardedServer> {
    const registries = (upstream: { readonly url: string }): readonly object[] => [{ name: host, endpoints: [upstream.url], originFallback: false }];
    return startGuardedServer({ repositories, users, config: { imagePath, defaultNs: host, ...config }, registries });
  }

  async function judge(guarded: GuardedServer, path: string, authorization: string | undefined) {
    const as = authorization === undefined ? {} : { authorization };
    const read = await guarded.get(`/v2/${path}/manifests/1`, as);
    const head = await guarded.get(`/v2/${path}/manifests/1`, { ...as, method: "HEAD" });
    const listed = await guarded.get("/v2/_catalog?n=1000", as);
    const { repositories: shown = [] } = (await listed.json()) as { repositories?: readonly string[] };
    return { statuses: [read.status, head.status], isListed: shown.includes(`${host}/${path}`) };
  }

  function expected({ user, actions, isListed }: Pick<ZotDecision, "user" | "actions" | "isListed">) {
    const status = actions.startsWith("+") ? 200 : user === "" ? 401 : 403;
    return { statuses: [status, status], isListed };
  }

  test("all of the list are here", () => {
    const numbers = new Set(zotDecisions.map(({ number }) => number));
    expect(Array.from({ length: 47 }, (_, index) => index + 1).filter((number) => !numbers.has(number))).toEqual(numbersElsewhere);
    const shown = [...served, ...Object.keys(refusedConfigurations)];
    expect(zotDecisions.filter(({ configuration }) => !shown.includes(configuration))).toEqual([]);
  });

  describe.each(served)("%s", (configuration) => {
    const rows = zotDecisions.filter((row) => row.configuration === configuration);
    let byPassword: GuardedServer;
    beforeAll(async () => {
      const users = [...new Set(rows.map(({ user }) => user))].filter((user) => user !== "");
      byPassword = await start({ config: { auth: htpasswd, accessControl: zotConfigurations[configuration] }, users });
    });
    afterAll(() => byPassword?.[Symbol.asyncDispose]());

    test.each(rows.filter(({ groups }) => groups.length === 0))("$number: '$user' on $path: $actions", async (row) => {
      expect(await judge(byPassword, row.path, row.user === "" ? undefined : basic(row.user))).toEqual(expected(row));
      expect(byPassword.upstream.requests).toEqual([]);
    });

    test.each(rows.filter(({ groups }) => groups.length > 0))("$number: '$user' of $groups on $path: $actions", async (row) => {
      await using byToken = await startByToken(zotConfigurations[configuration]);
      expect(await judge(byToken.guarded, row.path, byToken.tokenOf(row))).toEqual(expected(row));
    });
  });

  /** Groups come from an issuer of tokens. */
  async function startByToken(accessControl: object | undefined) {
    const stack = new AsyncDisposableStack();
    const key = ellipticKey();
    const provider = await startFakeIssuer();
    stack.defer(() => provider.close());
    provider.keys = [jwkOf(key, { kid: "1" })];
    const oidc = [{ issuer: provider.issuer, audiences: ["registry"], claimMapping: { username: "claims.sub", groups: "claims.groups" } }];
    const guarded = stack.use(await start({ config: { auth: { bearer: { oidc } }, accessControl }, users: [] }));
    const now = Math.floor(Date.now() / 1_000);
    return {
      guarded,
      tokenOf: ({ user, groups }: Pick<ZotDecision, "user" | "groups">) =>
        `Bearer ${signToken(key, { iss: provider.issuer, sub: user, aud: "registry", iat: now, exp: now + 300, groups }, { kid: "1" })}`,
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  }

  describe.each(Object.entries(refusedConfigurations))("%s, which says what cannot be meant", (configuration, { complaint, loadable }) => {
    const rows = zotDecisions.filter((row) => row.configuration === configuration);

    test(`${rows.map(({ number }) => number).join(", ")}: does not start, and says why`, async () => {
      const config = { port: 0, imagePath, accessControl: zotConfigurations[configuration] };
      const configFile = join(folder.path, `${configuration}.json`);
      await writeFile(configFile, JSON.stringify(config));
      const root = join(import.meta.dirname, "..", "..");
      const program = [join(root, "src", "main.ts"), "serve", "--config-file", configFile];
      const { code, stderr } = await runProcess(join(root, "node_modules", ".bin", "node"), program);
      expect([code, stderr]).toEqual([1, expect.stringMatching(complaint)]);
    });

    test.each(loadable ? rows : [])("$number: '$user' of $groups on $path, once read is added", async (row) => {
      await using byToken = await startByToken(loadable);
      // Who could write only may read then; a catalog shows administrators all in any case.
      const isGranted = row.actions.slice(1).includes("+");
      const actions = isGranted ? `+${row.actions.slice(1)}` : row.actions;
      expect(await judge(byToken.guarded, row.path, byToken.tokenOf(row))).toEqual(expected({ ...row, actions, isListed: row.isListed || isGranted }));
    });
  });
});

test("a page of the catalog is full of what may be seen", async () => {
  const accessControl = { repositories: { "see/**": { defaultPolicy: ["read"] } }, adminPolicy: { users: ["filler"], actions: ["read"] } };
  const held = ["a/hidden", "b/hidden", "see/1", "see/2", "see/3", "z/hidden"];
  await using guarded = await startGuardedServer({ repositories: held, users: ["zed", "filler"], config: { auth: htpasswd, accessControl } });
  for (const repository of held) expect((await guarded.get(`/v2/${repository}/manifests/1`, { user: "filler" })).status).toBe(200);
  const pages: unknown[] = [];
  for (let path: string | undefined = "/v2/_catalog?n=2"; path !== undefined;) {
    const page: Response = await guarded.get(path, { user: "zed" });
    pages.push(((await page.json()) as { repositories: unknown }).repositories);
    path = /^<(.+)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
  }
  expect(pages).toEqual([["docker.io/see/1", "docker.io/see/2"], ["docker.io/see/3"]]);
});
