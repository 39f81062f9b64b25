import { expect, test } from "vitest";
import { matchesShaCrypt, parseShaCrypt, shaCryptSum } from "../../src/auth/sha-crypt.ts";
import { shaCryptLine } from "../support/htpasswd-lines.ts";
import { requirePrograms } from "../support/programs.ts";

/** Drepper's own. */
const published = [
  ["Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"],
  ["Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"],
  ["we have a short salt string but not a short password", "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/"],
  ["Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"],
] as const;

test.for(published)("%s gives the published sum", ([password, hash]) => {
  const read = parseShaCrypt(hash);
  expect(read && shaCryptSum(password, read.setting)).toBe(read?.sum);
  expect(read && matchesShaCrypt(`${password} `, read)).toBe(false);
});

test.runIf(requirePrograms("openssl"))("agrees with openssl on passwords of every length around a digest's and of other alphabets", () => {
  const lengths = [1, 15, 16, 31, 32, 33, 63, 64, 65, 95, 96, 127, 128, 200];
  const passwords = [...lengths.map((length) => "0123456789abcdef".repeat(13).slice(0, length)), "Schlüssel ключ 鍵", " trailing "];
  for (const [index, password] of passwords.entries()) {
    for (const kind of ["-5", "-6"] as const) {
      const salt = `salt./${index}`;
      const read = parseShaCrypt(shaCryptLine("", password, kind, { salt }).slice(1));
      expect(read?.setting.salt).toBe(salt);
      expect([password.length, kind, read && matchesShaCrypt(password, read)]).toEqual([password.length, kind, true]);
      expect(read && matchesShaCrypt(`${password}x`, read)).toBe(false);
    }
  }
});

test.for([
  ["cut off", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWE"],
  ["too long", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5x"],
  ["of no salt that crypt takes", "$5$salt:string$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"],
  ["of another kind", "$7$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"],
] as const)("a hash %s is none", ([, hash]) => {
  expect(parseShaCrypt(hash)).toBeUndefined();
});

test("a sum that is followed by another field is read without it", () => {
  const read = parseShaCrypt(`${published[0][1]}:x`);
  expect(read && matchesShaCrypt("Hello world!", read)).toBe(true);
});
