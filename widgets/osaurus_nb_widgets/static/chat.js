// The chat widget's view. Answers are strangers' text: every node is made here and filled by textContent, never by
// innerHTML. Sections: elements, Markdown, the model picker, the view.

// ---------------------------------------------------------------------------------------------------- elements

/** An element from a tag, attributes and children. Strings become text. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const ICONS = {
  chevron: ["M4 6l4 4 4-4"],
  copy: ["M5.5 5.5h8v8h-8z", "M10.5 5.5v-3h-8v8h3"],
  done: ["M3 8.5l3.2 3.2L13 4.8"],
  retry: ["M13 8a5 5 0 1 1-1.5-3.6", "M13.2 1.8v3.1h-3.1"],
  add: ["M8 3v10", "M3 8h10"],
  send: ["M8 13V3", "M3.8 7.2L8 3l4.2 4.2"],
  stop: ["M4.5 4.5h7v7h-7z"],
  down: ["M8 3v10", "M3.8 8.8L8 13l4.2-4.2"],
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of [["viewBox", "0 0 16 16"], ["aria-hidden", "true"], ["class", `osr-icon osr-icon-${name}`]]) {
    svg.setAttribute(key, value);
  }
  for (const d of ICONS[name]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** A button with an icon, and a text that is shown or only spoken. */
function button(name, label, { text = false, ...attributes } = {}) {
  const spoken = text ? {} : { "aria-label": label, title: label };
  return h("button", { type: "button", ...spoken, ...attributes }, icon(name), text ? h("span", {}, label) : null);
}

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Plain http on another host than localhost has no clipboard API.
  const area = h("textarea", { style: "position:fixed;opacity:0", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser refused");
}

// ---------------------------------------------------------------------------------------------------- Markdown

const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}>/;
const ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*)|)$/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const DEPTH = 12;

const isBlank = (line) => line.trim() === "";

/** How far a line is indented; a tab leads to the next multiple of four. */
function indentOf(line) {
  let width = 0;
  for (const char of line) {
    if (char === " ") width += 1;
    else if (char === "\t") width += 4 - (width % 4);
    else break;
  }
  return width;
}

/** The line without the first `width` columns of its indent. */
function dedent(line, width) {
  let at = 0;
  for (let column = 0; column < width && /[ \t]/.test(line[at] || ""); at += 1) column += line[at] === "\t" ? 4 - (column % 4) : 1;
  return line.slice(at);
}

/** Does this line begin a block of its own, so that it ends a paragraph? */
function interrupts(line) {
  const item = ITEM.exec(line);
  const startsList = item && item[3] && (!/\d/.test(item[2]) || /^1[.)]/.test(item[2]));
  return startsList || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

const isTable = (lines, at) =>
  lines[at].includes("|") && at + 1 < lines.length && lines[at + 1].includes("-") && DELIMITERS.test(lines[at + 1]);

/** The top-level blocks of a text: each says its kind, its lines, and the line it begins at. */
function blocks(lines) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const block = { start: at, ...nextBlock(lines, at) };
    block.lines = lines.slice(at, block.end);
    found.push(block);
    at = block.end;
  }
  return found;
}

function nextBlock(lines, at) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return { kind: "code", ...fenced(lines, at, fence) };
  if (HEADING.test(line)) return { kind: "heading", end: at + 1 };
  if (RULE.test(line)) return { kind: "rule", end: at + 1 };
  if (QUOTE.test(line)) return { kind: "quote", end: until(lines, at + 1, (next) => isBlank(next) || (!QUOTE.test(next) && interrupts(next))) };
  if (ITEM.test(line)) return { kind: "list", end: listEnd(lines, at) };
  if (isTable(lines, at)) return { kind: "table", end: until(lines, at + 2, (next) => isBlank(next) || !next.includes("|")) };
  const ends = (next, index) => isBlank(next) || interrupts(next) || isTable(lines, index);
  return { kind: "paragraph", end: until(lines, at + 1, ends) };
}

function until(lines, at, ends) {
  while (at < lines.length && !ends(lines[at], at)) at += 1;
  return at;
}

/** A fence without its end runs to the end of the text: so it looks right while it is still being written. */
function fenced(lines, at, [, , marks, info]) {
  const close = new RegExp(`^ {0,3}${marks[0] === "~" ? "~" : "`"}{${marks.length},}[ \\t]*$`);
  const end = until(lines, at + 1, (line) => close.test(line));
  return { info: info.trim(), closed: end < lines.length, end: Math.min(end + 1, lines.length) };
}

/** A list goes on over blank lines as long as what follows is indented or is another item of the same kind. */
function listEnd(lines, at) {
  const [, , first] = ITEM.exec(lines[at]);
  const same = (line) => {
    const item = ITEM.exec(line);
    return item && /\d/.test(item[2]) === /\d/.test(first) && !RULE.test(line);
  };
  const base = indentOf(lines[at]);
  let index = at + 1;
  while (index < lines.length) {
    const line = lines[index];
    if (isBlank(line)) {
      const next = until(lines, index, (other) => !isBlank(other));
      if (next === lines.length || !(indentOf(lines[next]) > base + 1 || same(lines[next]))) return index;
      index = next;
    } else if (indentOf(line) <= base + 1 && interrupts(line) && !same(line)) {
      return index;
    } else if (indentOf(line) <= base && ITEM.test(line) && !same(line)) {
      return index;
    } else {
      index += 1;
    }
  }
  return index;
}

function renderBlock(block, depth = 0) {
  const { kind, lines } = block;
  if (depth > DEPTH) return h("p", {}, lines.join("\n"));
  switch (kind) {
    case "code":
      return renderCode(block);
    case "heading": {
      const [, marks, text] = HEADING.exec(lines[0]);
      // Headings of an answer stand below those of the notebook.
      const level = Math.min(marks.length + 2, 6);
      return h(`h${level}`, { class: `osr-h${marks.length}` }, ...inline(text.replace(/[ \t]+#+[ \t]*$/, "")));
    }
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", {}, ...renderAll(lines.map((line) => line.replace(/^ {0,3}> ?/, "")), depth + 1));
    case "list":
      return renderList(lines, depth);
    case "table":
      return renderTable(lines);
    default:
      return h("p", {}, ...inline(lines.map((line) => line.trim()).join("\n")));
  }
}

const renderAll = (lines, depth) => blocks(lines).map((block) => renderBlock(block, depth));

function codeText({ lines, closed }) {
  const indent = indentOf(lines[0]);
  return lines.slice(1, closed ? -1 : undefined).map((line) => dedent(line, indent)).join("\n");
}

function renderCode(block) {
  const [language] = block.info.match(/^[\w+#.-]{1,24}/) || [""];
  const code = h("code", {}, codeText(block));
  const label = language ? `Code, ${language}` : "Code";
  return h(
    "div",
    { class: "osr-code" },
    h("div", { class: "osr-code-head" }, h("span", {}, language || "text"), button("copy", "Copy code", { "data-copy": "code" })),
    h("pre", { tabindex: "0", role: "group", "aria-label": label }, code),
  );
}

function renderList(lines, depth) {
  const [, , marker] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(marker);
  const base = indentOf(lines[0]);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && indentOf(line) <= base + 1) items.push({ width: base + item[2].length + 1, lines: [item[3] || ""] });
    else items[items.length - 1].lines.push(dedent(line, items[items.length - 1].width));
  }
  const start = ordered && Number.parseInt(marker, 10) !== 1 ? { start: Number.parseInt(marker, 10) } : {};
  return h(ordered ? "ol" : "ul", start, ...items.map((item) => h("li", {}, ...itemContent(item.lines, depth))));
}

/** An item's first paragraph stands in the item itself, as in a tight list. */
function itemContent(lines, depth) {
  const task = /^\[([ xX])\][ \t]+/.exec(lines[0]);
  const rest = task ? [lines[0].slice(task[0].length), ...lines.slice(1)] : lines;
  const nodes = renderAll(rest, depth + 1).flatMap((node, index) => (index === 0 && node.tagName === "P" ? [...node.childNodes] : [node]));
  return task ? [h("span", { class: "osr-task" }, task[1] === " " ? "\u2610 " : "\u2611 "), ...nodes] : nodes;
}

/** The cells of a row. A bar in a code span or behind a backslash belongs to its cell. */
function cells(line) {
  const parts = [""];
  let code = false;
  const text = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\" && text[at + 1] === "|") {
      parts[parts.length - 1] += "|";
      at += 1;
    } else if (text[at] === "|" && !code) {
      parts.push("");
    } else {
      if (text[at] === "`") code = !code;
      parts[parts.length - 1] += text[at];
    }
  }
  return parts.map((part) => part.trim());
}

function renderTable([head, delimiters, ...rows]) {
  const side = (mark) => (mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "right") : null);
  const sides = cells(delimiters).map(side);
  const names = cells(head);
  const row = (tag, values) =>
    h("tr", {}, ...names.map((_, index) => h(tag, { class: sides[index] && `osr-${sides[index]}`, scope: tag === "th" && "col" }, ...inline(values[index] || ""))));
  const body = h("tbody", {}, ...rows.map((line) => row("td", cells(line))));
  const table = h("table", {}, h("thead", {}, row("th", names)), body);
  return h("div", { class: "osr-table", tabindex: "0", role: "group", "aria-label": "Table" }, table);
}

const SPECIAL = /[\\`*_~[!<&\nhHmM]/g;
const ENTITY = /^&(lt|gt|amp|quot|apos|nbsp|#39);/;
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'", nbsp: "\u00a0", "#39": "'" };
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const BARE_LINK = /^(?:https?:\/\/|mailto:)[^\s<>"`]+/i;
const isWord = (char) => char !== undefined && /[\p{L}\p{N}_]/u.test(char);

/** An absolute http, https or mailto address, or null: relative ones would lead into the notebook server. */
function safeAddress(text) {
  if (!/^(?:https?:\/\/|mailto:)/i.test(text)) return null;
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const link = (address, children) =>
  h("a", { href: address, title: address, target: "_blank", rel: "noopener noreferrer" }, ...children);

/** Nodes for one run of text. `depth` bounds nesting, `linked` keeps links out of links. */
function inline(text, depth = 0, linked = false) {
  const nodes = [];
  const missing = new Set(); // closers that were looked for in vain: without this, a run of stars takes quadratic time
  let plain = "";
  const flush = () => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
  };
  let at = 0;
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const special = SPECIAL.exec(text);
    const stop = special ? special.index : text.length;
    plain += text.slice(at, stop);
    at = stop;
    if (!special) break;
    const found = depth > DEPTH ? null : inlineAt(text, at, { depth, linked, missing });
    if (found) {
      if (found.text !== undefined) plain += found.text;
      else {
        flush();
        nodes.push(...found.nodes);
      }
      at = found.end;
    } else {
      const run = /^(?:`+|\*+|_+|~+|.)/su.exec(text.slice(at, at + 64))[0]; // a run that opens nothing is text as a whole
      plain += run;
      at += run.length;
    }
  }
  flush();
  return nodes;
}

/** What begins at this character, or null if it is only itself. */
function inlineAt(text, at, context) {
  const char = text[at];
  switch (char) {
    case "\\":
      return PUNCTUATION.test(text[at + 1] || "") ? { text: text[at + 1], end: at + 2 } : null;
    case "&": {
      const entity = ENTITY.exec(text.slice(at, at + 8));
      return entity && { text: ENTITIES[entity[1]], end: at + entity[0].length };
    }
    case "\n":
      return { nodes: [h("br")], end: at + 1 };
    case "`":
      return codeSpan(text, at, context);
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, context);
    case "!":
    case "[":
      return bracketed(text, at, context);
    case "<":
      return context.linked ? null : angled(text, at);
    default:
      return context.linked || isWord(text[at - 1]) ? null : bareLink(text, at);
  }
}

function codeSpan(text, at, { missing }) {
  const [run] = /^`+/.exec(text.slice(at));
  if (missing.has(run)) return null;
  for (let end = text.indexOf(run, at + run.length); end !== -1; ) {
    let after = end + run.length;
    if (text[after] !== "`") {
      const content = text.slice(at + run.length, end).replace(/\n/g, " ");
      const trimmed = /^ .*[^ ].* $/.test(content) ? content.slice(1, -1) : content;
      return { nodes: [h("code", {}, trimmed)], end: after };
    }
    while (text[after] === "`") after += 1;
    end = text.indexOf(run, after);
  }
  missing.add(run);
  return null;
}

function emphasis(text, at, { depth, linked, missing }) {
  const char = text[at];
  const length = text.startsWith(char.repeat(3), at) ? 3 : text[at + 1] === char ? 2 : 1;
  if (char === "~" && length !== 2) return null;
  for (let size = length; size > 0; size -= 1) {
    const mark = char.repeat(size);
    if (missing.has(mark) || (char === "~" && size !== 2)) continue;
    const opens = text[at + size] !== undefined && !/\s/.test(text[at + size]) && !(char === "_" && isWord(text[at - 1]));
    const end = opens ? closer(text, at + size, mark) : -1;
    if (end === -1) {
      if (opens) missing.add(mark);
      continue;
    }
    const children = inline(text.slice(at + size, end), depth + 1, linked);
    return { nodes: [emphasised(char, size, children)], end: end + size };
  }
  return null;
}

function emphasised(char, size, children) {
  if (char === "~") return h("del", {}, ...children);
  if (size === 3) return h("strong", {}, h("em", {}, ...children));
  return h(size === 2 ? "strong" : "em", {}, ...children);
}

/** Where the mark is closed: behind a visible character, outside code, and in a run that can end this mark. */
function closer(text, from, mark) {
  const char = mark[0];
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "`") {
      const [run] = /^`+/.exec(text.slice(at, at + 64));
      const end = text.indexOf(run, at + run.length);
      at = end === -1 ? at + run.length - 1 : end + run.length - 1;
    } else if (text[at] === char) {
      let after = at;
      while (text[after] === char) after += 1;
      const length = after - at;
      const closes = at > from && !/\s/.test(text[at - 1]) && !(char === "_" && isWord(text[after]));
      if (closes && (length === mark.length || length === 3)) return after - mark.length;
      at = after - 1;
    }
  }
  return -1;
}

/** `[text](address)` and `![text](address)`. Nothing is loaded: an image becomes a link to it. */
function bracketed(text, at, { depth, linked }) {
  const image = text[at] === "!";
  const open = image ? at + 1 : at;
  if (text[open] !== "[" || linked) return null;
  const shut = matching(text, open, "[", "]");
  if (shut === -1 || text[shut + 1] !== "(") return null;
  const end = matching(text, shut + 1, "(", ")");
  if (end === -1) return null;
  const [, target] = /^\s*(?:<([^<>\n]*)>|\S*)/.exec(text.slice(shut + 2, end));
  const bare = /^\s*(\S*)/.exec(text.slice(shut + 2, end))[1];
  const address = safeAddress(target || bare);
  const label = text.slice(open + 1, shut);
  if (!address) return { text: text.slice(at, end + 1), end: end + 1 };
  const children = image ? [`Image: ${label || address}`] : inline(label, depth + 1, true);
  return { nodes: [link(address, children.length ? children : [address])], end: end + 1 };
}

function matching(text, at, open, close) {
  const limit = Math.min(text.length, at + 2000); // an address longer than this is shown as it is
  let depth = 0;
  for (let index = at; index < limit; index += 1) {
    if (text[index] === "\\") index += 1;
    else if (text[index] === open) depth += 1;
    else if (text[index] === close) {
      depth -= 1;
      if (depth === 0) return index;
    }
  }
  return -1;
}

function angled(text, at) {
  const found = /^<([^<>\s]{1,2000})>/.exec(text.slice(at, at + 2002));
  const address = found && safeAddress(found[1]);
  if (address) return { nodes: [link(address, [found[1]])], end: at + found[0].length };
  const br = /^<br\s*\/?>/i.exec(text.slice(at, at + 16)); // the one tag that models write in tables
  return br ? { nodes: [h("br")], end: at + br[0].length } : null;
}

function bareLink(text, at) {
  const found = BARE_LINK.exec(text.slice(at, at + 2000));
  if (!found) return null;
  let shown = found[0].replace(/[.,:;!?'*_~]+$/, "");
  while (shown.endsWith(")") && shown.split("(").length < shown.split(")").length) shown = shown.slice(0, -1);
  const address = safeAddress(shown);
  return address ? { nodes: [link(address, [shown])], end: at + shown.length } : null;
}

/**
 * A growing text. Only its last two blocks are looked at again when it grows, for those before them cannot change any
 * more: a last line that is still half written may turn out to belong to the block before it, but to no earlier one.
 */
export class Markdown {
  constructor(root) {
    this.root = root;
    this.reset();
  }

  reset() {
    this.text = "";
    this.settled = 0; // where the first block begins that may still change
    this.open = []; // those blocks, with their nodes
    this.root.replaceChildren();
  }

  update(source) {
    const text = source.replace(/\r\n?/g, "\n");
    if (text === this.text) return;
    if (!text.startsWith(this.text)) this.reset();
    this.text = text;
    const lines = text.slice(this.settled).split("\n");
    const found = blocks(lines);
    const before = this.open;
    this.open = found.map((block, index) => ({ ...block, node: this.reuse(before[index], block, index === before.length - 1) }));
    for (const { node } of before) if (!this.open.some((block) => block.node === node)) node.remove();
    for (const block of this.open) if (!block.node) this.root.append((block.node = renderBlock(block)));
    this.settle(lines);
  }

  /** The node of the same block a moment ago. A code block that only grew keeps its scroll position and its focus. */
  reuse(old, block, isLast) {
    if (!old || old.kind !== block.kind) return null;
    if (old.lines.length === block.lines.length && old.lines.every((line, index) => line === block.lines[index])) return old.node;
    if (!isLast || block.kind !== "code" || old.info !== block.info) return null;
    old.node.querySelector("code").textContent = codeText(block);
    return old.node;
  }

  settle(lines) {
    if (this.open.length <= 2) return;
    this.open = this.open.slice(-2);
    const shift = this.open[0].start;
    for (const line of lines.slice(0, shift)) this.settled += line.length + 1;
  }
}

// ---------------------------------------------------------------------------------------------------- model picker

let serial = 0; // ids must be unique on the page, not only in one view

/** An ARIA combobox with a grouped listbox. Focus stays in the input; the active option is named by its id. */
class Picker {
  constructor({ choose, open, signal }) {
    this.id = `osr-picker-${(serial += 1)}`;
    this.handlers = { choose, open };
    this.groups = [];
    this.reason = "";
    this.selected = "";
    this.active = -1;
    this.loading = false;
    this.build(signal);
  }

  build(signal) {
    this.input = h("input", {
      type: "text", role: "combobox", class: "osr-picker-input", "aria-label": "Model", "aria-autocomplete": "list",
      "aria-expanded": "false", "aria-controls": `${this.id}-list`, "aria-haspopup": "listbox",
      autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    });
    this.list = h("div", { role: "listbox", id: `${this.id}-list`, class: "osr-picker-list", "aria-label": "Models", hidden: true });
    this.node = h("div", { class: "osr-picker" }, this.input, icon("chevron"), this.list);
    this.input.addEventListener("keydown", (event) => this.key(event), { signal });
    this.input.addEventListener("input", () => this.filter(), { signal });
    this.input.addEventListener("pointerdown", () => this.isOpen || this.open(), { signal });
    this.input.addEventListener("blur", () => this.close(), { signal });
    this.list.addEventListener("pointerdown", (event) => this.pointed(event), { signal });
  }

  get isOpen() {
    return !this.list.hidden;
  }

  select(name) {
    this.selected = name;
    if (!this.isOpen) this.input.value = name;
    this.input.title = name;
  }

  show(groups, reason) {
    this.groups = groups;
    this.reason = reason;
    this.loading = false;
    if (this.isOpen) this.draw();
  }

  open() {
    this.list.hidden = false;
    this.query = "";
    this.active = -1;
    this.loading = true;
    this.input.setAttribute("aria-expanded", "true");
    requestAnimationFrame(() => this.isOpen && this.input.select());
    this.draw();
    this.handlers.open();
  }

  close() {
    if (!this.isOpen) return;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.input.value = this.selected;
  }

  choose(name) {
    this.selected = name;
    this.close();
    this.input.value = name;
    this.handlers.choose(name);
  }

  filter() {
    if (!this.isOpen) {
      const typed = this.input.value;
      this.open();
      this.input.value = typed;
    }
    this.query = this.input.value.trim().toLowerCase();
    this.active = this.query ? 0 : -1;
    this.draw();
  }

  key(event) {
    if (event.isComposing) return;
    const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (move) {
      event.preventDefault();
      if (this.isOpen) this.activate(this.active === -1 && move < 0 ? this.options.length - 1 : this.active + move);
      else this.open();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!this.isOpen) this.open();
      else if (this.options[this.active]) this.choose(this.options[this.active].dataset.name);
    } else if (event.key === "Escape" && this.isOpen) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
      this.input.select();
    }
  }

  pointed(event) {
    event.preventDefault(); // the focus stays in the input, which would close the list
    const option = event.target.closest("[data-name]");
    if (option && event.button === 0) this.choose(option.dataset.name);
  }

  activate(index) {
    const count = this.options.length;
    this.options[this.active]?.classList.remove("osr-active");
    this.active = count ? Math.max(0, Math.min(count - 1, index)) : -1;
    const option = this.options[this.active];
    if (!option) return this.input.removeAttribute("aria-activedescendant");
    option.classList.add("osr-active");
    this.input.setAttribute("aria-activedescendant", option.id);
    // scrollIntoView would move the notebook as well.
    const top = option.offsetTop - this.list.clientTop;
    if (top < this.list.scrollTop + 28) this.list.scrollTop = top - 28;
    else if (top + option.offsetHeight > this.list.scrollTop + this.list.clientHeight) {
      this.list.scrollTop = top + option.offsetHeight - this.list.clientHeight;
    }
  }

  draw() {
    const terms = (this.query || "").split(/\s+/);
    const fits = (model) => terms.every((term) => `${model.name} ${model.where}`.toLowerCase().includes(term));
    const shown = this.groups.map((group) => ({ ...group, models: group.models.filter(fits) }));
    const nodes = shown.filter((group) => group.models.length || (group.reason && !this.query)).map((group, index) => this.group(group, index));
    const typed = this.input.value.trim();
    if (this.query && !shown.some((group) => group.models.length)) nodes.push(this.unlisted(typed));
    else if (!nodes.length) nodes.push(this.remark(this.loading ? "Looking for models\u2026" : this.reason || "No models yet."));
    else if (this.reason) nodes.push(this.remark(this.reason));
    this.list.replaceChildren(...nodes);
    this.options = [...this.list.querySelectorAll("[data-name]")];
    this.options.forEach((option, index) => (option.id = `${this.id}-${index}`));
    const current = this.options.findIndex((option) => option.dataset.name === this.selected);
    this.activate(this.active === -1 ? current : this.active);
  }

  group(group, index) {
    const id = `${this.id}-group-${index}`;
    const reason = group.reason && h("div", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "osr-picker-reason" }, group.reason);
    return h("div", { role: "group", "aria-labelledby": id }, h("div", { id, class: "osr-picker-group", role: "presentation" }, group.label), ...group.models.map((model) => this.option(model)), reason || null);
  }

  option({ name, label, where, context }) {
    const meta = [where, context].filter(Boolean).join(" \u00b7 ");
    return h("div", { role: "option", class: "osr-picker-option", "data-name": name, "aria-selected": String(name === this.selected) }, h("span", { class: "osr-picker-name" }, label), h("span", { class: "osr-picker-meta" }, meta));
  }

  /** Providers answer to names that they do not list, so a typed name may be tried. */
  unlisted(name) {
    const use = { role: "option", class: "osr-picker-option", "data-name": name, "aria-selected": "false" };
    return h("div", use, h("span", { class: "osr-picker-name" }, `Use \u201c${name}\u201d`), h("span", { class: "osr-picker-meta" }, "not listed"));
  }

  remark(text) {
    return h("div", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "osr-picker-reason" }, text);
  }
}

// ---------------------------------------------------------------------------------------------------- the view

const EXAMPLES = ["Explain recursion in two sentences", "Write a Python function that reverses a string", "What can I ask you about?"];
const RESEND_AFTER = [250, 500, 1000, 2250]; // ms; a kernel at work hears within 60. The last one gives up.
const UNHEARD =
  "The kernel has not answered. If a cell is running, wait for it; if the kernel was restarted, run this cell again.";

/** A text that stands behind an answer, under its title. */
function behind({ title, text }) {
  const body = h("div", { class: "osr-markdown osr-thought" });
  new Markdown(body).update(text);
  return h("details", { class: "osr-reasoning" }, h("summary", {}, title), body);
}

/** One message on the page. An answer keeps its nodes while it grows. */
class Bubble {
  constructor(message, view) {
    this.view = view;
    this.node = h("div", { class: `osr-message osr-${message.role}` });
    this.node.append(h("span", { class: "osr-spoken" }, message.role === "user" ? "You said:" : "Model answered:"));
    if (message.role === "user") this.node.append(h("div", { class: "osr-question" }, message.text));
    else this.build();
  }

  build() {
    this.thought = h("div", { class: "osr-thought" });
    this.thinking = h("details", { class: "osr-reasoning", hidden: true }, h("summary", {}, "Reasoning"), this.thought);
    this.body = h("div", { class: "osr-markdown" });
    this.waiting = h("div", { class: "osr-waiting" }, h("span", { class: "osr-dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "osr-status" }));
    this.notices = h("div", { class: "osr-notices" });
    this.footer = h("div", { class: "osr-footer" });
    this.behind = h("div", { class: "osr-behind" });
    this.answer = h("div", { class: "osr-answer" }, this.thinking, this.body, this.waiting, this.behind, this.notices, this.footer);
    this.node.append(this.answer);
    this.markdown = new Markdown(this.body);
  }

  update(message, isLast) {
    if (message.role === "user") return;
    if (!message.writing && this.showsAlready(message, isLast)) return;
    this.markdown.update(message.text);
    this.thinking.hidden = !message.reasoning;
    this.thought.textContent = message.reasoning || "";
    this.waiting.hidden = !message.writing || message.text !== "";
    this.waiting.lastChild.textContent = message.status || "Waiting for the first word";
    this.node.classList.toggle("osr-writing", Boolean(message.writing));
    if (!message.writing) this.finish(message, isLast);
    this.fold(message);
  }

  /** A new transcript has new objects for messages that are the same; what one opened or selected in them stays. */
  showsAlready(message, isLast) {
    if (message === this.message && isLast === this.isLast) return true;
    const look = JSON.stringify([message, isLast]);
    const same = look === this.look;
    Object.assign(this, { message, isLast, look });
    return same;
  }

  finish(message, isLast) {
    this.behind.replaceChildren(...(message.behind || []).map(behind));
    const retry = isLast ? { "data-do": "retry" } : null;
    const marks = { error: "osr-error", warning: "osr-warning", info: "osr-info" };
    this.notices.replaceChildren(...(message.notices || []).map(({ text, level }) => h("p", { class: `osr-notice ${marks[level] || ""}` }, text)));
    const invites = message.failed || message.empty; // then what to do next stands right below why
    if (invites && retry) this.notices.append(button("retry", message.failed ? "Try again" : "Retry", { text: true, class: "osr-button osr-again", ...retry }));
    const copy = message.text && !message.empty ? button("copy", "Copy answer", { class: "osr-tool", "data-copy": "answer" }) : null;
    const again = retry && !invites ? button("retry", "Retry", { class: "osr-tool", ...retry }) : null;
    const chip = message.footer ? h("span", { class: "osr-chip" }, message.footer) : null;
    this.footer.replaceChildren(...[chip, copy, again].filter(Boolean));
  }

  /** An answer that was asked again stays at hand, folded. */
  fold(message) {
    if (!message.superseded || this.folded) return;
    this.folded = h("details", { class: "osr-earlier" }, h("summary", {}, `Earlier answer${message.empty ? " without text" : ""}${message.footer ? ` \u00b7 ${message.footer}` : ""}`), this.answer);
    this.node.append(this.folded);
  }
}

class ChatView {
  constructor(model, el) {
    this.model = model;
    this.closing = new AbortController();
    this.live = null; // what is newer than the saved transcript: messages from `keep` on
    this.bubbles = new Map();
    this.pending = new Map();
    this.id = Math.random().toString(36).slice(2); // no secret: it tells requests of several views apart
    this.requests = 0;
    this.frame = 0;
    this.sticking = true;
    this.build(el);
    this.listen();
    this.draw();
    this.ask("hello", {}, null);
  }

  build(el) {
    const { signal } = this.closing;
    this.picker = new Picker({
      signal,
      choose: (name) => {
        this.ask("select", { model: name });
        this.input.focus();
      },
      open: () => this.ask("models"),
    });
    this.fresh = button("add", "New chat", { text: true, class: "osr-button", "data-do": "clear" });
    this.log = h("div", { class: "osr-log", role: "log", "aria-live": "polite", "aria-busy": "false", "aria-label": "Conversation", tabindex: "0" });
    this.empty = this.greeting();
    this.latest = button("down", "Jump to the latest message", { class: "osr-latest", hidden: true, "data-do": "latest" });
    this.problem = h("div", { class: "osr-problem", role: "alert" });
    this.input = h("textarea", { rows: "1", placeholder: "Ask anything", "aria-label": "Message", class: "osr-input" });
    this.go = button("send", "Send", { class: "osr-go", "data-do": "send" });
    this.spoken = h("div", { class: "osr-spoken", role: "status" });
    const hint = h("div", { class: "osr-hint" }, "Enter sends, Shift+Enter starts a new line");
    this.root = h(
      "div",
      { class: "osr-chat", role: "region", "aria-label": "Chat" },
      h("div", { class: "osr-head" }, this.picker.node, this.fresh),
      h("div", { class: "osr-middle" }, this.log, this.latest),
      this.problem,
      h("div", { class: "osr-composer" }, this.input, this.go),
      hint,
      this.spoken,
    );
    el.classList.add("osr-host");
    el.append(this.root);
  }

  greeting() {
    const prompts = EXAMPLES.map((text) => h("button", { type: "button", class: "osr-example", "data-prompt": text }, text));
    return h("div", { class: "osr-empty" }, h("p", { class: "osr-title" }, "Ask a model"), h("p", { class: "osr-subtitle" }, "Pick one above, type below, or start with one of these."), h("div", { class: "osr-examples" }, ...prompts));
  }

  listen() {
    const { signal } = this.closing;
    const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal, ...options });
    on(this.root, "click", (event) => this.clicked(event));
    on(this.input, "keydown", (event) => this.typed(event));
    on(this.input, "input", () => this.fit());
    on(this.log, "scroll", () => this.scrolled(), { passive: true });
    on(this.root, "keydown", (event) => this.escaped(event));
    this.shield(on);
    this.heard = [
      ["msg:custom", (content) => this.take(content)],
      ["change:messages", () => this.settle()],
      ["change:selected_model", () => this.picker.select(this.model.get("selected_model"))],
    ];
    for (const [name, callback] of this.heard) this.model.on(name, callback);
    this.sizes = new ResizeObserver(() => this.sticking && this.toEnd());
    this.sizes.observe(this.log);
    this.picker.select(this.model.get("selected_model"));
  }

  /**
   * Keys that are pressed here mean nothing to the notebook: else "d d" on a button would delete the cell. Front ends
   * that listen before us heed the attribute. Only the chord that saves is let through.
   */
  shield(on) {
    const attribute = "data-lm-suppress-shortcuts";
    this.root.toggleAttribute(attribute, true);
    const stop = (event) => {
      const saves = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s";
      this.root.toggleAttribute(attribute, !(saves && event.type === "keydown"));
      if (!saves) event.stopPropagation();
    };
    for (const type of ["keydown", "keypress", "keyup"]) on(this.root, type, stop);
  }

  dispose() {
    this.closing.abort();
    for (const [name, callback] of this.heard) this.model.off(name, callback);
    for (const timer of this.pending.values()) clearTimeout(timer);
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    this.root.remove();
  }

  // What the user does

  clicked(event) {
    const target = event.target.closest("button");
    if (!target) return;
    if (target.dataset.prompt) this.send(target.dataset.prompt);
    if (target.dataset.copy) this.copy(target);
    const actions = {
      send: () => (this.busy ? this.stop() : this.send(this.input.value)),
      retry: () => this.retry(),
      clear: () => this.clear(),
      latest: () => this.toEnd(),
    };
    actions[target.dataset.do]?.();
  }

  typed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (this.busy) this.say("Still answering. Escape stops it.");
    else this.send(this.input.value);
  }

  escaped(event) {
    if (event.key === "Escape" && this.busy && !event.isComposing) this.stop();
  }

  send(text) {
    const question = text.trim();
    if (!question || this.busy) return;
    this.input.value = "";
    this.fit();
    this.input.focus();
    const tail = [{ id: "asked", role: "user", text: question }, { id: "answer", role: "assistant", text: "", writing: true }];
    this.live = { keep: this.saved.length, tail };
    this.sticking = true;
    this.draw();
    this.ask("ask", { text: question }, () => this.takeBack(question));
  }

  /** The kernel did not hear it: the question goes back to where it was typed. */
  takeBack(question) {
    if (this.live?.tail[0].id !== "asked") return;
    this.live = null;
    if (!this.input.value) this.input.value = question;
    this.asked = question;
    this.fit();
    this.draw();
  }

  retry() {
    if (this.busy) return;
    this.input.focus();
    this.sticking = true;
    this.ask("retry");
  }

  stop() {
    this.ask("stop");
    this.input.focus();
  }

  clear() {
    this.ask("clear");
    this.input.focus();
  }

  async copy(target) {
    const message = this.messages.find(({ id }) => this.bubbles.get(id)?.node.contains(target));
    const text = target.dataset.copy === "code" ? target.closest(".osr-code").querySelector("code").textContent : message.text;
    try {
      await copyText(text);
    } catch {
      return this.say("The browser did not allow copying.");
    }
    this.say("Copied");
    target.replaceChildren(icon("done"));
    setTimeout(() => target.replaceChildren(icon("copy")), 1500);
  }

  // What goes to the kernel and comes from it

  /**
   * Send a request until it is heard. While a cell is busy, JupyterLab's way around it opens only a moment after the
   * view did, and what was sent before waits for the cell; the kernel does a request once, however often it comes.
   */
  ask(kind, content = {}, unheard = () => {}) {
    const id = `${this.id}-${(this.requests += 1)}`;
    const request = { kind, id, ...content };
    this.model.send(request);
    const again = (delays) => {
      const [delay, ...rest] = delays;
      const late = () => {
        if (!rest.length) return this.giveUp(unheard);
        this.model.send(request);
        again(rest);
      };
      this.pending.set(id, setTimeout(late, delay));
    };
    if (unheard) again(RESEND_AFTER);
  }

  giveUp(unheard) {
    this.complain(UNHEARD);
    unheard();
  }

  take(content) {
    const takers = {
      heard: ({ id }) => this.receipt(id),
      turn: ({ keep, tail }) => this.begin(keep, tail),
      delta: (delta) => this.grow(delta),
      idle: () => this.settle(),
      models: ({ groups, reason }) => this.picker.show(groups, reason),
      problem: ({ text }) => this.complain(text),
    };
    takers[content.kind]?.(content);
  }

  receipt(id) {
    if (!this.pending.has(id)) return;
    clearTimeout(this.pending.get(id));
    this.pending.delete(id);
    this.complain("");
  }

  begin(keep, tail) {
    if (this.asked !== undefined && this.input.value === this.asked) this.input.value = "";
    this.asked = undefined;
    const optimistic = this.live?.tail[0].id === "asked";
    if (optimistic) {
      // The bubbles that were drawn at once become the real ones.
      const [asked, answer] = this.live.tail.map(({ id }) => this.bubbles.get(id));
      this.bubbles.delete("asked");
      this.bubbles.delete("answer");
      this.bubbles.set(tail[0].id, asked).set(tail[tail.length - 1].id, answer);
    }
    this.live = { keep, tail };
    this.say("Answering");
    this.draw();
  }

  grow({ text = "", reasoning = "", status }) {
    if (!this.live) return;
    const answer = this.live.tail[this.live.tail.length - 1];
    answer.text += text;
    answer.reasoning = (answer.reasoning || "") + reasoning;
    if (status) answer.status = status;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  settle() {
    if (this.live?.tail[0].id === "asked") return; // an older answer's end; ours is on its way
    if (this.live) this.say("Answer finished");
    this.live = null;
    this.draw();
  }

  // What is shown

  get saved() {
    return this.model.get("messages") || [];
  }

  get messages() {
    return this.live ? [...this.saved.slice(0, this.live.keep), ...this.live.tail] : this.saved;
  }

  get busy() {
    return this.live !== null;
  }

  draw() {
    const messages = this.messages;
    const shown = new Set(messages.map(({ id }) => id));
    for (const [id, bubble] of this.bubbles) {
      if (!shown.has(id)) {
        bubble.node.remove();
        this.bubbles.delete(id);
      }
    }
    messages.forEach((message, index) => this.place(message, index, index === messages.length - 1));
    if (messages.length) this.empty.remove();
    else this.log.append(this.empty);
    this.log.setAttribute("aria-busy", String(this.busy));
    this.fresh.disabled = messages.length === 0;
    this.arm();
    if (this.sticking) this.toEnd();
  }

  place(message, index, isLast) {
    let bubble = this.bubbles.get(message.id);
    if (!bubble) {
      bubble = new Bubble(message, this);
      this.bubbles.set(message.id, bubble);
    }
    if (this.log.children[index] !== bubble.node) this.log.insertBefore(bubble.node, this.log.children[index] || null);
    bubble.update(message, isLast);
  }

  /** One button sends and stops, so that the focus and the pointer stay where they are. */
  arm() {
    const name = this.busy ? "stop" : "send";
    if (this.go.dataset.icon === name) return;
    this.go.dataset.icon = name;
    this.go.replaceChildren(icon(name));
    const label = this.busy ? "Stop" : "Send";
    this.go.setAttribute("aria-label", label);
    this.go.title = this.busy ? "Stop (Escape)" : "Send (Enter)";
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    this.sticking = scrollHeight - scrollTop - clientHeight < 32;
    this.latest.hidden = this.sticking;
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.sticking = true;
    this.latest.hidden = true;
  }

  fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 160)}px`;
  }

  complain(text) {
    this.problem.textContent = text;
  }

  say(text) {
    this.spoken.textContent = text;
  }
}

export default {
  render({ model, el }) {
    const view = new ChatView(model, el);
    return () => view.dispose();
  },
};
