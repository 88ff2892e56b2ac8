import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { parsePageToken, toPageToken } from "./page-token.ts";

it("leads back to the contact that it was made for", () => {
  const id = randomUUID();
  expect(parsePageToken(toPageToken(id))).toBe(id);
});

const token = toPageToken("0198e5a0-0000-7000-8000-00000000ada0");
it.each([
  ["another one's", Buffer.from("offset=100").toString("base64url")],
  ["cut off", token.slice(0, -2)],
  ["padded", `${token}==`],
  ["changed", `${token[0]}${token[1] === "A" ? "B" : "A"}${token.slice(2)}`],
  ["an id", "0198e5a0-0000-7000-8000-00000000ada0"],
  ["of another version", Buffer.from(token, "base64url").fill(2, 0, 1).toString("base64url")],
])("is refused where it is %s", (_, given) => {
  expect(() => parsePageToken(given)).toThrow(
    expect.objectContaining({
      reason: "INVALID_REQUEST",
      fields: [expect.objectContaining({ field: "page_token" })],
    }),
  );
});
