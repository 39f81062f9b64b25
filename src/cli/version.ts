/** `ociregistry version` */
import { packageVersion } from "../config/package-version.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";

export async function version({ io }: { readonly io: CommandIo }): Promise<number> {
  io.writeOut(`ociregistry ${packageVersion()}\n`);
  return exitCodes.done;
}
