/** `ociregistry config schema` */
import { configJsonSchema } from "../config/vocabulary.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";

export async function configSchema({ io }: { readonly io: CommandIo }): Promise<number> {
  io.writeOut(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
  return exitCodes.done;
}
