/**
 * A range storm: many clients fetch one cold blob as containerd does with several connections, each part by an open-ended Range that
 * the client cuts off after its part.
 */
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { pull } from "../support/raw-client.ts";
import { Throttle } from "../support/sending.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface RangeStormOptions {
  readonly blobBytes: number;
  readonly partBytes: number;
  readonly clients: number;
  /** Connections of one client. */
  readonly atOnce: number;
  readonly upstreamBytesPerSecond: number;
}

export interface RangeStormResult {
  /** Body bytes that the upstream sent, as a multiple of the blob's size. */
  readonly upstreamRatio: number;
  /** Clients that got every part, each byte of it right. */
  readonly exactClients: number;
  readonly ms: number;
}

/** Runs one storm against a server and an upstream of its own. */
export async function runRangeStorm({ blobBytes, partBytes, clients, atOnce, upstreamBytesPerSecond }: RangeStormOptions): Promise<RangeStormResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const content = seededBytes(blobBytes, "range storm");
  const path = `/v2/up/a/blobs/${upstream.putBlob("a", content)}`;
  upstream.when({ kind: "blob" }, { bytesPerSecond: new Throttle({ bytesPerSecond: upstreamBytesPerSecond }) });
  await using server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });

  async function isPartExact(offsetBytes: number): Promise<boolean> {
    const wantedBytes = Math.min(partBytes, blobBytes - offsetBytes);
    const part = await pull({
      host: server.host,
      path,
      headers: { range: `bytes=${offsetBytes}-` },
      expected: content,
      offsetBytes,
      abortAfterBytes: wantedBytes,
    });
    return part.status === 206 && part.isExact && part.receivedBytes >= wantedBytes;
  }

  async function isClientExact(): Promise<boolean> {
    let next = 0;
    let isExact = true;
    async function takeParts(): Promise<void> {
      for (let offsetBytes = next; offsetBytes < blobBytes; offsetBytes = next) {
        next += partBytes;
        if (!(await isPartExact(offsetBytes))) isExact = false;
      }
    }
    await Promise.all(Array.from({ length: atOnce }, takeParts));
    return isExact;
  }

  const startMs = performance.now();
  const verdicts = await Promise.all(Array.from({ length: clients }, isClientExact));
  await upstream.waitFor(() => upstream.bytesSent.total >= blobBytes, "the whole blob");
  return { upstreamRatio: upstream.bytesSent.total / blobBytes, exactClients: verdicts.filter(Boolean).length, ms: performance.now() - startMs };
}
