import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type GetReceiptRequest,
  type GetReceiptResponseSchema,
  ReceiptState,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, StatusCode } from "@tandem/rpc";
import { trackLeaks } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import type { Receipt } from "./receipts.ts";
import { newRequestId } from "./request-id.ts";
import { startRecordingOwner } from "./testing/recording-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

type Told = MessageInitShape<typeof GetReceiptResponseSchema>;

describe("a receipt", () => {
  it.each<{ told: Told; receipt: Receipt }>([
    { told: { state: ReceiptState.REFUSED }, receipt: { state: "refused" } },
    { told: { state: ReceiptState.NOT_FOUND }, receipt: { state: "not found" } },
    { told: { state: ReceiptState.EXPIRED }, receipt: { state: "expired" } },
    {
      told: {
        state: ReceiptState.COMMITTED,
        response: {
          results: [
            {
              changes: 2n,
              columns: [{ name: "id", type: "int8" }],
              rows: [{ values: [{ kind: { case: "intValue", value: 7n } }] }],
            },
            { changes: 1n },
          ],
          committedAt: { seconds: 1n },
          rowsOmitted: true,
          writeToken: "written",
        },
      },
      receipt: {
        state: "committed",
        result: {
          results: [
            { changes: 2n, columns: [{ name: "id", type: "int8" }], rows: [{ id: 7n }] },
            { changes: 1n, columns: [], rows: [] },
          ],
          replayed: true,
          rowsOmitted: true,
          committedAt: new Date(1_000),
          writeToken: "written",
        },
      },
    },
  ])("tells what became of a request: $receipt.state", async ({ told, receipt }) => {
    await using owner = await startRecordingOwner({ handlers: { getReceipt: () => told } });
    expect(await owner.db.receipt(newRequestId())).toEqual(receipt);
  });

  it("is asked for with a fence where it is to be final, and again where the answer was a passing failure", async () => {
    const asked: GetReceiptRequest[] = [];
    const getReceipt = (request: GetReceiptRequest): Told => {
      if (asked.push(request) === 2) throw new HandlerError({ reason: "DRAINING", message: "Not now." });
      return { state: ReceiptState.REFUSED };
    };
    await using owner = await startRecordingOwner({ handlers: { getReceipt } });
    const requestId = newRequestId();
    await owner.db.receipt(requestId);
    await owner.db.receipt(requestId, { fence: true });
    expect(asked).toMatchObject([
      { requestId, fence: false },
      { requestId, fence: true },
      { requestId, fence: true },
    ]);
  });

  it("that can't be had is an error, never a state", async () => {
    await using owner = await startRecordingOwner();
    await expect(owner.db.receipt(newRequestId())).rejects.toMatchObject({ reason: "NOT_SUPPORTED" });
  });

  it.each<{ what: string; told: Told }>([
    { what: "no state", told: {} },
    { what: "an unknown state", told: { state: 99 as never } },
    { what: "no result of a commit", told: { state: ReceiptState.COMMITTED } },
  ])("that makes no sense is an error of the transport: $what", async ({ told }) => {
    await using owner = await startRecordingOwner({ handlers: { getReceipt: () => told } });
    await expect(owner.db.receipt(newRequestId())).rejects.toMatchObject({
      name: "TransportError",
      code: StatusCode.INTERNAL,
      method: "tandem.assistant.v1.DbProxy/GetReceipt",
    });
  });

  it("is not asked for under what is no id", async () => {
    await using owner = await startRecordingOwner();
    await expect(owner.db.receipt("1")).rejects.toThrow(TypeError);
  });
});
