import { contactWithChannels, removeContact } from "@tandem/assistant-statements";
import type { Decider, WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { requireAuthority } from "../authority/require-authority.ts";
import { contactNotFound } from "./refusals.ts";
import { writeGuarded } from "./write-guarded.ts";

/** Deletes a contact with its channels and invites. Fails with CONTACT_NOT_FOUND where there is none. */
export async function deleteContact(decider: Decider, id: string, options: WriteOptions): Promise<void> {
  const remove = step(removeContact, { id }, { min: 1 });
  await writeGuarded(() => decider.write([remove], options), {
    signal: options.signal,
    explain: async () => {
      await requireAuthority(decider, options);
      const rows = await decider.read(step(contactWithChannels, { id }), options);
      return rows.length === 0 ? contactNotFound() : undefined;
    },
  });
}
