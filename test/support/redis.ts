/** Redis: Debian's, on a free port of 127.0.0.1, with a password and nothing kept on disk. */
import { findProgram } from "./programs.ts";
import { freePort, runProcess, startProcess } from "./processes.ts";

export const redisPassword = "redis-secret";

export interface Redis extends AsyncDisposable {
  readonly port: number;
  /** With the password. */
  readonly url: string;
  /** It keeps its connections and answers nothing, until it is to go on. */
  freeze(): void;
  goOn(): void;
  /** What `redis-cli` prints for these words. */
  command(...words: readonly string[]): Promise<string>;
}

/** Starts one, on `port` if given. Dispose of it: it is gone then, with all that it knew. Needs redis-server and redis-cli. */
export async function startRedis({ port }: { readonly port?: number } = {}): Promise<Redis> {
  const own = port ?? (await freePort());
  const running = await startProcess({
    command: findProgram("redis-server") ?? "redis-server",
    args: ["--port", String(own), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", redisPassword],
    ready: { output: /Ready to accept connections/ },
  });
  return {
    port: own,
    url: `redis://:${redisPassword}@127.0.0.1:${own}`,
    freeze: () => running.signal("SIGSTOP"),
    goOn: () => running.signal("SIGCONT"),
    async command(...words) {
      const { stdout } = await runProcess("redis-cli", ["-p", String(own), "--no-auth-warning", "-a", redisPassword, ...words]);
      return stdout.trim();
    },
    [Symbol.asyncDispose]: () => running.kill("SIGKILL"),
  };
}
