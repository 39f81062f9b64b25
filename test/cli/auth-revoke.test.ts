import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runLine } from "./captured-io.ts";

test.each(["auth revoke", "auth revoke --user alice --all"])("%s does not say whose, and ends nothing", async (line) => {
  const { code, out, errors } = await runLine(line);
  expect([code, out]).toEqual([2, ""]);
  expect(errors).toContain("--user NAME, or --all");
});

test("where nobody is logged in it says so", async () => {
  await using folder = await temporaryFolder();
  expect(await runLine(`auth revoke --user alice --image-path ${folder.path}`)).toEqual({ code: 0, out: "0 refresh tokens of alice revoked\n", errors: "" });
});
