// Tells how it was started: a process for tests of whoever starts one.
import { answerParent } from "../child-process.ts";

answerParent(async () => ({ args: process.argv.slice(2), flags: process.execArgv }));
