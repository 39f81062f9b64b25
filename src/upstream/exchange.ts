/** Exchange: one request on its way and its answer, as undici tells of them. */
import type { Dispatcher } from "undici";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { networkError } from "./errors.ts";
import { NetworkBody } from "./network-body.ts";

/** Blobs have connections of their own, so that they never starve what is short. */
export type Lane = "metadata" | "blob";

export interface HttpRequest {
  readonly url: URL;
  readonly method: "GET" | "HEAD" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly lane: Lane;
  /** Ends the wait for the answer's headers; never a body that has begun. */
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly url: URL;
  /** True when the address that answered is public, as far as is known. */
  readonly isPublicAddress: boolean;
  readonly body: NetworkBody;
  header(name: string): string | undefined;
}

/** How it went until the headers. `isConnected`: it had left on a connection. */
export type Outcome =
  { readonly kind: "answer"; readonly response: HttpResponse } | { readonly kind: "failure"; readonly error: unknown; readonly isConnected: boolean };

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly headersMs: number;
  readonly request: HttpRequest;
  readonly isPublic: () => boolean;
  /** Told once: the headers, or why there are none. */
  readonly settle: (outcome: Outcome) => void;
  /** Told when undici has done with it: the connection is free, or gone. */
  readonly done: () => void;
}

/** Until the headers are there, it waits for them; then it feeds the body. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #onAbort: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #body: NetworkBody | undefined;
  #gaveUp: Error | undefined;
  #cancelTimer: () => void = () => {};

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { signal } = options.request;
    this.#onAbort = () => this.#giveUp(signal.reason instanceof Error ? signal.reason : new OciError("UPSTREAM_TIMEOUT", "the request was given up"));
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#gaveUp) return controller.abort(this.#gaveUp);
    const { clock, headersMs, request } = this.#options;
    this.#cancelTimer();
    this.#cancelTimer = clock.after(headersMs, () => {
      this.#giveUp(new OciError("UPSTREAM_TIMEOUT", `no answer from ${request.url.host} within ${headersMs} ms`, { source: "upstream" }));
    });
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    if (status < 200) return;
    const { clock, request, isPublic } = this.#options;
    const body = new NetworkBody({ flow: controller, clock });
    this.#body = body;
    const response: HttpResponse = {
      status,
      url: request.url,
      isPublicAddress: isPublic(),
      body,
      header: (name) => {
        const value = headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      },
    };
    this.#settle({ kind: "answer", response });
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body?.push(chunk);
  }

  onResponseEnd(): void {
    this.#options.done();
    this.#body?.end();
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    this.#options.done();
    if (this.#body) return this.#body.fail(networkError(error, this.#options.request.url, true));
    this.#settle({ kind: "failure", error: this.#gaveUp ?? error, isConnected: this.#controller !== undefined });
  }

  #giveUp(error: Error): void {
    this.#gaveUp = error;
    this.#controller?.abort(error);
    this.#settle({ kind: "failure", error, isConnected: this.#controller !== undefined });
  }

  #settle(outcome: Outcome): void {
    this.#cancelTimer();
    this.#options.request.signal.removeEventListener("abort", this.#onAbort);
    this.#options.settle(outcome);
  }
}
