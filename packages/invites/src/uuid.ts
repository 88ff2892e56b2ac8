import { invalidField } from "@tandem/rpc";

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** Whether it is a UUID as PostgreSQL writes one: in lower case. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** In lower case, as PostgreSQL writes it. Fails with an INVALID_REQUEST. */
export function parseUuid(given: string, field: string): string {
  const id = given.toLowerCase();
  if (isUuid(id)) return id;
  throw invalidField({ field, why: "must be a UUID: 8, 4, 4, 4 and 12 hexadecimal digits" });
}
