/** 30 spellings of one name, by every method of authentication: one decision for each who asks, and one name upstream. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { askRaw, type RawAnswer } from "../support/guarded-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { methods, type Caller, type CallersServer, type Shown } from "./spelling-callers.ts";
import { misspellings, spelled, spellings, spellingsElsewhere, type SpelledRequest } from "./spellings.ts";

test("there are 30 spellings, no two the same, and every method is there", () => {
  expect(new Set(spellings.map((spelling) => JSON.stringify(spelling))).size).toBe(30);
  expect(methods).toHaveLength(9);
});

for (const { name, programs, start } of methods) {
  describe.runIf(requirePrograms(...programs))(name, () => {
    const stack = new AsyncDisposableStack();
    let server: CallersServer;
    let digest = "";
    beforeAll(async () => {
      server = await start(stack);
      digest = server.guarded.upstream.putImage("library/app", "1").config;
    });
    afterAll(() => stack.disposeAsync());
    beforeEach(() => server.guarded.upstream.forget());

    function ask({ path, headers }: SpelledRequest, { authorization, client }: Shown = {}, method = "GET"): Promise<RawAnswer> {
      const { guarded, ca } = server;
      const tls = ca === undefined ? {} : { tls: { ca, ...(client ? { cert: client.certificate, key: client.key } : {}) } };
      const shown = { ...headers, ...(authorization === undefined ? {} : { authorization }) };
      return askRaw({ port: guarded.server.port, path, method, headers: shown, ...tls });
    }

    async function challengeAt(request: SpelledRequest): Promise<string> {
      return (await ask(request)).challenge ?? "";
    }

    /** What each route of the repository says. */
    async function statusesFor({ show }: Caller, spelling: (typeof spellings)[number]): Promise<ReadonlySet<number>> {
      const statuses = new Set<number>();
      for (const [method, rest] of [
        ["GET", "manifests/1"],
        ["HEAD", "manifests/1"],
        ["GET", `blobs/${digest}`],
        ["GET", "tags/list"],
        ["GET", `referrers/${digest}`],
      ] as const) {
        const request = spelled(spelling, rest);
        const shown = await show(() => challengeAt(request));
        statuses.add((await ask(request, shown, method)).status);
      }
      return statuses;
    }

    const written = spellings.map((spelling) => [`${spelling.path} ${JSON.stringify(spelling.headers ?? {})}`, spelling] as const);
    test.each(written)("%s gives one decision", async (_, spelling) => {
      const { upstream } = server.guarded;
      for (const caller of server.callers) {
        upstream.forget();
        expect([caller.who, ...(await statusesFor(caller, spelling))]).toEqual([caller.who, caller.status]);
        const names = new Set(upstream.requests.map((line) => line.replace(/^[A-Z]+ (.*)\/(manifests|blobs|tags|referrers)\/.*$/, "$1")));
        expect([caller.who, ...names], "asked upstream").toEqual(caller.status === 200 ? [caller.who, "/v2/library/app"] : [caller.who]);
      }
    });

    test("the same path of another registry is another name", async () => {
      for (const spelling of spellingsElsewhere) {
        const request = spelled(spelling, "manifests/1");
        for (const { who, show, elsewhere } of server.callers) {
          const shown = await show(() => challengeAt(request));
          expect([who, request, (await ask(request, shown)).status]).toEqual([who, request, elsewhere]);
        }
      }
    });

    test("what looks like a spelling and is none is nobody's, and is not asked for", async () => {
      for (const spelling of misspellings) {
        const request = spelled(spelling, "manifests/1");
        for (const { who, status, isLetIn, show } of server.callers) {
          const answer = await ask(request, await show(() => challengeAt(request)));
          expect([who, request, answer.status]).toEqual([who, request, isLetIn ? expect.toBeOneOf([400, 401, 403, 404]) : status]);
        }
      }
      expect(server.guarded.upstream.requests).toEqual([]);
    });
  });
}
