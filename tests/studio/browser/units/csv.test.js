import { csv } from "../run/files.js";
import { same } from "./testing.js";

export const tests = {
  "cells are as RFC 4180 has them"() {
    same(csv('a,"b ""c"",\n"\r\n1,2\n'), [
      ["a", 'b "c",\n'],
      ["1", "2"],
    ]);
    same(csv("a\tb", "\t"), [["a", "b"]]);
    same(csv(""), []);
    same(csv('"open'), [["open"]]);
  },
};
