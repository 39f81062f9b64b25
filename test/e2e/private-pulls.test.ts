/** A private image, pulled with each kind of credential; what becomes of a wrong one; and what is left of either. */
import { describe, expect, test } from "vitest";
import { startFakeOauth2 } from "../support/fake-oauth2.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { secretsLeftBy } from "../support/secret-traces.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { credentialKinds } from "./private-upstreams.ts";

interface Pulled {
  readonly status: number;
  readonly code: unknown;
  /** Of the upstream's, none may ever come through: the client would show its own credential there, or ask the user for one. */
  readonly challenge: string | null;
  readonly body: string;
}

async function pull({ url }: OurServer, host: string): Promise<Pulled> {
  const response = await fetch(`${url}/v2/${host}/team/app/manifests/1`, { headers: { connection: "close" } });
  const body = await response.text();
  const { errors } = JSON.parse(body) as { errors?: readonly { code: unknown }[] }; // A manifest, or the API's errors.
  return { status: response.status, code: errors?.[0]?.code, challenge: response.headers.get("www-authenticate"), body };
}

/** What the log tells, once it does, of credentials that are of no use, each thing once: it may have been tried again meanwhile. */
async function problems({ process: running }: OurServer): Promise<readonly string[]> {
  await running.waitForOutput(/"msg":"credential (refused|not fetched)"\}\n/);
  const lines = running.output.split("\n").filter((line) => /"msg":"credential (refused|not fetched)"/.test(line));
  return [...new Set(lines.map((line) => String((JSON.parse(line) as { problem: unknown }).problem)))]; // A line of ours.
}

describe.each(credentialKinds)("with $name", ({ start, cure, isFoundOutBefore }) => {
  test("a private image is pulled; a wrong one is 403 and a line that says what to do; no secret is left anywhere", async () => {
    await using set = await start();
    const { server, good, bad } = set;
    expect(await pull(server, good.host)).toMatchObject({ status: 200, challenge: null });
    expect(good.log.at(-1)).toMatchObject({ kind: "manifest", headers: { authorization: expect.any(String) as string } });
    const refused = await pull(server, bad.host);
    expect(refused).toMatchObject({ status: 403, code: "DENIED", challenge: null });
    expect(await problems(server)).toEqual([expect.stringContaining(cure)]);
    expect(bad.requests.length === 0).toBe(isFoundOutBefore);
    expect(await secretsLeftBy(server, set.secrets(), { answers: [refused.body] })).toEqual([]);
  });
});

test("a token endpoint that is away is 502, told in the log, and the registry hears nothing", async () => {
  await using folder = await temporaryFolder();
  await using away = await startFakeOauth2();
  await using upstream = await startFakeUpstream();
  away.when({}, { status: 503 });
  const token = { provider: "oauth2", providerOpts: { tokenUrl: away.tokenUrl, clientId: "puller", clientSecret: "s3cret" } };
  await using server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", auth: { token } }] } });
  expect(await pull(server, upstream.host)).toMatchObject({ status: 502, challenge: null });
  expect(await problems(server)).toEqual([expect.stringContaining(`${away.host} answered 503`)]);
  expect(upstream.requests).toEqual([]);
});

test("what is looked for in what a server leaves would be found", async () => {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path });
  expect(await secretsLeftBy(server, ["listening", "ociregistry_fills", '"ready"', "VERSION", "answered"], { answers: ["answered"] })).toHaveLength(5);
});
