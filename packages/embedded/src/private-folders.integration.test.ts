import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readlink, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
// By path: testkit builds on this package, and a dependency back would be a circle.
import { runSql } from "../../testkit/src/index.ts";
import { packagedFolder, provideBinaries } from "./binaries.ts";
import { prepareDataFolder } from "./data-location.ts";
import { startEmbeddedServer } from "./index.ts";
import { accountForRoot, isRoot } from "./server-user.ts";

// What root has in a private home can't be reached by the user that PostgreSQL runs as.
describe.runIf(isRoot())("in a folder that only root can enter", () => {
  const lines: string[] = [];
  const onProgress = (line: string): void => void lines.push(line);
  let open: string;
  let home: string;

  beforeEach(async () => {
    lines.length = 0;
    open = await mkdtemp(join(tmpdir(), "tandem-open-"));
    await chmod(open, 0o755);
    home = join(open, "home");
    await mkdir(home, { mode: 0o700 });
  });

  afterEach(() => rm(open, { recursive: true }));

  test("keeps the data in a shared place, says so, and leaves a link to it", async () => {
    const wanted = join(home, "clone", "data");
    const places = [join(open, "shared")];
    const first = await prepareDataFolder({ wanted, places, onProgress });
    expect(await readlink(wanted)).toBe(first.folder);
    expect(first.folder.startsWith(`${open}/shared/`)).toBe(true);
    expect(lines).toEqual([
      `the user "postgres" can't reach ${wanted}: the data are kept in ${first.folder}`,
    ]);
    expect((await stat(first.folder)).mode & 0o022).toBe(0);
    const second = await prepareDataFolder({ wanted, places, onProgress });
    expect(second).toEqual(first);
    await rm(first.folder, { recursive: true });
    expect(await prepareDataFolder({ wanted, places, onProgress })).toEqual(first);
    expect(lines).toHaveLength(1);
  });

  test("runs a server with its data there, and again", async () => {
    const dataFolder = join(home, "data");
    const settings = { fsync: "off" };
    const first = await startEmbeddedServer({ dataFolder, settings });
    try {
      await runSql(first.adminUrl, "CREATE TABLE thing AS SELECT 42 AS answer");
      await first.stop();
      const second = await startEmbeddedServer({ dataFolder, settings });
      expect(await runSql(second.adminUrl, "SELECT answer FROM thing")).toEqual([{ answer: 42 }]);
      await second.stop();
    } finally {
      await rm(await realpath(dataFolder), { recursive: true });
    }
  });

  test("does not take data along that are there already, and says what to do", async () => {
    const wanted = join(home, "data");
    await mkdir(join(wanted, "something"), { recursive: true });
    await expect(
      prepareDataFolder({ wanted, places: [join(open, "shared")], onProgress }),
    ).rejects.toMatchObject({
      reason: "DATA_FOLDER_UNUSABLE",
      message: expect.stringContaining(`can't reach ${wanted}. Make it reachable`),
    });
    expect(await readdir(wanted)).toEqual(["something"]);
  });

  test("copies the programs once to where everybody can run them and only root can write", async () => {
    const folder = join(home, "native");
    await cp(packagedFolder(), folder, { recursive: true, verbatimSymlinks: true });
    const user = await accountForRoot(onProgress);
    const places = [join(open, "shared")];
    const options = { folder, user, places, onProgress };
    const [first, same] = await Promise.all([provideBinaries(options), provideBinaries(options)]);
    expect(first.postgres.startsWith(`${open}/shared/postgres-`)).toBe(true);
    expect(same).toEqual(first);
    expect(lines[0]).toMatch(/can't reach .*home\/native: copying PostgreSQL's programs to /);
    const copy = join(first.postgres, "..", "..");
    for (const entry of await readdir(copy, { recursive: true, withFileTypes: true })) {
      const { uid, mode } = await lstat(join(entry.parentPath, entry.name));
      expect(uid).toBe(0);
      if (!entry.isSymbolicLink()) expect(mode & 0o022).toBe(0);
    }
    expect(await readdir(join(open, "shared"))).toHaveLength(1);
    const before = (await stat(copy)).ctimeMs;
    await provideBinaries(options);
    expect((await stat(copy)).ctimeMs).toBe(before);
  });

  test("uses no copy that somebody else could have made", async () => {
    const folder = join(home, "native");
    await cp(packagedFolder(), folder, { recursive: true, verbatimSymlinks: true });
    const user = await accountForRoot(onProgress);
    const place = join(open, "shared");
    await mkdir(place);
    await chmod(place, 0o777);
    await expect(provideBinaries({ folder, user, places: [place], onProgress })).rejects.toMatchObject({
      reason: "NO_BINARIES",
    });
  });
});
