/** Several credentials for one registry: each repository is asked with its own, and what one may do no other may. */
import { describe, expect, test } from "vitest";
import type { ScopedAuth } from "../../src/upstream/upstream-options.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

function scope(match: string, user: string, realmHosts: readonly string[] = []): ScopedAuth {
  const folder = match.replace("**", "");
  return { match, matches: (path) => path.startsWith(folder), auth: passwordAuth(user, `${user}'s`, realmHosts) };
}

function basic(user: string): string {
  return `Basic ${Buffer.from(`${user}:${user}'s`).toString("base64")}`;
}

describe("credentials by repository", () => {
  test("are those of the first scope that matches, else the registry's own", async () => {
    await using fake = await startFakeUpstream();
    for (const name of ["team-a/app", "team-b/app", "else/app"]) fake.putImage(name, "latest");
    fake.authentication = { kind: "basic", name: "a", password: "a's" };
    await using upstreams = startUpstreams([
      listedAs(fake, { auth: passwordAuth("own", "own's"), scopedAuth: [scope("team-a/**", "a"), scope("team-b/**", "b")] }),
    ]);
    await upstreams.getManifest(repositoryAt(fake.host, "team-a/app"), reference(), call());
    await failureOf(upstreams.getManifest(repositoryAt(fake.host, "team-b/app"), reference(), call()), "DENIED");
    await failureOf(upstreams.getManifest(repositoryAt(fake.host, "else/app"), reference(), call()), "DENIED");
    expect(new Set(fake.log.map(({ url, headers }) => [url.split("/")[2], headers.authorization].join(" ")))).toEqual(
      new Set(["team-a ", `team-a ${basic("a")}`, `team-b ${basic("b")}`, `else ${basic("own")}`]),
    );
  });

  test("go to no token service that only another scope allows", async () => {
    await using fake = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    for (const name of ["team-a/app", "team-b/app"]) fake.putImage(name, "latest");
    fake.authentication = { kind: "bearer", tokens };
    tokens.users.set("a", "a's");
    await using upstreams = startUpstreams([listedAs(fake, { scopedAuth: [scope("team-a/**", "a", [tokens.host]), scope("team-b/**", "b")] })]);
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host, "team-b/app"), reference(), call()));
    expect(error.message).toContain("realmHosts");
    expect(tokens.log).toEqual([]);
    await upstreams.getManifest(repositoryAt(fake.host, "team-a/app"), reference(), call());
    expect(tokens.log.map(({ headers }) => headers.authorization)).toEqual([basic("a")]);
  });
});
