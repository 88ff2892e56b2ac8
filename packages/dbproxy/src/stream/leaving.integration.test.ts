import { StatusCode } from "@tandem/rpc";
import { trackLeaks, waitFor } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { sql } from "../sql.ts";
import { startHeldOwner, waitForQuiet } from "../testing/held-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const steps = (text = "a") => [sql`INSERT INTO t VALUES (${text})`] as const;
const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

describe("a stream that is asked to end", () => {
  it("takes no more, ends when all on it is answered, and the next goes over a new one", async () => {
    await using owner = await startHeldOwner();
    const first = owner.db.transaction(steps());
    const old = await owner.stream(0);
    await old.received(1);
    old.goAway();
    // One that is sent before this side has read that is still taken.
    const others = [failure(owner.db.transaction(steps()))];
    await waitFor(
      () => {
        if (owner.streams.length === 1) others.push(failure(owner.db.transaction(steps())));
        return owner.streams.length === 2;
      },
      { describe: "a new stream" },
    );
    const taken = old.entries.length;
    const renewed = await owner.stream(1);
    others.push(failure(owner.db.transaction(steps())));
    await renewed.received(2);
    expect(old.entries).toHaveLength(taken);
    expect(old.isHalfClosed).toBe(false);
    old.answer(...old.entries.map(({ id }) => id));
    await first;
    await old.halfClosed();
    renewed.answer(...renewed.entries.map(({ id }) => id));
    for (const other of await Promise.all(others)) expect(other).not.toBeInstanceOf(Error);
  });

  it("gives what it has not written to another", async () => {
    await using owner = await startHeldOwner({}, (stream) => stream.pause());
    const calls = Array.from({ length: 60 }, () => owner.db.transaction(steps("x".repeat(50_000))));
    const old = await owner.stream(0);
    old.goAway();
    const renewed = await owner.stream(1);
    for (const stream of [old, renewed]) stream.resume();
    await waitFor(() => old.entries.length + renewed.entries.length === calls.length, { describe: "all" });
    expect(renewed.entries.length).toBeGreaterThan(0);
    for (const stream of [old, renewed]) stream.answer(...stream.entries.map(({ id }) => id));
    await Promise.all(calls);
  });

  it.each(["DRAINING", "UNAUTHENTICATED"] as const)(
    "gives to another, once, what crossed that and was refused as %s",
    async (reason) => {
      await using owner = await startHeldOwner();
      const [moved, refused] = [1, 2].map(() => failure(owner.db.transaction(steps())));
      const old = await owner.stream(0);
      const [one, two] = await old.received(2);
      old.goAway();
      old.refuse(reason, one?.id ?? 0n, two?.id ?? 0n);
      const renewed = await owner.stream(1);
      const [first, second] = await renewed.received(2);
      expect(first?.kind).toEqual(one?.kind);
      renewed.answer(first?.id ?? 0n);
      renewed.goAway();
      renewed.refuse(reason, second?.id ?? 0n);
      expect(await moved).toMatchObject({ replayed: false });
      expect(await refused).toMatchObject({ reason });
      expect(owner.streams).toHaveLength(2);
    },
  );

  it("gives to another what its caller can still take back, and nobody else's with it", async () => {
    await using owner = await startHeldOwner({}, (stream) => {
      if (owner.streams.length === 2) stream.pause();
    });
    const caller = new AbortController();
    const moved = failure(owner.db.transaction(steps("moved"), { signal: caller.signal }));
    const old = await owner.stream(0);
    const [one] = await old.received(1);
    old.goAway();
    await waitForQuiet(owner);
    // The first of these has the id that the moved one had; what the link doesn't take waits here.
    const others = Array.from({ length: 60 }, () => failure(owner.db.transaction(steps("x".repeat(50_000)))));
    const renewed = await owner.stream(1);
    await waitForQuiet(owner);
    old.refuse("DRAINING", one?.id ?? 0n);
    await waitForQuiet(owner);
    caller.abort();
    expect(await moved).toMatchObject({ code: StatusCode.CANCELLED });
    renewed.resume();
    await renewed.received(others.length);
    await waitForQuiet(owner);
    const kinds = renewed.entries.map(({ kind }) => kind.case);
    expect(kinds).toEqual(others.map(() => "request"));
    renewed.answer(...renewed.entries.map(({ id }) => id));
    for (const other of await Promise.all(others)) expect(other).not.toBeInstanceOf(Error);
  });

  it("fails what ran there and was ended: whether it had an effect is not known", async () => {
    await using owner = await startHeldOwner({ retryLimits: { maxRetries: 1 } });
    const call = owner.db.transaction(steps());
    const old = await owner.stream(0);
    const [one] = await old.received(1);
    old.goAway();
    old.refuse("ended", one?.id ?? 0n);
    const renewed = await owner.stream(1);
    const [again] = await renewed.received(1);
    expect(again?.kind.value).toMatchObject({ attempt: 1 });
    renewed.answer(again?.id ?? 0n);
    await call;
  });

  it("fails what it refused before that", async () => {
    await using owner = await startHeldOwner();
    const call = failure(owner.db.transaction(steps()));
    const stream = await owner.stream(0);
    const [one] = await stream.received(1);
    stream.refuse("UNAUTHENTICATED", one?.id ?? 0n);
    expect(await call).toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(owner.streams).toHaveLength(1);
  });
});
