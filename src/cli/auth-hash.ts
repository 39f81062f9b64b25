/** `ociregistry auth hash` */
import { hash } from "bcryptjs";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";

export interface AuthHashOptions {
  readonly io: CommandIo;
  /** Unless given, only the hash is printed. */
  readonly user?: string;
}

/** Costs a guesser what it costs a login: about a tenth of a second. What `htpasswd` takes unless told otherwise is a thirtieth of it. */
const cost = 10;
/** bcrypt looks at no more. */
const passwordBytesMax = 72;

/** Prints a line for an htpasswd file: 0, or 1 without a password that can be used. Throws `ConfigError` for a name that no line can hold. */
export async function authHash({ io, user }: AuthHashOptions): Promise<number> {
  if (user !== undefined) checkUser(user);
  const password = await io.readHidden("Password: ");
  const problem = problemOf(password) ?? (io.isInteractive && (await io.readHidden("Again: ")) !== password ? "the two differ" : undefined);
  if (problem !== undefined) {
    io.writeError(`ociregistry: ${problem}\n`);
    return exitCodes.failed;
  }
  // The same hash under the name that Apache's programs know as well.
  const hashed = (await hash(password, cost)).replace(/^\$2b\$/, "$2y$");
  io.writeOut(user === undefined ? `${hashed}\n` : `${user}:${hashed}\n`);
  return exitCodes.done;
}

function checkUser(user: string): void {
  const isHeld = user.trim() !== "" && !user.startsWith("#") && !/[:\p{Cc}]/u.test(user);
  if (!isHeld) throw misuse(`--user: ${JSON.stringify(user)} cannot stand in a password file`);
}

function problemOf(password: string): string | undefined {
  if (password === "") return "the password is empty";
  const bytes = Buffer.byteLength(password);
  return bytes > passwordBytesMax ? `the password has ${bytes} bytes, and bcrypt looks at ${passwordBytesMax}` : undefined;
}
