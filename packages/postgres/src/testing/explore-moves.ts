import type { Authority } from "../mirror/authority.ts";
import type { MirrorSide } from "../mirror/mirror-side.ts";
import { createModelRow, type ModelRow, type Step, takeStep } from "./authority-model.ts";

/** Somebody who moves the authority between the two sides that are given, `east` and `west`. */
export type Mover = (sides: readonly [MirrorSide, MirrorSide]) => Promise<unknown>;

/** How it stands at some point. */
export interface Standing {
  readonly rows: readonly [ModelRow, ModelRow];
  /** What has become of each mover: undefined while it goes on. */
  readonly ends: readonly (Ended | undefined)[];
  /** What went wrong so far. */
  readonly faults: readonly Fault[];
  /** How many steps are still under way, though nobody waits for them any more. */
  readonly late: number;
}

export type Ended = { readonly moved: unknown } | { readonly failed: unknown } | "killed";

export interface Fault {
  readonly kind: "lost" | "killed";
  readonly step: Step["name"];
}

export interface Exploration {
  readonly movers: readonly Mover[];
  readonly maxFaults: number;
  /** To how many of them faults happen, the first ones: of two that do the same one is enough. */
  readonly faultyMovers: number;
}

/**
 * Lets movers work on two rows at the same time, in every order of their steps, with up to `maxFaults` faults: a link that
 * is lost with a step of a mover, or a mover that is killed; its step is then taken at any later time, or never. Shows
 * each point that can be reached to `check`, once, with the way that led there; gives how many there are.
 *
 * A mover must do the same whenever it is told the same: what it is at is known by what it was told.
 */
export async function exploreMoves(
  exploration: Exploration,
  check: (standing: Standing, way: readonly string[]) => Promise<void>,
): Promise<number> {
  const seen = new Set<string>();
  const open: (readonly number[])[] = [[]];
  for (let way = open.pop(); way !== undefined; way = open.pop()) {
    const run = await begin(exploration);
    for (const choice of way) await run.choose(choice);
    // On from there, as long as nobody has been there; the other ways on are for later.
    for (const taken = [...way]; !seen.has(run.key()); taken.push(0)) {
      seen.add(run.key());
      await check(run.standing(), run.way);
      const choices = run.choices().length;
      for (let other = 1; other < choices; other += 1) open.push([...taken, other]);
      if (choices > 0) await run.choose(0);
    }
  }
  return seen.size;
}

type Said = Authority & { readonly dirty: boolean };

interface Request {
  readonly mover: number;
  /** Its place among the mover's own. */
  readonly place: number;
  readonly row: ModelRow;
  readonly step: Step;
  readonly answer: (said: Said) => void;
  readonly fail: (error: Error) => void;
}

interface Choice {
  readonly how: "taken" | "late" | "lost" | "killed";
  readonly request: Request;
}

async function begin({ movers, maxFaults, faultyMovers }: Exploration) {
  const rows = [createModelRow("east", "east"), createModelRow("west", "east")] as const;
  const pending = new Set<Request>();
  const late = new Set<Request>();
  const faults: Fault[] = [];
  const ends: (Ended | undefined)[] = movers.map(() => undefined);
  const told = movers.map((): string[] => []);
  const way: string[] = [];
  const names = new Map<string, string>();
  movers.forEach((work, mover) => {
    let asked = 0;
    const ask = (row: ModelRow, step: Step): Promise<Said> =>
      new Promise((answer, fail) => {
        const place = (asked += 1);
        // The same on every way that comes to the same.
        if ("move" in step && !names.has(step.move)) names.set(step.move, `${mover}.${place}`);
        pending.add({ mover, place, row, step, answer, fail });
      });
    work([modelSide(rows[0], ask), modelSide(rows[1], ask)]).then(
      (moved) => (ends[mover] ??= { moved }),
      (failed: unknown) => (ends[mover] ??= { failed }),
    );
  });
  const heard = ({ mover, place }: Request, what: string): void => {
    (told[mover] as string[])[place] = what;
  };
  const choices = (): Choice[] => {
    const all: Choice[] = [];
    for (const request of pending) all.push({ how: "taken", request });
    for (const request of late) all.push({ how: "late", request });
    if (faults.length >= maxFaults) return all;
    for (const request of pending) {
      if (request.mover >= faultyMovers) continue;
      if (request.step.name !== "authority") all.push({ how: "lost", request });
      if (isChange(request)) all.push({ how: "killed", request });
    }
    return all;
  };
  const act = ({ how, request }: Choice): void => {
    pending.delete(request);
    late.delete(request);
    if (how === "taken" || how === "late") {
      takeStep(rows, request.row, request.step);
      if (how === "late") return;
      heard(request, textOf(toSaid(request.row), names));
      request.answer(toSaid(request.row));
      return;
    }
    faults.push({ kind: how, step: request.step.name });
    if (isChange(request)) late.add(request);
    heard(request, how);
    if (how === "lost") request.fail(new Error("The link is lost."));
    else ends[request.mover] = "killed";
  };
  // Each waits for an answer by then, or has come to an end.
  const atRest = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await atRest();
  return {
    way,
    choices,
    choose: async (index: number): Promise<void> => {
      const choice = choices()[index];
      if (choice === undefined) throw new Error("A mover has done something else than before.");
      way.push(`${choice.how}: ${textOfRequest(choice.request)}`);
      act(choice);
      await atRest();
    },
    key: (): string =>
      [
        ...rows.map(
          (row) =>
            `${textOf({ ...row, since: "" }, names)} ${row.calledOff.map((move) => names.get(move)).join()}`,
        ),
        ...told.map((each) => each.join()),
        ...Array.from(late, ({ mover, place }) => `${mover}.${place}`).toSorted(),
        faults.length,
      ].join("\n"),
    standing: (): Standing => ({ rows, ends, faults, late: late.size }),
  };
}

const isChange = ({ step }: Request): boolean => step.name !== "authority" && step.name !== "backlog";

const textOfRequest = ({ mover, row, step }: Request): string =>
  `mover ${mover} ${row.side}.${step.name} ${"move" in step ? step.move : ""}`;

const textOf = (row: Said, names: ReadonlyMap<string, string>): string =>
  `${row.authority} ${row.phase} ${row.epoch} ${names.get(row.move ?? "")} ${row.dirty}`;

/** By the time that anybody looks, the relay has brought what it can. */
const toSaid = ({ side, authority, phase, epoch, move, dirty }: ModelRow): Said => ({
  side,
  authority,
  phase,
  epoch,
  since: "",
  move,
  dirty: dirty && authority !== side,
});

/** What the rows come to where a mover works by itself from there on. */
export async function moveAlone(
  [east, west]: readonly [ModelRow, ModelRow],
  mover: Mover,
): Promise<readonly [ModelRow, ModelRow]> {
  const rows: readonly [ModelRow, ModelRow] = [
    { ...east, calledOff: [...east.calledOff] },
    { ...west, calledOff: [...west.calledOff] },
  ];
  const ask = async (row: ModelRow, step: Step): Promise<Said> => {
    takeStep(rows, row, step);
    return toSaid(row);
  };
  await mover([modelSide(rows[0], ask), modelSide(rows[1], ask)]);
  return rows;
}

/** A side that holds nothing: only who decides, and whether there is anything to be brought. */
function modelSide(row: ModelRow, ask: (row: ModelRow, step: Step) => Promise<Said>): MirrorSide {
  const unasked = (): never => {
    throw new Error("The model has no rows.");
  };
  return {
    name: row.side,
    authority: () => ask(row, { name: "authority" }),
    beginMove: (epoch, move) => ask(row, { name: "beginMove", epoch, move }),
    endMove: (epoch, move, to) => ask(row, { name: "endMove", epoch, move, to }),
    callOffMove: (epoch, move) => ask(row, { name: "callOffMove", epoch, move }),
    backlog: async () => {
      const { dirty } = await ask(row, { name: "backlog" });
      return { pending: dirty ? 1 : 0, parked: 0, oldestAgeMs: 0 };
    },
    now: async () => new Date(0).toISOString(),
    pending: unasked,
    parked: unasked,
    release: unasked,
    digests: unasked,
    list: unasked,
    read: unasked,
    apply: unasked,
    recover: unasked,
  };
}
