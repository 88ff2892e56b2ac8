import { newRequestId } from "@tandem/dbproxy";
import { expect, it } from "vitest";
import { newIds } from "./derived-id.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

it("gives the ids of a request again to each of its copies, and to nobody else", () => {
  const requestId = newRequestId();
  const id = newIds({ caller: "app", requestId })("contact");
  expect(newIds({ caller: "app", requestId })("contact")).toBe(id);
  const others = [
    newIds({ caller: "app", requestId })("channel email a@b.example"),
    newIds({ caller: "other", requestId })("contact"),
    newIds({ caller: "app", requestId: newRequestId() })("contact"),
  ];
  expect(new Set([requestId, id, ...others]).size).toBe(5);
  for (const made of [id, ...others]) expect(made).toMatch(UUID_V7);
});

it("gives others each time where the request has no id", () => {
  const idOf = newIds({ caller: "app", requestId: undefined });
  expect(idOf("contact")).toMatch(UUID_V7);
  expect(idOf("contact")).not.toBe(idOf("contact"));
});
