import { type Child, startChild } from "../child-process.ts";
import { treeCpuMs } from "../cpu-time.ts";
import type { NamedRow } from "../find-rows.ts";
import type { Interval, LoadPlace, LoadRow, Measured, ProgramPlace } from "../row.ts";
import type { Service } from "./services.ts";

/** A row that can be measured now. */
export interface Measurable extends AsyncDisposable {
  readonly named: NamedRow;
  /** What it calls. */
  readonly service: Service | undefined;
  measure(interval: Interval): Promise<Measured>;
}

export interface MeasurableOptions {
  readonly named: NamedRow;
  readonly place: ProgramPlace;
  /** The row's; where it asks for one. */
  readonly service: Service | undefined;
  /** The process whose tree is the database. */
  readonly databasePid: number;
}

const OPEN_MS = 60_000;
// What was underway when the time was up comes to its end.
const END_MS = 90_000;

/** Starts what makes the row's load, where it is a process of its own. */
export async function openRow({
  named,
  place,
  service,
  databasePid,
}: MeasurableOptions): Promise<Measurable> {
  const { row, name } = named;
  const child = row.kind === "load" ? await openLoad(name, row, { place, service }) : undefined;
  const programPlace: ProgramPlace = service === undefined ? place : { ...place, service: service.place };
  const used = async () => ({ database: treeCpuMs(databasePid), service: await service?.usage() });
  const run = async (interval: Interval, begins: () => Promise<void>): Promise<Measured> => {
    if (row.kind === "program") return row.interval(programPlace, interval, begins);
    const timeoutMs = interval.durationMs + END_MS;
    return (await child?.ask({ ask: "interval", ...interval }, { timeoutMs })) as Measured;
  };
  return {
    named,
    service,
    measure: async (interval) => {
      let before = await used();
      const measured = await run(interval, async () => {
        before = await used();
      });
      // What a call leaves to be done is a part of its price, and no other row's.
      await service?.settle();
      const after = await used();
      const serviceBytes = after.service?.residentBytes;
      return {
        ...measured,
        cpuMs: {
          ...measured.cpuMs,
          ...difference("database", before.database, after.database),
          ...difference("service", before.service?.cpuMs, after.service?.cpuMs),
        },
        ...(serviceBytes === undefined ? {} : { serviceBytes }),
      };
    },
    [Symbol.asyncDispose]: async () => {
      await child?.[Symbol.asyncDispose]();
    },
  };
}

async function openLoad(
  name: string,
  row: LoadRow,
  { place, service }: Pick<MeasurableOptions, "place" | "service">,
): Promise<Child> {
  if ((row.service === undefined) !== (service === undefined)) throw new Error(`${name} has no service.`);
  await using parts = new AsyncDisposableStack();
  const child = parts.use(startChild(new URL("../load/load-process.ts", import.meta.url), { args: [name] }));
  const loadPlace: LoadPlace = {
    databaseUrl: place.databaseUrl,
    connections: place.connections,
    ...(service === undefined ? {} : { service: service.place }),
  };
  await child.ask({ ask: "open", place: loadPlace }, { timeoutMs: OPEN_MS });
  parts.move();
  return child;
}

function difference(name: "database" | "service", before: number | undefined, after: number | undefined) {
  return before === undefined || after === undefined ? {} : { [name]: after - before };
}
