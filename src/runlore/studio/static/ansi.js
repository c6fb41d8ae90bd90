// The colours of terminals, as classes: escape sequences say how the text after them looks.

const SEQUENCE = /\u001b(?:\[([0-9;:]*)([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g;
const UNFINISHED = /\u001b(?:\[[0-9;:]*|\][^\u0007\u001b]*)?$/;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const WAITING_MAX = 200;

/**
 * @typedef {Record<string, string>} Look classes, by what they change
 * @typedef {{look: Look, rest: string}} State where a text goes on
 */
/** The look at the beginning of a text, and the end of one that may go on. @type {State} */
export const START = { look: {}, rest: "" };

/**
 * The pieces of a text with their classes, and how the next part begins.
 * @param {string} text @param {State} from
 */
export function pieces(text, from = START) {
  let whole = from.rest + text;
  const cut = UNFINISHED.exec(whole);
  const rest = cut && cut[0].length < WAITING_MAX ? cut[0] : "";
  whole = whole.slice(0, whole.length - rest.length);
  /** @type {{text: string, look: string}[]} */
  const found = [];
  let { look } = from;
  let place = 0;
  /** @param {string} piece */
  const add = (piece) => piece && found.push({ text: piece, look: Object.values(look).join(" ") });
  for (const match of whole.matchAll(SEQUENCE)) {
    add(whole.slice(place, match.index));
    if (match[2] === "m") look = changed(look, match[1]);
    place = match.index + match[0].length;
  }
  add(whole.slice(place));
  return { found, next: { look, rest } };
}

/** @param {Look} look @param {string} codes */
function changed(look, codes) {
  let next = look;
  const numbers = codes.split(/[;:]/).map(Number);
  for (let n = 0; n < numbers.length; n += 1) {
    const code = numbers[n];
    if (code === 0) next = {};
    else if (code === 1) next = { ...next, weight: "ansi-bold" };
    else if (code === 4) next = { ...next, line: "ansi-underlined" };
    else if (code === 22) next = without(next, "weight");
    else if (code === 24) next = without(next, "line");
    else if (code === 39) next = without(next, "colour");
    else if (code === 38 || code === 48) {
      const length = numbers[n + 1] === 5 ? 2 : numbers[n + 1] === 2 ? 4 : 0;
      if (code === 38 && length === 2 && numbers[n + 2] < 16)
        next = { ...next, colour: `ansi-${NAMES[numbers[n + 2] % 8]}` };
      n += length;
    } else if ((code >= 30 && code < 38) || (code >= 90 && code < 98)) {
      next = { ...next, colour: `ansi-${NAMES[code % 10]}` };
    }
  }
  return next;
}

/** @param {Look} look @param {string} key @returns {Look} */
const without = (look, key) => Object.fromEntries(Object.entries(look).filter(([name]) => name !== key));
