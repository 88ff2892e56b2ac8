import { createDbProxy, sql } from "@tandem/dbproxy";
import { HandlerError } from "@tandem/rpc";

const [address = "127.0.0.1:7403", certificates = ".tandem/certificates"] = process.argv.slice(2);
const db = createDbProxy({
  address,
  tls: {
    authorityFile: `${certificates}/authority/certificate.pem`,
    certificateFile: `${certificates}/gateway/certificate.pem`,
    keyFile: `${certificates}/gateway/key.pem`,
    peer: "assistant",
  },
});
const id = "0198e5a0-0000-7000-8000-00000000ada0";

const { results } = await db.transaction([
  sql`INSERT INTO contacts (id, display_name) VALUES (${id}, ${"Ada"})
      ON CONFLICT (id) DO UPDATE SET display_name = EXCLUDED.display_name`,
  sql`INSERT INTO contact_channels (id, contact_id, type, address) VALUES (${id}, ${id}, 'email', ${"ada@example.org"})
      ON CONFLICT (id) DO UPDATE SET address = EXCLUDED.address`,
]);
console.log(`committed: ${results[0].changes} contact and ${results[1].changes} channel`);

const rename = sql`UPDATE contacts SET display_name = ${"Grace"} WHERE id = ${id}`;
const activate = sql`UPDATE contact_channels SET status = 'active' WHERE id = ${id} AND status = 'pending'`;
await db.transaction([rename, { statement: activate, guard: { min: 1 } }]).catch((error: unknown) => {
  if (!(error instanceof HandlerError)) throw error;
  console.log(`rolled back: ${error.reason}, ${error.outcome}. ${error.message}`);
});

const { rows } = await db.query(
  sql<{ name: string }>`SELECT display_name AS name FROM contacts WHERE id = ${id}`,
);
console.log(`the contact is still called ${rows[0]?.name}`);
db.close();
