export const DAY_MS = 24 * 3_600_000;

/** How long an authority is valid. */
export const LIFE_OF_AUTHORITY_MS = 3_650 * DAY_MS;

/** How long a certificate is valid, in days, where nothing else is asked for. */
export const DAYS_BY_DEFAULT = 365;

const RENEWED_BEFORE_MS = 30 * DAY_MS;

/** From when on a certificate is renewed: 30 days before its end, or for the last third of a shorter life. */
export function renewalTime(period: { readonly from: Date; readonly until: Date }): number {
  const until = period.until.getTime();
  return until - Math.min(RENEWED_BEFORE_MS, (until - period.from.getTime()) / 3);
}
