import { describe, expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import type { Quirk } from "../support/quirks.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, failureOf, listedAs, repositoryAt, startUpstreams } from "./asking.ts";

/** More than the connections that one upstream may have. */
const questions = 40;
const endless = { body: "x".repeat(100), silent: "after headers" } as const;

const answers: Readonly<Record<string, Quirk>> = {
  "a redirect that leads nowhere": { ...endless, status: 307, headers: { location: "ftp://127.0.0.1/" } },
  "a redirect without a place": { ...endless, status: 307 },
  "a refusal that asks for a token from nowhere": { ...endless, status: 401, headers: { "www-authenticate": 'Bearer realm="ftp://127.0.0.1/"' } },
};

describe.each(Object.entries(answers))("the body of %s", (_, quirk) => {
  test("that never ends takes no connection away for good", async () => {
    await using fake = await startFakeUpstream();
    fake.putImage("team/app", "latest");
    const clock = new TestClock();
    await using upstreams = startUpstreams([listedAs(fake)], { clock });
    const list = () => upstreams.listTags(repositoryAt(fake.host), call());
    const stop = fake.when({ kind: "tags" }, quirk);
    for (let asked = 1; asked <= questions; asked++) {
      await failureOf(list());
      if (asked % 10 === 0) await clock.advance(5_000);
    }
    stop();
    expect((await list()).tags).toEqual(["latest"]);
    await fake.waitFor(() => fake.connections.open <= 1, "connections that end");
  });
});
