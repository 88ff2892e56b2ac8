/** The name of an aggregate, to become part of a function's. */
export function checkedAggregate(name: string): string {
  if (/^[a-z][a-z_]{0,39}$/.test(name)) return name;
  throw new TypeError(`"${name}" is not the name of an aggregate.`);
}
