/**
 * Secret traces: whether anything that was secret in a run can be read anywhere afterwards: as it was, in a URL, or in base64, alone or
 * as part of something longer (`user:secret`).
 */
import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { OurServer } from "./our-server.ts";

/** Which of `secrets` stand in anything that the server printed, shows, answered (`answers`) or wrote. Throws for one too short to be told from chance. */
export async function secretsLeftBy(server: OurServer, secrets: readonly string[], { answers = [] }: { answers?: readonly string[] } = {}): Promise<string[]> {
  const short = secrets.find((secret) => secret.length < secretLengthMin);
  if (short !== undefined) throw new Error(`"${short}" is too short to look for`);
  const traces = await tracesOf(server);
  return secrets.filter((secret) => isIn([...traces, ...answers].join("\n"), secret));
}

/** True when `text` holds the secret in any spelling. */
export function isIn(text: string, secret: string): boolean {
  return spellingsOf(secret).some((spelling) => text.includes(spelling));
}

const secretLengthMin = 6;

/** All that the process said, shows and wrote, the names of its files included. */
async function tracesOf({ url, process: running, imagePath }: OurServer): Promise<readonly string[]> {
  const requestId = randomUUID();
  const ask = async (path: string): Promise<string> => (await fetch(url + path, { headers: { connection: "close", "x-request-id": requestId } })).text();
  const pages = await Promise.all(["/metrics", "/readyz"].map(ask));
  await ask("/v2/");
  await running.waitForOutput(new RegExp(requestId)); // Lines come in their order: all that was said before is here too.
  const entries = await readdir(imagePath, { recursive: true, withFileTypes: true });
  const files = await Promise.all(entries.filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name), "latin1")));
  return [running.output, ...pages, ...files, ...entries.map(({ name }) => name)];
}

function spellingsOf(secret: string): readonly string[] {
  const inBase64 = [0, 1, 2].map((offset) => base64Within(secret, offset));
  const plain = [secret, JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString("latin1"), ...inBase64];
  return plain.flatMap((spelling) => [spelling, encodeURIComponent(spelling), spelling.replaceAll("+", "-").replaceAll("/", "_")]);
}

/** The characters that a secret has in the base64 of anything that it stands in, `offset` bytes (modulo 3) behind its beginning. */
function base64Within(secret: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
  return bytes.toString("base64").slice(Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6));
}
