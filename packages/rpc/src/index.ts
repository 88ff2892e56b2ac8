export { BegunCall } from "./client/begun-call.ts";
export { type Channel, type ChannelOptions, createChannel } from "./client/channel.ts";
export type { CallOptions } from "./client/call-options.ts";
export { callEncoded } from "./client/unary-call.ts";
export { type Client, createClient } from "./client/client.ts";
export {
  type CallStream,
  type CallStreamEnd,
  type CallStreamListener,
  openCallStream,
} from "./client/call-stream.ts";
export {
  type DatabaseFault,
  type FieldViolation,
  HandlerError,
  type HandlerErrorOptions,
  type UnmetGuard,
} from "./errors/handler-error.ts";
export { doubleTag, lengthTag, varintTag, writeInt64 } from "./field-tags.ts";
export { type FieldRefusal, invalidField } from "./errors/invalid-field.ts";
export { encoding } from "./encode.ts";
export type { OutcomeName, Reason } from "./errors/reasons.ts";
export { cutToBytes, toStatusMessage } from "./errors/status-details.ts";
export { type Sent, TransportError } from "./errors/transport-error.ts";
export type { Health } from "./health/health-service.ts";
export {
  PeerNotReadyError,
  type PeerState,
  waitForPeer,
  type WaitForPeerOptions,
} from "./health/wait-for-peer.ts";
export type { StreamItem } from "./identity/admission.ts";
export { CallerNameError, checkCallerName } from "./identity/caller-name.ts";
export type { ChannelIdentityOptions, ChannelTls } from "./identity/channel-identity.ts";
export type { IdentityOptions } from "./identity/gate.ts";
export { isLoopback, PlaintextError } from "./identity/loopback.ts";
export { openRules } from "./identity/open-rules.ts";
export { allow, type Rule, type Rules } from "./identity/rules.ts";
export type { TlsFiles } from "./identity/tls-files.ts";
export { hashToken, parseTokens, type Token, type TokenProblem } from "./identity/tokens.ts";
export {
  CredentialsFileError,
  type WatchedFiles,
  watchFiles,
  type WatchOptions,
} from "./identity/watched-files.ts";
export { defaultRpcLimits, type RpcLimits } from "./limits.ts";
export { createLogger, type Logger, type LoggerOptions } from "./logger.ts";
export { type FieldReader, type MessageReader, reading } from "./message-reader.ts";
export {
  type PeerSettings,
  type ProcessIdentity,
  readCallers,
  readPeerIdentity,
} from "./process/identity-settings.ts";
export { type ProcessConfig, readProcessConfig } from "./process/process-config.ts";
export { runService, type ServiceOptions, type ServiceStart } from "./process/run-service.ts";
export { SettingError, Settings } from "./process/settings.ts";
export { EncodedMessage } from "./server/encoded-message.ts";
export { CALL_ID_HEADER, type HandlerContext } from "./server/handler-context.ts";
export type { Handlers, Interceptor } from "./server/handlers.ts";
export {
  type Item,
  type ItemAnswer,
  type ItemCall,
  type ItemListener,
  type ItemMethod,
  itemMethod,
} from "./server/item-call.ts";
export type { MessageStream, MessageStreamHandler, MessageStreamReader } from "./server/message-stream.ts";
export { type DrainResult, ListenError, RpcServer, type RpcServerOptions } from "./server/server.ts";
export type { ReadingHandler, UnaryHandler } from "./server/unary-handler.ts";
export { Roster, type Rostered } from "./roster.ts";
export { settlesWithin } from "./settles-within.ts";
export { createTimeSlices, type Interruptible, type TimeSlices } from "./time-slices.ts";
export { unlessAborted } from "./unless-aborted.ts";
export { whenAborted } from "./when-aborted.ts";
export { Metadata, status as StatusCode } from "@grpc/grpc-js";
