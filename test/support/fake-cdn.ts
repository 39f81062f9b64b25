/** FakeCdn: the second origin that blobs are redirected to, with signed URLs that end, and no patience for an Authorization header. */
import { contentReply } from "./content-reply.ts";
import type { Quirk } from "./quirks.ts";
import { pathOf, RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";

export class FakeCdn extends RecordingServer {
  /** Signed URLs of others' methods are refused: HEAD is 403. */
  refusesHead = false;
  /** What a URL that has ended answers. */
  expiredStatus: 401 | 403 | 410 = 403;
  /** How often a URL may be used before it ends. */
  usesMax = Infinity;
  readonly #signed = new Map<string, { readonly content: Uint8Array; readonly contentType: string; uses: number; expired: boolean }>();

  /** A new URL for `content`, at a path that holds `name`. */
  sign(name: string, content: Uint8Array, contentType: string): string {
    const url = `/signed/${name}?signature=${this.#signed.size + 1}`;
    this.#signed.set(url, { content, contentType, uses: 0, expired: false });
    return `${this.url}${url}`;
  }

  /** Ends every URL given so far. */
  expireAll(): void {
    // What they led to is not kept: nobody gets it any more.
    for (const [url, entry] of this.#signed) if (!entry.expired) this.#signed.set(url, { ...entry, content: new Uint8Array(), expired: true });
  }

  /** True when any request brought credentials along: it never may. */
  get authorizationSeen(): boolean {
    return this.log.some((request) => request.headers.authorization !== undefined || request.headers.cookie !== undefined);
  }

  protected override classify(path: string): { kind: "blob" | "other"; repository: undefined } {
    return { kind: path.startsWith("/signed/") ? "blob" : "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest, quirk: Quirk): Reply {
    const entry = this.#signed.get(request.url);
    if (!entry) return { status: 404, body: `nothing at ${pathOf(request.url)}` };
    if (request.headers.authorization !== undefined) return { status: 400, body: "only one way to authenticate is allowed" };
    if (request.method === "HEAD" && this.refusesHead) return { status: 403, body: "signature does not match" };
    if (entry.expired || entry.uses >= this.usesMax) return { status: this.expiredStatus, body: "request has expired" };
    entry.uses++;
    return contentReply(request, entry.content, { "content-type": entry.contentType }, quirk);
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeCdn(options: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeCdn> {
  const cdn = new FakeCdn(options);
  await cdn.accept();
  return cdn;
}
