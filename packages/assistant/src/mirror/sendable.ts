import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { MirrorItem } from "@tandem/postgres";
import { BegunCall, type Channel, HandlerError, StatusCode, TransportError } from "@tandem/rpc";

// What has no more signs has neither too many bytes for a message, at three a sign, nor too many fields, at one.
const SURELY_FITS = 100_000;

/**
 * The message by which an item is sent, or why it can't be: then that says nothing of the other items. It is
 * REQUEST_TOO_LARGE where no message holds it, INVALID_REQUEST where it can't be said in the contract's terms (a time
 * beyond its years), HANDLER_FAILED where the row is none that this code knows.
 */
export function sendable<I extends DescMessage>(
  item: MirrorItem,
  write: () => MessageShape<I>,
  { channel, method }: { readonly channel: Channel; readonly method: DescMethodUnary<I> },
): MessageShape<I> | HandlerError {
  try {
    const request = write();
    // To measure it costs as much as to send it.
    if ((item.state ?? "").length > SURELY_FITS)
      new BegunCall(channel, method, {}).encode(method.input, request);
    return request;
  } catch (cause) {
    const isTooLarge = cause instanceof TransportError && cause.code === StatusCode.RESOURCE_EXHAUSTED;
    const isUnsayable = cause instanceof RangeError;
    return new HandlerError({
      reason: isTooLarge ? "REQUEST_TOO_LARGE" : isUnsayable ? "INVALID_REQUEST" : "HANDLER_FAILED",
      message: `The row can't be sent: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    });
  }
}
