/** Fetched answers: what `auth` answers, in fetch's words, as an answer that goes out as every other does. */
import { apiVersionHeader, type Answer } from "./answer.ts";

/** The whole of a response, several cookies too. */
export async function answerOf(response: Response): Promise<Answer> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = [...response.headers].flatMap(([name, value]) => [name, value]);
  return { status: response.status, headers: [...headers, "Content-Length", String(body.byteLength), ...apiVersionHeader], body };
}
