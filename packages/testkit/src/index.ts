export {
  type CertificateFiles,
  createDevelopmentAuthority,
  type DevelopmentAuthority,
  type IssueOptions,
  writeCertificateFiles,
} from "./certificates.ts";
export { replaceFile } from "@tandem/certificates";
export { type CrashableServer, startCrashableServer } from "./crashable-server.ts";
export { expectNoBackends, expectNoOpenTransactions } from "./database-leaks.ts";
export { type LeakTracker, trackLeaks } from "./leak-tracker.ts";
export { type PeakMemory, watchPeakMemory } from "./peak-memory.ts";
export { createProcesses, type Processes, type SpawnedProcess, type SpawnOptions } from "./processes.ts";
export { findProcesses, type FoundProcess } from "./find-processes.ts";
export {
  createRawGrpcClient,
  type RawAnswer,
  type RawGrpcCall,
  type RawGrpcClient,
  toGrpcFrame,
} from "./raw-grpc.ts";
export {
  createTcpRelay,
  type Direction,
  type RelayConnection,
  type RelayTrigger,
  type TcpRelay,
  type TriggerCondition,
} from "./tcp-relay.ts";
export {
  createTestDatabase,
  type DatabaseTemplate,
  type TemplateTarget,
  type TestDatabase,
} from "./test-database.ts";
export { runSql } from "./run-sql.ts";
export { waitFor, type WaitOptions } from "./wait-for.ts";
