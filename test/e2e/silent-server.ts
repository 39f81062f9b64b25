/**
 * Two servers on one folder, one of them in a container that is frozen in the middle of its downloads: the other takes them over when it
 * has seen a minute of silence. Then the container wakes, with its files open.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, temporaryFiles, type OurServer } from "../support/our-server.ts";
import { pull, startPull, type PullResult } from "../support/raw-client.ts";
import { findStoreFlaws } from "../support/store-flaws.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface SilentServerResult {
  /** From the freezing until all its parts were the other's. */
  readonly takenOverMs: number;
  /** What the other then asked the upstream for, and how many bytes it was sent. */
  readonly requests: readonly string[];
  readonly sentBytes: number;
  /** Clients of the other, and those of the frozen server when it had woken, with every byte exact. */
  readonly exactAtOther: number;
  readonly exactAtWoken: number;
  /** Blobs that both serve exactly with the upstream gone. */
  readonly exactAlone: number;
  readonly flaws: readonly string[];
}

const mebibyte = 1024 * 1024;
export const silentBlobBytes = 4 * mebibyte;
export const silentArrivedBytes = 3 * mebibyte;
const takenOverWithinMs = 150_000;

/** Takes two minutes. Needs root and `unshare`. */
export async function runSilentServer({ fills }: { fills: number }): Promise<SilentServerResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const imagePath = join(folder.path, "store");
  const config = { imagePath, registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  const start = async (name: string, ownProcessIds: boolean): Promise<OurServer> => {
    await mkdir(join(folder.path, name));
    return await startOurServer({ folder: join(folder.path, name), config, ownProcessIds });
  };
  await using frozen = await start("frozen", true);
  await using other = await start("other", false);
  const inner = await onlyChildOf(frozen.process.pid);
  const blobs = Array.from({ length: fills }, (_, at) => {
    const expected = seededBytes(silentBlobBytes, `silent ${at}`);
    return { expected, path: `/v2/up/a/blobs/${upstream.putBlob("a", expected)}` };
  });
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob", ranged: false, times: fills }, { holdBody: { atBytes: silentArrivedBytes, until: gate.promise } });
  const begun = blobs.map((blob) => startPull({ host: frozen.host, ...blob, deadlineMs: 2 * takenOverWithinMs }));
  await Promise.all(begun.map((running) => running.received(silentArrivedBytes)));

  process.kill(inner, "SIGSTOP");
  const frozenAtMs = performance.now();
  const claimed = (names: readonly string[]): number => names.filter((name) => name.endsWith(".claimed")).length;
  await lookUntil(
    () => temporaryFiles(other),
    (names) => claimed(names) === fills,
    { waitMs: takenOverWithinMs, everyMs: 250 },
  );
  const takenOverMs = performance.now() - frozenAtMs;
  upstream.forget();
  const atOther = await Promise.all(blobs.map((blob) => pull({ host: other.host, ...blob })));
  const [requests, sentBytes] = [[...upstream.requests], upstream.bytesSent.total];

  upstream.forget();
  gate.resolve();
  await upstream.waitForBytes(fills * (silentBlobBytes - silentArrivedBytes)); // On their way, while nobody reads them.
  process.kill(inner, "SIGCONT");
  const atWoken = await Promise.all(begun.map(({ done }) => done));
  await upstream.refuse();
  const alone = await Promise.all(blobs.map((blob) => Promise.all([frozen, other].map(({ host }) => pull({ host, ...blob })))));
  process.kill(inner, "SIGTERM");
  await Promise.all([frozen.process.ended, other.process.kill()]);
  return {
    takenOverMs,
    requests,
    sentBytes,
    exactAtOther: atOther.filter(isWhole).length,
    exactAtWoken: atWoken.filter(isWhole).length,
    exactAlone: alone.filter((answers) => answers.every(isWhole)).length,
    flaws: await findStoreFlaws(imagePath),
  };
}

async function onlyChildOf(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim();
  if (!/^\d+$/.test(children)) throw new Error(`process ${pid} has not one child but "${children}"`);
  return Number(children);
}

function isWhole({ status, ending, isExact }: PullResult): boolean {
  return status === 200 && ending === "complete" && isExact;
}
