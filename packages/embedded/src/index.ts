export { EmbeddedServerError, type EmbeddedServerErrorReason } from "./embedded-server-error.ts";
export { type FolderLock, FolderLockedError, lockFolder } from "./folder-lock.ts";
export { guardGroup } from "./guard.ts";
export { findFreePort, isPortFree } from "./port.ts";
export {
  type EmbeddedServer,
  startEmbeddedServer,
  type StartOptions,
  type StopOptions,
} from "./start-embedded-server.ts";
