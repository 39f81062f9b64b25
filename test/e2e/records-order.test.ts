/** What a power cut can leave of sessions and keys: somebody who was told of a key has it, and nobody has one that was revoked. */
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { basic, startGuardedServer } from "../support/guarded-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { traceFileCalls, type SystemCall } from "../support/system-calls.ts";

test.runIf(requirePrograms("htpasswd", "strace") && requireRoot())(
  "a key is on disk before it is told, and off it before it is told that it is revoked",
  async () => {
    await using guarded = await startGuardedServer({ users: ["alice"], config: { auth: { htpasswd: { path: "HTPASSWD" }, apikey: true } } });
    const { server, folder } = guarded;
    const url = `${server.url}/zot/auth/apikey`;
    const headers = { authorization: basic("alice") };
    const traced = async <Answer>(name: string, ask: () => Promise<Answer>): Promise<{ readonly answer: Answer; readonly calls: readonly SystemCall[] }> => {
      const trace = await traceFileCalls(server.process.pid, { file: join(folder, name) });
      const answer = await ask();
      return { answer, calls: await trace.stop() };
    };
    const making = await traced("making", () => fetch(url, { method: "POST", headers, body: JSON.stringify({ label: "laptop" }) }));
    const { uuid } = (await making.answer.json()) as { readonly uuid: string }; // One of its members.
    const hashed = uuid.replaceAll("-", "");
    const named = making.calls.find(({ name, paths }) => name.startsWith("rename") && paths[1]?.includes(`/api-keys/`) && paths[1]?.includes(`/${hashed}`));
    if (!named) throw new Error("no key was written");
    const [temporary = "", path = ""] = named.paths;
    const syncedAt = (calls: readonly SystemCall[], what: string): readonly SystemCall[] =>
      calls.filter((call) => call.name === "fsync" && call.paths[0] === what);
    expect(syncedAt(making.calls, temporary).some(({ endedAt }) => endedAt < named.beganAt)).toBe(true);
    // Its folder, and those above it that were new.
    for (const above of [dirname(path), dirname(dirname(path)), dirname(dirname(dirname(path)))])
      expect(
        syncedAt(making.calls, above).some(({ beganAt }) => beganAt > named.endedAt),
        above,
      ).toBe(true);

    const revoking = await traced("revoking", () => fetch(`${url}?id=${uuid}`, { method: "DELETE", headers }));
    expect(revoking.answer.status).toBe(200);
    const taken = revoking.calls.find(({ name, paths }) => name.startsWith("rename") && paths[0] === path);
    if (!taken) throw new Error("no key was taken away");
    expect(syncedAt(revoking.calls, dirname(path)).some(({ beganAt }) => beganAt > taken.endedAt)).toBe(true);
  },
);
