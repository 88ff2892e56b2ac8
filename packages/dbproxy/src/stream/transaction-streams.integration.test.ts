import { HandlerError, StatusCode } from "@tandem/rpc";
import { trackLeaks, waitFor } from "@tandem/testkit";
import { randomUUIDv7 } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { sql } from "../sql.ts";
import { startHeldOwner, waitForQuiet } from "../testing/held-owner.ts";
import { startRelayedOwner } from "../testing/relayed-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const steps = (text = "a") => [sql`INSERT INTO t VALUES (${text})`] as const;
const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

/** Sent without an id, it is not settled: what comes back is what the send came to. */
const bare = { validateOnly: true };

describe("transactions on a stream", () => {
  it("share one, each with its id, its time and the id of its call, and are answered in any order", async () => {
    await using owner = await startHeldOwner();
    const context = { callId: "call-2", deadline: undefined, signal: new AbortController().signal };
    const ends: string[] = [];
    const calls = [
      owner.db.transaction(steps(), { timeoutMs: 4_000, ...bare }).then(() => ends.push("first")),
      owner.db.transaction(steps(), { context }).then(() => ends.push("second")),
    ];
    const stream = await owner.stream(0);
    const [first, second] = await stream.received(2);
    expect(Number(first?.timeout?.seconds)).toBe(3);
    expect(first?.metadata).toEqual({});
    expect(second?.metadata).toEqual({ "tandem-call-id": "call-2" });
    expect(second?.id).not.toBe(first?.id);
    stream.answer(second?.id ?? 0n);
    await calls[1];
    stream.answer(first?.id ?? 0n);
    await Promise.all(calls);
    expect(ends).toEqual(["second", "first"]);
    expect(owner.streams).toHaveLength(1);
    expect(owner.transactions).toEqual([]);
  });

  it("of one moment go out in one message; the first says that several answers are read from one", async () => {
    await using owner = await startHeldOwner();
    const calls = Array.from({ length: 20 }, () => owner.db.transaction(steps()));
    const stream = await owner.stream(0);
    const entries = await stream.received(20);
    expect(stream.messages).toHaveLength(1);
    expect(stream.messages[0]?.readsMore).toBe(true);
    stream.answer(...entries.map(({ id }) => id));
    await Promise.all(calls);
    const again = Promise.all([owner.db.transaction(steps()), owner.db.transaction(steps())]);
    const later = await stream.received(22);
    expect(stream.messages).toHaveLength(2);
    expect(stream.messages[1]?.readsMore).toBe(false);
    stream.answer(...later.slice(20).map(({ id }) => id));
    await again;
  });

  it("go out together up to a size, and alone where one is larger", async () => {
    await using owner = await startHeldOwner();
    const sizes = [30_000, 30_000, 30_000, 100_000, 10];
    const calls = sizes.map((size) => owner.db.transaction(steps("x".repeat(size))));
    const stream = await owner.stream(0);
    const entries = await stream.received(sizes.length);
    expect(stream.messages.map(({ more }) => 1 + more.length)).toEqual([2, 1, 1, 1]);
    stream.answer(...entries.map(({ id }) => id));
    await Promise.all(calls);
  });

  it("are calls by themselves where they are too large for one", async () => {
    await using owner = await startHeldOwner();
    await owner.db.transaction(steps("x".repeat(1_000_000)));
    expect(owner.transactions).toHaveLength(1);
    expect(owner.streams).toHaveLength(0);
  });

  it("that can't be sent fail alone", async () => {
    await using owner = await startHeldOwner({ limits: { maxRequestBytes: 1_000 } });
    const large = failure(owner.db.transaction(steps("x".repeat(2_000))));
    const other = owner.db.transaction(steps());
    expect(await large).toMatchObject({ code: StatusCode.RESOURCE_EXHAUSTED, sent: "no" });
    const stream = await owner.stream(0);
    const [entry] = await stream.received(1);
    stream.answer(entry?.id ?? 0n);
    await other;
    expect(stream.entries).toHaveLength(1);
  });
});

describe("a transaction that its caller gives up", () => {
  it.each(["its signal", "its deadline"])(
    "by %s before it was written has not been sent, and never is",
    async (by) => {
      await using owner = await startHeldOwner();
      owner.relay.stall();
      const caller = new AbortController();
      const options = by === "its signal" ? { signal: caller.signal } : { timeoutMs: 200 };
      const call = failure(owner.db.transaction(steps(), options));
      const other = owner.db.transaction(steps("other"));
      setTimeout(() => caller.abort(), 100);
      expect(await call).toMatchObject({ name: "TransportError", sent: "no" });
      owner.relay.resume();
      const stream = await owner.stream(0);
      const [entry] = await stream.received(1);
      stream.answer(entry?.id ?? 0n);
      await other;
      expect(stream.entries).toHaveLength(1);
    },
  );

  it.each([
    { by: "its signal", code: StatusCode.CANCELLED },
    { by: "its deadline", code: StatusCode.DEADLINE_EXCEEDED },
  ])(
    "by $by afterwards may have been sent; the owner is told, and its answer is dropped",
    async ({ by, code }) => {
      await using owner = await startHeldOwner();
      const caller = new AbortController();
      const options = by === "its signal" ? { signal: caller.signal } : { timeoutMs: 300 };
      const began = performance.now();
      const call = failure(owner.db.transaction(steps(), { ...options, ...bare }));
      const other = owner.db.transaction(steps());
      const stream = await owner.stream(0);
      const [given, kept] = await stream.received(2);
      caller.abort();
      expect(await call).toMatchObject({ name: "TransportError", code, sent: "maybe" });
      if (by === "its deadline") {
        expect(performance.now() - began).toBeGreaterThan(295);
        expect(performance.now() - began).toBeLessThan(400);
      }
      const [, , cancelled] = await stream.received(3);
      expect(cancelled).toMatchObject({ id: given?.id, kind: { case: "cancel", value: true } });
      stream.answer(given?.id ?? 0n, kept?.id ?? 0n);
      await other;
    },
  );

  it("is one of as many as a message takes, where all of them are given up at once", async () => {
    await using owner = await startHeldOwner();
    const caller = new AbortController();
    const calls = Array.from({ length: 700 }, () =>
      failure(owner.db.transaction(steps(), { signal: caller.signal })),
    );
    const stream = await owner.stream(0);
    await stream.received(calls.length);
    caller.abort();
    await Promise.all(calls);
    const entries = await stream.received(2 * calls.length);
    expect(entries.filter(({ kind }) => kind.case === "cancel")).toHaveLength(calls.length);
    expect(Math.max(...stream.messages.map(({ more }) => 1 + more.length))).toBeLessThanOrEqual(256);
  });

  it("while the owner doesn't read has not been sent", async () => {
    await using owner = await startHeldOwner({}, (stream) => stream.pause());
    // What the link and grpc-js take in; behind that it waits here.
    const calls = Array.from({ length: 60 }, () => failure(owner.db.transaction(steps("x".repeat(50_000)))));
    const caller = new AbortController();
    const late = failure(owner.db.transaction(steps(), { signal: caller.signal }));
    await owner.stream(0);
    setTimeout(() => caller.abort(), 100);
    expect(await late).toMatchObject({ code: StatusCode.CANCELLED, sent: "no" });
    owner.db.close();
    const sent = (await Promise.all(calls)).map((error) => (error as { sent?: string }).sent);
    expect(new Set(sent)).toEqual(new Set(["maybe", "no"]));
  });
});

describe("a stream that breaks", () => {
  it("fails what may have arrived as the calls would fail", async () => {
    await using owner = await startHeldOwner();
    const calls = [1, 2].map(() => failure(owner.db.transaction(steps(), bare)));
    await (await owner.stream(0)).received(2);
    owner.relay.cut();
    for (const call of calls) {
      expect(await call).toMatchObject({
        name: "TransportError",
        code: StatusCode.UNAVAILABLE,
        sent: "maybe",
        method: "tandem.assistant.v1.DbProxy/Transaction",
      });
    }
  });

  it("fails what never left as the calls would fail, where nobody is there", async () => {
    await using owner = await startHeldOwner();
    owner.relay.refuse();
    const calls = [1, 2].map(() => failure(owner.db.transaction(steps())));
    for (const call of calls) {
      expect(await call).toMatchObject({ name: "TransportError", code: StatusCode.UNAVAILABLE, sent: "no" });
    }
  });

  it("leaves what was not written yet to another", async () => {
    let opened = 0;
    await using owner = await startHeldOwner({}, (stream) => {
      if (opened === 0) stream.pause();
      opened += 1;
    });
    const calls = Array.from({ length: 60 }, () =>
      failure(owner.db.transaction(steps("x".repeat(50_000)), bare)),
    );
    await owner.stream(0);
    // What the link and grpc-js take in has been written by then.
    await waitForQuiet(owner);
    owner.relay.cut();
    const other = await owner.stream(1);
    await other.received(1);
    await waitForQuiet(owner);
    other.answer(...other.entries.map(({ id }) => id));
    const ends = (await Promise.all(calls)).map((end) => (end as { sent?: string }).sent ?? "answered");
    expect(new Set(ends)).toEqual(new Set(["maybe", "answered"]));
    expect(ends.filter((end) => end === "answered")).toHaveLength(other.entries.length);
  });

  it("by a word of the owner's on it says of no transaction that nothing of it happened", async () => {
    await using owner = await startHeldOwner();
    const call = failure(owner.db.transaction(steps()));
    const stream = await owner.stream(0);
    await stream.received(1);
    stream.fail(new HandlerError({ reason: "UNAUTHENTICATED", message: "Your token was revoked." }));
    expect(await call).toMatchObject({ name: "HandlerError", reason: "UNAUTHENTICATED", outcome: "UNKNOWN" });
  });

  it("before it is taken says nothing of the sends before, as the owner's other words don't", async () => {
    const refused = new HandlerError({ reason: "SQL_INVALID", message: "Nothing here." });
    await using owner = await startRelayedOwner({
      client: { retryLimits: { maxRetries: 0 } },
      handlers: {
        transactionStream: () => {
          throw refused;
        },
        getReceipt: () => {
          throw new HandlerError({ reason: "HANDLER_FAILED", message: "Nobody knows." });
        },
      },
    });
    const first = failure(owner.db.transaction(steps()));
    expect(await first).toMatchObject({ reason: "SQL_INVALID", outcome: "NOT_COMMITTED" });
    const resend = failure(owner.db.transaction(steps(), { requestId: randomUUIDv7() }));
    expect(await resend).toMatchObject({ reason: "SQL_INVALID", outcome: "UNKNOWN" });
  });

  it("by its end alone leaves open what it didn't answer", async () => {
    await using owner = await startHeldOwner();
    const call = failure(owner.db.transaction(steps(), bare));
    const stream = await owner.stream(0);
    await stream.received(1);
    stream.end();
    expect(await call).toMatchObject({ name: "TransportError", code: StatusCode.UNAVAILABLE, sent: "maybe" });
  });

  it("by an answer that is none leaves open what is on it, and the next goes over another", async () => {
    await using owner = await startHeldOwner();
    const call = failure(owner.db.transaction(steps(), bare));
    const stream = await owner.stream(0);
    await stream.received(1);
    stream.sendBytes(Uint8Array.of(0xff, 0xff));
    expect(await call).toMatchObject({ name: "TransportError", code: StatusCode.INTERNAL, sent: "maybe" });
    const next = owner.db.transaction(steps());
    const other = await owner.stream(1);
    other.answer((await other.received(1))[0]?.id ?? 0n);
    await next;
  });

  it("does so for one transaction alone where that one's answer makes no sense", async () => {
    await using owner = await startHeldOwner();
    const calls = [1, 2].map(() => owner.db.transaction(steps(), bare));
    const stream = await owner.stream(0);
    const [one, other] = await stream.received(2);
    // Its response is a field that ends beyond it.
    stream.sendBytes(Uint8Array.of(0x08, Number(one?.id), 0x12, 0x02, 0x0a, 0x05));
    expect(await failure(calls[0] ?? Promise.resolve())).toMatchObject({
      code: StatusCode.INTERNAL,
      sent: "maybe",
    });
    stream.answer(other?.id ?? 0n);
    await calls[1];
  });
});

describe("an owner without streams", () => {
  it.each([
    { what: "is older than they are", error: undefined },
    {
      what: "has a rule for single calls alone",
      error: new HandlerError({ reason: "METHOD_NOT_ALLOWED", message: "Not you." }),
    },
  ])("that $what is called for each transaction, and asked again after a time", async ({ error }) => {
    let asked = 0;
    const refused = error ?? new HandlerError({ reason: "NOT_SUPPORTED", message: "Not yet." });
    await using owner = await startRelayedOwner({
      client: { streams: { withoutMs: 300 } },
      handlers: {
        transactionStream: () => {
          asked += 1;
          throw refused;
        },
      },
    });
    for (const _ of [1, 2, 3])
      await Promise.all([owner.db.transaction(steps()), owner.db.transaction(steps())]);
    expect(owner.transactions).toHaveLength(6);
    expect(owner.transactions.every(({ attempt }) => attempt === 0)).toBe(true);
    expect(asked).toBe(1);
    await waitFor(async () => (await owner.db.transaction(steps())) && asked === 2, {
      describe: "a second try",
    });
  });
});
