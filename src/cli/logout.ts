/** `ociregistry logout` */
import { systemClock } from "../oci/clock.ts";
import type { ShownLogin } from "./auth-file-text.ts";
import { dropLogin, findKeptLogins } from "./auth-files.ts";
import { exitCodes } from "./command-io.ts";
import { errorLines } from "./error-lines.ts";
import { authPlaces, readAuthority, type LoginPlaceOptions } from "./login.ts";
import { LoginServer } from "./login-server.ts";
import { parseRegistryAddress } from "./registry-address.ts";
import { untilStopped } from "./until-stopped.ts";

/**
 * Takes out what docker and podman would show to the registry, and ends what of it is an API key; other passwords are the person's own. 1 when
 * something could not be taken out, or a key not be ended. Throws misuses, and the system's error for `caFile`.
 */
export async function logout(where: LoginPlaceOptions): Promise<number> {
  const { io, clock = systemClock } = where;
  const { origin, host } = parseRegistryAddress(where.server, { plainHttp: where.plainHttp ?? false });
  const server = new LoginServer({ origin, authority: await readAuthority(where.caFile), environment: io.environment });
  using stopping = untilStopped(io);
  const { signal } = stopping;
  const store = { environment: io.environment, clock, signal };
  const places = authPlaces(where);
  const keys = new Map<string, ShownLogin>();
  let [code, dropped]: [number, number] = [exitCodes.done, 0];
  for (const place of places) {
    try {
      for (const kept of await findKeptLogins(place, host, store)) if (isKey(kept.secret)) keys.set(kept.secret, kept);
      if (!(await dropLogin(place, host, store))) continue;
      dropped++;
      io.writeError(`taken out: ${place.path}\n`);
    } catch (error) {
      signal.throwIfAborted();
      // One that cannot be had keeps nobody logged in by the other.
      for (const line of errorLines(error)) io.writeError(`ociregistry: ${line}\n`);
      code = exitCodes.failed;
    }
  }
  if (dropped > 0) io.writeOut(`logged out of ${host}\n`);
  else if (code === exitCodes.done) io.writeError(`nothing is kept for ${host} in ${places.map(({ path }) => path).join(" and ")}\n`);
  for (const key of keys.values()) {
    try {
      await server.end(key, signal);
      io.writeError("its key is ended\n");
    } catch (error) {
      io.writeError(`ociregistry: the key of ${key.user} is good until it is ended on the page of your keys: ${errorLines(error).join(" ")}\n`);
      code = exitCodes.failed;
    }
  }
  return code;
}

/** As keys are written. */
function isKey(secret: string): boolean {
  return /^zak_[0-9a-f]{32}$/.test(secret);
}
