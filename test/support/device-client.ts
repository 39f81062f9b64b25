/** A terminal that asks to log in, by hand: the requests of RFC 8628, and what is answered. */

const client_id = "ociregistry";
const grant_type = "urn:ietf:params:oauth:grant-type:device_code";

export interface AskedDevice {
  readonly deviceCode: string;
  /** As it is shown. */
  readonly userCode: string;
  readonly completeUrl: string;
}

export interface PolledDevice {
  readonly status: number;
  /** In the words of OAuth 2.0. */
  readonly error: string | undefined;
  readonly key: string | undefined;
  readonly username: string | undefined;
}

/** Asks for a code. Rejects unless it gets one. */
export async function askDevice(url: string, form: Readonly<Record<string, string>> = {}): Promise<AskedDevice> {
  const { status, body } = await post(`${url}/zot/auth/device`, { client_id, ...form });
  if (status !== 200) throw new Error(`no code: ${status} ${JSON.stringify(body)}`);
  return { deviceCode: body["device_code"] ?? "", userCode: body["user_code"] ?? "", completeUrl: body["verification_uri_complete"] ?? "" };
}

/** Asks what has become of it: once, since who asks twice within five seconds is told to wait. */
export async function pollDevice(url: string, device_code: string): Promise<PolledDevice> {
  const { status, body } = await post(`${url}/zot/auth/device/token`, { client_id, grant_type, device_code });
  return { status, error: body["error"], key: body["access_token"], username: body["username"] };
}

async function post(
  url: string,
  form: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly body: Readonly<Record<string, string>> }> {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(form), headers: { "user-agent": "ociregistry/test" } });
  return { status: response.status, body: (await response.json()) as Record<string, string> }; // What is asked of it is text.
}
