/** Credentials of clouds, each with a process of ours that has nothing else configured: what comes out of it, and what never does. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createTestAuthority } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { startFakeAcr } from "../support/fake-acr.ts";
import { startFakeEntra } from "../support/fake-entra.ts";
import { newServiceAccountKey, startFakeGoogle } from "../support/fake-google.ts";
import { startFakeOauth2 } from "../support/fake-oauth2.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { secretsLeftBy } from "../support/secret-traces.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const secret = "cl1ent~secret/of+a app";
const account = "puller@project.iam.gserviceaccount.com";
/** Nothing of this machine's own clouds and proxies. */
const nowhere = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /^(AZURE|GOOGLE|GCE|CLOUDSDK)_|_proxy$/i.test(name))
    .map((name): [string, undefined] => [name, undefined]),
);

interface Pulled {
  readonly status: number;
  readonly challenge: string | null;
}

async function pull({ url }: OurServer, registry: string): Promise<Pulled> {
  const response = await fetch(`${url}/v2/${registry}/team/app/manifests/1`, { headers: { connection: "close" } });
  await response.arrayBuffer();
  return { status: response.status, challenge: response.headers.get("www-authenticate") };
}

test("Azure: a service principal pulls, a wrong secret is 403 in one line, and no secret shows anywhere", async () => {
  await using folder = await temporaryFolder();
  const authority = await createTestAuthority(folder.path);
  await using entra = await startFakeEntra({ tls: await authority.issue() });
  await using good = await startFakeAcr();
  await using bad = await startFakeAcr();
  entra.onIssue = (token) => good.admits.add(token);
  entra.servicePrincipals.push({ clientId: "app", secret });
  good.putImage("team/app", "1");
  const options = { tenantId: entra.tenant, clientId: "app", authorityHost: entra.url };
  const registry = (name: string, clientSecretFromEnv: string): object => ({
    name,
    scheme: "http",
    auth: { token: { provider: "azure", providerOpts: { ...options, clientSecretFromEnv } } },
  });
  await using server = await startOurServer({
    folder: folder.path,
    config: { logLevel: "debug", registries: [registry(good.host, "RIGHT"), registry(bad.host, "WRONG")] },
    env: { ...nowhere, HOME: folder.path, NODE_EXTRA_CA_CERTS: authority.certificateFile, RIGHT: secret, WRONG: "wr0ng~secret" },
  });
  expect((await pull(server, good.host)).status).toBe(200);
  expect(await pull(server, bad.host)).toEqual({ status: 403, challenge: null });
  expect(server.process.output).toContain("clientSecret is wrong");
  expect(bad.requests).toEqual([]);
  const bought = ["access_token", "refresh_token"].map(
    (field) => good.log.map(({ body }) => new URLSearchParams(body).get(field)).find((token) => token) ?? "",
  );
  const shown = good.log.flatMap(({ headers }) => headers.authorization?.replace(/^Bearer /, "") ?? []);
  expect(bought.every((token) => token !== "")).toBe(true);
  expect(shown).not.toEqual([]);
  expect(await secretsLeftBy(server, [secret, "wr0ng~secret", ...bought, ...shown])).toEqual([]);
});

test("Google: a service account's key pulls, a deleted one is 403 in one line, and no secret shows anywhere", async () => {
  await using folder = await temporaryFolder();
  const authority = await createTestAuthority(folder.path);
  await using google = await startFakeGoogle({ tls: await authority.issue({ names: ["oauth2.googleapis.com"] }) });
  await using proxy = await startConnectProxy(google.port);
  await using upstream = await startFakeUpstream();
  await using other = await startFakeUpstream();
  const [known, deleted] = [newServiceAccountKey(account), newServiceAccountKey(account)];
  google.serviceAccounts.set(account, known.publicKey);
  upstream.authentication = { kind: "basic", name: "oauth2accesstoken", password: "ya29.fake-1" };
  upstream.putImage("team/app", "1");
  const registry = async (name: string, file: object): Promise<object> => {
    const keyFile = join(folder.path, `${name}.json`);
    await writeFile(keyFile, JSON.stringify(file), { mode: 0o600 });
    return { name, scheme: "http", auth: { token: { provider: "gcp", providerOpts: { keyFile } } } };
  };
  await using server = await startOurServer({
    folder: folder.path,
    config: { logLevel: "debug", registries: [await registry(upstream.host, known.file), await registry(other.host, deleted.file)] },
    env: { ...nowhere, HOME: folder.path, NODE_EXTRA_CA_CERTS: authority.certificateFile, HTTPS_PROXY: proxy.url },
  });
  expect((await pull(server, upstream.host)).status).toBe(200);
  expect(await pull(server, other.host)).toEqual({ status: 403, challenge: null });
  expect(server.process.output).toContain("was the key deleted");
  expect(other.requests).toEqual([]);
  const lines = [known, deleted].map(({ privateKey }) => privateKey.split("\n")[1] ?? "");
  const assertions = google.log.map(({ body }) => new URLSearchParams(body).get("assertion") ?? "");
  expect(await secretsLeftBy(server, ["ya29.fake-1", ...lines, ...assertions])).toEqual([]);
});

test("OAuth2: a client's secret pulls, a wrong one is 403 in one line, an endpoint that is away 502, and no secret shows anywhere", async () => {
  await using folder = await temporaryFolder();
  await using idp = await startFakeOauth2();
  await using away = await startFakeOauth2();
  await using upstream = await startFakeUpstream();
  await using wrong = await startFakeUpstream();
  await using late = await startFakeUpstream();
  idp.clients.set("puller", secret);
  upstream.putImage("team/app", "1");
  upstream.authentication = { kind: "basic", name: "robot", password: "access-1" };
  away.when({}, { status: 503 });
  const registry = (name: string, tokenUrl: string, clientSecret: string): object => ({
    name,
    scheme: "http",
    auth: { token: { provider: "oauth2", providerOpts: { tokenUrl, clientId: "puller", clientSecret, user: "robot" } } },
  });
  const registries = [
    registry(upstream.host, idp.tokenUrl, secret),
    registry(wrong.host, idp.tokenUrl, "wr0ng&secret"),
    registry(late.host, away.tokenUrl, secret),
  ];
  await using server = await startOurServer({ folder: folder.path, config: { logLevel: "debug", registries }, env: nowhere });
  expect((await pull(server, upstream.host)).status).toBe(200);
  expect(await pull(server, wrong.host)).toEqual({ status: 403, challenge: null });
  expect(server.process.output).toContain("check clientId and clientSecret");
  expect(await pull(server, late.host)).toEqual({ status: 502, challenge: null });
  expect(server.process.output).toContain(`${away.host} answered 503`);
  expect([...wrong.requests, ...late.requests]).toEqual([]);
  expect(await secretsLeftBy(server, ["listening", "ociregistry_fills"])).toEqual(["listening", "ociregistry_fills"]);
  expect(await secretsLeftBy(server, [secret, "wr0ng&secret", "access-1"])).toEqual([]);
});
