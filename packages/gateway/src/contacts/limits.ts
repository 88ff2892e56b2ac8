/** Every number that bounds what can be asked of Contacts, in one place. Lengths are in characters. */
export const contactsLimits = {
  maxNameLength: 200,
  maxAddressLength: 320,
  maxExternalIdLength: 256,
  maxReasonLength: 1_000,
  /** Of one request. */
  maxChannels: 50,

  defaultPageSize: 100,
  maxPageSize: 1_000,
  /** A page ends before it is larger than this. */
  maxPageBytes: 2 * 1024 * 1024,

  /** How often a write is tried whose guard is unmet for no reason that can be seen behind it. */
  maxAttempts: 4,
} as const;
