import { describe, expect, it } from "vitest";
import { startEcho } from "./testing/echo-server.ts";
import { text, toText } from "./testing/echo-service.ts";

async function* texts(...values: string[]): AsyncGenerator<{ value: Uint8Array }> {
  for (const value of values) yield text(value);
}

describe("the four kinds of calls", () => {
  it("answers one request with one response", async () => {
    await using echo = await startEcho();
    expect(toText(await echo.client.one(text("hello")))).toBe("hello");
  });

  it("answers one request with many responses", async () => {
    await using echo = await startEcho({
      handlers: {
        async *down(request) {
          for (const letter of toText(request)) yield text(letter);
        },
      },
    });
    const received: string[] = [];
    for await (const response of echo.client.down(text("abc"))) received.push(toText(response));
    expect(received).toEqual(["a", "b", "c"]);
  });

  it("answers many requests with one response", async () => {
    await using echo = await startEcho();
    expect(toText(await echo.client.up(texts("a", "b", "c")))).toBe("abc");
  });

  it("answers many requests with many responses", async () => {
    await using echo = await startEcho();
    const received: string[] = [];
    for await (const response of echo.client.both(texts("a", "b"))) received.push(toText(response));
    expect(received).toEqual(["a", "b"]);
  });
});
