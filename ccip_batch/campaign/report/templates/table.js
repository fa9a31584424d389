// The table of squares: finding, filtering, sorting, one page at a time. The numbers are in squares.js.
"use strict";

document.documentElement.classList.add("js");

const squares = globalThis.CAMPAIGN;
const PAGE = 50;
const COLUMNS = ["name", "state", "cause", "kept", "rms", "beam", "flagged", "deviation", "cpu", "ended", "ra", "dec"];
const DIGITS = { rms: 4, beam: 3, flagged: 1, deviation: 1, cpu: 2, ra: 3, dec: 3 };
const LARGEST_FIRST = new Set(["deviation", "rms", "beam", "flagged", "cpu", "ended", "cause"]);
const body = document.querySelector("#square-table tbody");
const [search, byState, byCause, pageBox] = ["search", "by-state", "by-cause", "page"].map((id) => document.getElementById(id));
const sorting = { key: "deviation", descending: true };
let rows = []; // the numbers of the squares that are found, in order
let page = 0;

// What a square is sorted by; null sorts last.
function sortValue(key, i) {
  if (key === "cause") return squares.cause[i] < 0 ? null : squares.causes[squares.cause[i]];
  if (key === "kept") return squares.planes[i] < 0 ? null : squares.kept[i];
  return squares[key][i];
}

function sortRows() {
  const values = new Array(squares.name.length);
  for (const i of rows) values[i] = sortValue(sorting.key, i);
  const sign = sorting.descending ? -1 : 1;
  rows.sort((a, b) => {
    const [first, second] = [values[a], values[b]];
    if (first === null || second === null) return (first === null) - (second === null) || a - b;
    return first < second ? -sign : first > second ? sign : a - b;
  });
}

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const state = byState.value === "" ? null : Number(byState.value);
  const cause = byCause.value === "" ? null : Number(byCause.value);
  rows = [];
  const found = new Uint8Array(squares.name.length);
  for (let i = 0; i < squares.name.length; i++) {
    if (state !== null && squares.state[i] !== state) continue;
    if (cause !== null && squares.cause[i] !== cause) continue;
    if (words.length) {
      const text = `${squares.tiles[squares.tile[i]]} ${squares.name[i]}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    found[i] = 1;
    rows.push(i);
  }
  sortRows();
  show(0);
  document.dispatchEvent(new CustomEvent("found", { detail: rows.length < squares.name.length ? found : null }));
}

function cell(text, kind) {
  const made = document.createElement("td");
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

function numberCell(key, text, i) {
  const levels = squares.levels[key];
  const level = levels ? Number(levels[i]) : 0;
  const made = cell(text, level ? `num s${level}` : "num");
  if (level) {
    const mark = document.createElement("sup");
    const words = `${level} sigma or more from the median of the squares`;
    mark.textContent = `${level}σ`;
    mark.setAttribute("aria-label", ` (${words})`);
    mark.setAttribute("role", "img");
    made.title = words;
    made.append(mark);
  }
  return made;
}

function nameCell(i) {
  const made = document.createElement("th");
  made.scope = "row";
  if (squares.report[i] !== "1") {
    made.textContent = squares.name[i];
    return made;
  }
  const link = document.createElement("a");
  const [tile, name] = [squares.tiles[squares.tile[i]], squares.name[i]].map(encodeURIComponent);
  link.href = `../squares/${tile}/${name}/report/index.html`;
  link.textContent = squares.name[i];
  made.append(link);
  return made;
}

function stateCell(i) {
  const state = squares.states[squares.state[i]];
  const made = cell("");
  const dot = document.createElement("span");
  dot.className = `dot ${state.replace(" ", "-")}`;
  dot.setAttribute("aria-hidden", "true");
  made.append(dot, state);
  return made;
}

function causeCell(i) {
  const made = cell(squares.cause[i] < 0 ? "–" : squares.causes[squares.cause[i]], "why");
  if (squares.why[i]) {
    const why = document.createElement("small");
    why.textContent = squares.why[i];
    made.append(why);
  }
  return made;
}

function otherCell(key, i) {
  if (key === "kept") return numberCell(key, squares.planes[i] < 0 ? "–" : `${squares.kept[i]} / ${squares.planes[i]}`, i);
  const value = squares[key][i];
  if (value === null) return cell("–", "num");
  if (key === "ended") return cell(new Date(value * 1000).toISOString().slice(0, 16).replace("T", " "), "num");
  return numberCell(key, value.toFixed(DIGITS[key]), i);
}

function row(i) {
  const made = document.createElement("tr");
  made.dataset.square = squares.name[i];
  const special = { name: nameCell, state: stateCell, cause: causeCell };
  made.append(...COLUMNS.map((key) => (special[key] ? special[key](i) : otherCell(key, i))));
  return made;
}

function show(number) {
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  page = Math.min(Math.max(0, number), pages - 1);
  const begin = page * PAGE;
  const end = Math.min(begin + PAGE, rows.length);
  body.replaceChildren(...rows.slice(begin, end).map(row));
  const all = squares.name.length;
  const of = rows.length === all ? `${all}` : `${rows.length} that are found, of ${all}`;
  document.getElementById("found").textContent = rows.length ? `Squares ${begin + 1} to ${end} of ${of}.` : `No square is found, of ${all}.`;
  document.getElementById("pages").textContent = pages;
  pageBox.value = page + 1;
  pageBox.max = pages;
  for (const button of document.querySelectorAll("[data-go]")) {
    button.disabled = ["first", "previous"].includes(button.dataset.go) ? page === 0 : page === pages - 1;
  }
}

function markHead() {
  for (const head of document.querySelectorAll("#square-table thead th")) {
    if (head.dataset.key === sorting.key) head.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function fill(choice, names, numbers) {
  const counts = new Array(names.length).fill(0);
  for (const number of numbers) if (number >= 0) counts[number] += 1;
  names.forEach((name, number) => {
    if (counts[number]) choice.add(new Option(`${name} (${counts[number]})`, String(number)));
  });
  choice.closest("label").hidden = choice.options.length < 2;
}

function showOnly({ name = "", state = "", cause = "" }) {
  [search.value, byState.value, byCause.value] = [name, state, cause];
  find();
}

fill(byState, squares.states, squares.state);
fill(byCause, squares.causes, squares.cause);
search.addEventListener("input", find);
byState.addEventListener("change", find);
byCause.addEventListener("change", find);
document.getElementById("reset").addEventListener("click", () => showOnly({}));
document.querySelector("#square-table thead").addEventListener("click", (event) => {
  const head = event.target.closest("th");
  if (!head) return;
  const key = head.dataset.key;
  sorting.descending = sorting.key === key ? !sorting.descending : LARGEST_FIRST.has(key);
  sorting.key = key;
  markHead();
  sortRows();
  show(0);
});
const steps = { first: () => 0, previous: () => page - 1, next: () => page + 1, last: () => Infinity };
for (const button of document.querySelectorAll("[data-go]")) {
  button.addEventListener("click", () => show(steps[button.dataset.go]()));
}
pageBox.addEventListener("change", () => show((Number(pageBox.value) || 1) - 1));
document.addEventListener("picked", (event) => {
  showOnly({ name: squares.name[event.detail] });
  document.getElementById("squares").scrollIntoView();
});
for (const link of document.querySelectorAll("[data-show-cause]")) {
  link.addEventListener("click", () => showOnly({ cause: String(squares.causes.indexOf(link.dataset.showCause)) }));
}

// Mark the boxes whose table continues to the right.
function tellMore(box) {
  box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 8);
}
const boxes = new ResizeObserver((entries) => entries.forEach((entry) => tellMore(entry.target)));
for (const box of document.querySelectorAll(".scroll")) {
  boxes.observe(box);
  box.addEventListener("scroll", () => tellMore(box), { passive: true });
}

markHead();
find();
