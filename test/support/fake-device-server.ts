/** FakeDeviceServer: a registry that lets terminals in, as far as a terminal sees it: what it answers to each question is the test's to say. */
import { RecordingServer, type RecordedRequest, type Reply } from "./recording-server.ts";

export const fakeKey = `zak_${"0123456789abcdef".repeat(2)}`;

export class FakeDeviceServer extends RecordingServer {
  /** What it answers to the first request beside the codes; undefined leaves a field out. */
  begun: Record<string, unknown> = {};
  /** What the questions after that get, in order; the last one again and again. */
  readonly states: Reply[] = [];

  /** The forms that it was sent, in order. */
  get forms(): readonly Readonly<Record<string, string>>[] {
    return this.log.map(({ body }) => Object.fromEntries(new URLSearchParams(body)));
  }

  protected override classify(): { kind: "token"; repository: undefined } {
    return { kind: "token", repository: undefined };
  }

  protected override answer({ line }: RecordedRequest): Reply {
    if (line === "POST /zot/auth/device") return json(200, this.#codes());
    if (line === "POST /zot/auth/device/revoke") return json(200, {});
    if (line === "POST /zot/auth/device/token") return (this.states.length > 1 ? this.states.shift() : this.states[0]) ?? pending;
    return { status: 404, body: "no such page" };
  }

  #codes(): object {
    const page = `${this.url}/home/device`;
    const usual = { verification_uri: page, verification_uri_complete: `${page}?user_code=WDJB-MJHT`, expires_in: 600, interval: 0.01 };
    return { device_code: "d".repeat(43), user_code: "WDJB-MJHT", ...usual, ...this.begun };
  }
}

/** Listens. Dispose of it. */
export async function startFakeDeviceServer(...options: ConstructorParameters<typeof FakeDeviceServer>): Promise<FakeDeviceServer> {
  const server = new FakeDeviceServer(...options);
  await server.accept();
  return server;
}

export const pending = refusal("authorization_pending");
export const approved = json(200, { access_token: fakeKey, token_type: "Basic", expires_in: 7_776_000, username: "alice", key_id: "x" });

/** In OAuth 2.0's words. */
export function refusal(error: string, description = "because"): Reply {
  return json(400, { error, error_description: description });
}

export function json(status: number, body: object): Reply {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
