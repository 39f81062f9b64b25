/** The thread that reads the store for pages hangs, since the disk does: who looks at a page is told so in time, and pulls go on. */
import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startGuardedServer } from "../support/guarded-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { holdCalls } from "../support/system-calls.ts";

const html = { headers: { accept: "text/html" } };

/** The thread that has this name. */
async function threadOf(pid: number, name: string): Promise<number> {
  const ids = await readdir(`/proc/${pid}/task`);
  const named = await Promise.all(ids.map(async (id) => ((await readFile(`/proc/${pid}/task/${id}/comm`, "utf8")).includes(name) ? [Number(id)] : [])));
  const [found] = named.flat();
  if (found === undefined) throw new Error(`process ${pid} has no thread called ${name}`);
  return found;
}

test.runIf(requirePrograms("htpasswd", "strace") && requireRoot())(
  "who asks for pages of a disk that hangs is told so within seconds; pulls and other pages go on",
  async () => {
    await using guarded = await startGuardedServer({ repositories: ["team/app", "team/other"], config: {} });
    const { server } = guarded;
    const pullMs = async (): Promise<number> => {
      const askedMs = performance.now();
      expect((await guarded.get("/v2/team/app/manifests/1")).status).toBe(200);
      return performance.now() - askedMs;
    };
    await pullMs();
    expect((await guarded.get("/v2/team/other/manifests/1")).status).toBe(200);
    expect((await guarded.get("/home/repositories/docker.io/team/app", html)).status).toBe(200);
    const { pid } = server.process;
    await using hanging = await holdCalls(await threadOf(pid, "browsing"), { calls: ["openat", "getdents64"] });
    const hang = async (): Promise<{ readonly status: number; readonly text: string; readonly ms: number }> => {
      const askedMs = performance.now();
      const answer = await guarded.get("/home/repositories/docker.io/team/app", html);
      return { status: answer.status, text: await answer.text(), ms: performance.now() - askedMs };
    };
    const asking = Promise.all(Array.from({ length: 5 }, hang));
    let isAsking = true;
    void asking.finally(() => (isAsking = false)); // It is awaited below.
    let slowestMs = 0;
    while (isAsking) slowestMs = Math.max(slowestMs, await pullMs());
    for (const { status, text, ms } of await asking) {
      expect([status, /<h1>[^<]+<\/h1>/.test(text)]).toEqual([503, true]);
      expect(text).toContain("The disk does not answer just now.");
      expect(ms).toBeLessThan(15_000);
    }
    expect(slowestMs).toBeLessThan(2_000);
    // The next one has a thread of its own, which this disk lets read.
    expect((await hang()).status).toBe(200);
    expect((await guarded.get("/home", html)).status).toBe(200);
    await hanging[Symbol.asyncDispose]();
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
  },
  120_000,
);
