// Markdown that the server has parsed. Of its tree only these elements are made.

import { h, html } from "./vendor/preact@11.2.0/preact.js";

/** @import { Markup } from "answers" */
/** @import { Drawn } from "./vendor/preact@11.2.0/preact.js" */

const TAGS = new Set([
  ...["p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a"],
  ...["table", "thead", "tbody", "tr", "th", "td"],
]);
const LINK = /^(https?|mailto):/i;

/** @param {Markup} node @returns {Drawn} */
function drawn(node) {
  if (typeof node === "string") return node;
  const children = node.children.map(drawn);
  if (!TAGS.has(node.tag) || (node.tag === "a" && !LINK.test(node.href ?? ""))) return children;
  if (node.tag === "a") return h("a", { href: node.href, rel: "noopener noreferrer", target: "_blank" }, children);
  return h(node.tag, node.level ? { class: `heading-${node.level > 2 ? 3 : node.level}` } : {}, children);
}

/** @param {{tree: Markup[]}} props */
export const Markdown = ({ tree }) => html`<div class="markdown" dir="auto">${tree.map(drawn)}</div>`;
