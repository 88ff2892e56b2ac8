import type { WorkValue } from "../workloads/workload.ts";

/** A statement as drivers take it: with $1, $2, … where values stand. */
export interface TextAndValues {
  readonly text: string;
  readonly values: readonly WorkValue[];
}

/** The tag for those who take a text. A template's text is put together once. */
export function createTextTag(): (
  template: TemplateStringsArray,
  ...values: readonly WorkValue[]
) => TextAndValues {
  const texts = new WeakMap<TemplateStringsArray, string>();
  return (template, ...values) => {
    let text = texts.get(template);
    if (text === undefined) {
      text = template.reduce((before, part, index) => `${before}$${index}${part}`);
      texts.set(template, text);
    }
    return { text, values };
  };
}
