/**
 * A registry that has turned against its owner, or somebody in its place: wherever it leads, no credential follows. Each kind of
 * credential, in a process of ours, at a registry that it has opened before.
 */
import { describe, expect, test } from "vitest";
import type { Quirk } from "../support/quirks.ts";
import { RecordingServer, type RecordedRequest, type Reply } from "../support/recording-server.ts";
import { isIn, secretsLeftBy } from "../support/secret-traces.ts";
import { credentialKinds } from "./private-upstreams.ts";

/** Whoever comes is asked for all sorts of credentials. */
class Stranger extends RecordingServer {
  protected override classify(): { kind: "other"; repository: undefined } {
    return { kind: "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const challenges = ['Basic realm="stranger"', `Bearer realm="${this.url}/token",service="stranger"`];
    return { status: request.url.includes("/token") ? 200 : 401, headers: { "www-authenticate": challenges }, body: '{"token":"a-strangers-token"}' };
  }

  /** Everything that was ever sent to it. */
  get heard(): string {
    return this.log.map(({ line, headers, body }) => `${line}\n${JSON.stringify(headers)}\n${body}`).join("\n");
  }
}

/** How it leads to a stranger, by the repository that is asked for. */
const ways: readonly { readonly repository: string; readonly quirk: (host: string) => Quirk }[] = [
  { repository: "evil/realm-at-another-port", quirk: (host) => realm(`http://${host}/token`) },
  { repository: "evil/realm-of-another-name", quirk: (host) => realm(`http://${host.replace("127.0.0.1", "localhost")}/token`) },
  { repository: "evil/realm-with-a-user", quirk: (host) => realm(`http://user@${host}/token`) },
  { repository: "evil/both", quirk: (host) => ({ status: 401, headers: { "www-authenticate": [`Bearer realm="http://${host}/token"`, "Basic realm=x"] } }) },
  { repository: "evil/redirect", quirk: (host) => ({ redirectTo: `http://${host}/v2/x/manifests/1` }) },
  {
    repository: "evil/redirect-by-name",
    quirk: (host) => ({ redirectTo: `http://${host.replace("127.0.0.1", "localhost")}/v2/x/manifests/1`, redirectStatus: 302 }),
  },
  { repository: "evil/redirect-to-a-token", quirk: (host) => ({ redirectTo: `http://${host}/token?service=stranger`, redirectStatus: 303 }) },
];

function realm(url: string): Quirk {
  return { status: 401, headers: { "www-authenticate": `Bearer realm="${url}",service="stranger",scope="repository:evil:pull"` } };
}

async function startStranger(): Promise<Stranger> {
  const stranger = new Stranger();
  await stranger.accept();
  return stranger;
}

describe.each(credentialKinds)("with $name", ({ start }) => {
  test("no stranger hears a byte of the credential, wherever the registry leads", async () => {
    await using set = await start();
    await using stranger = await startStranger();
    const { server, good } = set;
    const pull = async (repository: string): Promise<readonly [number, string | null]> => {
      const response = await fetch(`${server.url}/v2/${good.host}/${repository}/manifests/1`, { headers: { connection: "close" } });
      await response.arrayBuffer();
      return [response.status, response.headers.get("www-authenticate")];
    };
    expect(await pull("team/app")).toEqual([200, null]);
    for (const { repository, quirk } of ways) good.when({ repository }, quirk(stranger.host));
    for (const { repository } of ways) {
      const [status, challenge] = await pull(repository);
      expect([403, 502], repository).toContain(status);
      expect(challenge, repository).toBeNull();
      expect(
        good.log.some((request) => request.repository === repository),
        repository,
      ).toBe(true);
    }
    // Redirects are followed, and by nobody in particular; tokens are not asked for.
    expect(new Set(stranger.requests)).toEqual(
      new Set(["HEAD /v2/x/manifests/1", "GET /v2/x/manifests/1", "HEAD /token?service=stranger", "GET /token?service=stranger"]),
    );
    expect(stranger.log.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    expect(set.secrets().filter((secret) => isIn(stranger.heard, secret))).toEqual([]);
    expect(await secretsLeftBy(server, set.secrets())).toEqual([]);
  });
});
