import { HandlerError } from "@tandem/rpc";

/** A text that waits to be parsed. */
export interface WaitingText {
  /** Who sent it; "" for the service itself. */
  readonly caller: string;
  readonly sql: string;
}

/**
 * Texts that wait. The caller that has had the parser for the least time is next, with the shortest of its texts: so
 * whoever sends what takes long holds up the others for one text, however many it sends.
 */
export interface ParsingTurns<Text extends WaitingText> {
  /** Fails with OVERLOADED where too many of the caller's wait already. */
  add(text: Text): void;
  /** Takes the text that is next. How long it has taken is to be said before another is taken. */
  next(): Text | undefined;
  took(text: Text, ms: number): void;
}

// A request has one here at a time; what stands behind so many would wait for longer than it is wanted.
const MAX_WAITING_TEXTS = 1_000;

interface Share<Text> {
  readonly texts: Set<Text>;
  usedMs: number;
}

export function createParsingTurns<Text extends WaitingText>(): ParsingTurns<Text> {
  const shares = new Map<string, Share<Text>>();
  return {
    add: (text) => {
      const share = shares.get(text.caller) ?? { texts: new Set(), usedMs: 0 };
      if (share.texts.size >= MAX_WAITING_TEXTS) throw overloaded();
      // Nobody saves up time by not asking for any.
      if (share.texts.size === 0) share.usedMs = Math.max(share.usedMs, least(shares)?.usedMs ?? 0);
      share.texts.add(text);
      shares.set(text.caller, share);
    },
    next: () => {
      const share = least(shares);
      const text = share && shortest(share.texts);
      if (text !== undefined) share?.texts.delete(text);
      return text;
    },
    took: ({ caller }, ms) => {
      const share = shares.get(caller);
      if (share !== undefined) share.usedMs += ms;
      if (least(shares) === undefined) shares.clear();
    },
  };
}

/** Of those who wait. */
function least<Text>(shares: ReadonlyMap<string, Share<Text>>): Share<Text> | undefined {
  let found: Share<Text> | undefined;
  for (const share of shares.values()) {
    if (share.texts.size > 0 && (found === undefined || share.usedMs < found.usedMs)) found = share;
  }
  return found;
}

function shortest<Text extends WaitingText>(texts: ReadonlySet<Text>): Text | undefined {
  let found: Text | undefined;
  for (const each of texts) {
    if (found === undefined || each.sql.length < found.sql.length) found = each;
  }
  return found;
}

function overloaded(): HandlerError {
  const message = "Too many of this caller's statements wait to be parsed: try again soon.";
  return new HandlerError({ reason: "OVERLOADED", message });
}
