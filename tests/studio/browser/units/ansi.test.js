import { pieces } from "../ansi.js";
import { chance, same } from "./testing.js";

/** @param {string} text */
const told = (text) => pieces(text).found.map((one) => [one.text, one.look]);
const ESC = "\u001b";

export const tests = {
  "colours are classes until they end"() {
    same(told(`a${ESC}[31mb${ESC}[1mc${ESC}[0md`), [
      ["a", ""],
      ["b", "ansi-red"],
      ["c", "ansi-red ansi-bold"],
      ["d", ""],
    ]);
    same(told(`${ESC}[92mx${ESC}[39my${ESC}[38;5;1mz`), [
      ["x", "ansi-green"],
      ["y", ""],
      ["z", "ansi-red"],
    ]);
  },
  "colours that the page does not have are left out"() {
    same(told(`${ESC}[38;2;1;31;4mx${ESC}[48;5;31my`), [
      ["x", ""],
      ["y", ""],
    ]);
  },
  "other sequences show nothing"() {
    same(
      told(`a${ESC}[2Kb${ESC}]8;;http://x${ESC}\\c${ESC}]0;title\u0007d`)
        .map(([text]) => text)
        .join(""),
      "abcd",
    );
  },
  "markup stays text"() {
    same(told("<b>&amp;</b>"), [["<b>&amp;</b>", ""]]);
  },
  "where a text is cut changes nothing"() {
    const text = `a${ESC}[31mred ${ESC}[1;4mboth${ESC}[0m<i>${ESC}]0;t\u0007z`;
    const random = chance(3);
    /** @param {{text: string, look: string}[]} found */
    const joined = (found) => {
      /** @type {typeof found} */
      const whole = [];
      for (const one of found) {
        const last = whole.at(-1);
        if (last?.look === one.look) last.text += one.text;
        else whole.push({ ...one });
      }
      return whole;
    };
    for (let turn = 0; turn < 100; turn += 1) {
      const cut = Math.floor(random() * text.length);
      const first = pieces(text.slice(0, cut));
      const second = pieces(text.slice(cut), first.next);
      same(joined([...first.found, ...second.found]), joined(pieces(text).found));
    }
  },
};
