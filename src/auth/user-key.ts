/** What somebody's records are kept under: names of people are no names for files, and say who is known here. */
import { hash } from "node:crypto";

/** The same for the same name; 32 hexadecimal digits. */
export function userKeyOf(user: string): string {
  return hash("sha256", user, "hex").slice(0, 32);
}
