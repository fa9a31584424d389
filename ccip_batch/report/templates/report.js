// Sorting tables, ordering the planes, and the large view. The page works without it.
"use strict";

document.documentElement.classList.add("js");

const value = (row, column) => {
  const text = row.cells[column].dataset.sort;
  if (text === undefined) return null;
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
};

const compare = (a, b) => {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
};

function sortBy(table, head) {
  const column = head.cellIndex;
  const descending = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => {
    const [first, second] = [value(a, column), value(b, column)];
    if (first === null || second === null) return (first === null) - (second === null); // no value: always last
    return descending ? compare(second, first) : compare(first, second);
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (head) sortBy(table, head);
  });
}

for (const choice of document.querySelectorAll('input[name="order"]')) {
  choice.addEventListener("change", () => {
    const key = choice.value;
    const sign = key === "suspicion" ? -1 : 1;
    for (const body of document.querySelectorAll(".gallery tbody, #plane-table tbody")) {
      body.append(...[...body.rows].sort((a, b) => sign * (a.dataset[key] - b.dataset[key])));
    }
    for (const head of document.querySelectorAll("#plane-table th[aria-sort]")) head.removeAttribute("aria-sort");
  });
}

// Mark the boxes whose table continues to the right.
const boxes = new ResizeObserver((entries) => entries.forEach((entry) => tellMore(entry.target)));
function tellMore(box) {
  box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 8);
}
for (const box of document.querySelectorAll(".scroll")) {
  boxes.observe(box);
  box.addEventListener("scroll", () => tellMore(box), { passive: true });
}

const viewer = document.getElementById("viewer");
const stack = document.getElementById("viewer-stack");
const layers = document.getElementById("viewer-layers");
const chosen = new Set(["grid", "beam", "50% and fitted beam"]);
let shown = null;

function show(link) {
  shown = link;
  document.getElementById("viewer-title").textContent = link.dataset.words;
  const image = document.getElementById("viewer-image");
  image.src = link.getAttribute("href");
  image.alt = link.dataset.words;
  image.classList.toggle("pixelated", link.closest("[data-kind]").dataset.kind === "psf");
  const bar = link.closest("table").tHead.rows[0].cells[link.closest("td").cellIndex].querySelector(".bar");
  document.getElementById("viewer-bar").replaceChildren(bar.cloneNode(true));
  const focused = layers.contains(document.activeElement) ? document.activeElement.value : null;
  for (const old of stack.querySelectorAll(".layer")) old.remove();
  for (const old of layers.querySelectorAll("label")) old.remove();
  const files = Object.entries(JSON.parse(link.dataset.layers));
  layers.hidden = files.length === 0;
  document.getElementById("viewer-legend").hidden = !files.some(([name]) => name === "masks");
  for (const [name, file] of files) {
    const layer = new Image();
    layer.className = "layer";
    layer.alt = "";
    layer.hidden = !chosen.has(name);
    layer.src = file;
    stack.append(layer);
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = name;
    box.checked = chosen.has(name);
    box.addEventListener("change", () => {
      layer.hidden = !box.checked;
      if (box.checked) chosen.add(name);
      else chosen.delete(name);
    });
    label.append(box, ` ${name}`);
    layers.append(label);
  }
  if (focused !== null) { // the checkbox with the focus was replaced: keys would go nowhere
    (layers.querySelector(`[value="${focused}"]`) || document.getElementById("viewer-close")).focus();
  }
}

function move(direction) {
  const cell = shown.closest("td");
  const sideways = { left: -1, right: 1 }[direction] || 0;
  let row = cell.parentElement;
  for (;;) {
    if (direction === "up") row = row.previousElementSibling;
    if (direction === "down") row = row.nextElementSibling;
    if (!row) return;
    const next = row.cells[cell.cellIndex + sideways];
    const link = next && next.querySelector("a.view");
    if (link) return show(link);
    if (sideways) return;
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.view");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(link);
  viewer.showModal();
});
viewer.addEventListener("click", (event) => {
  if (event.target === viewer || event.target.id === "viewer-close") viewer.close();
  if (event.target.dataset.move) move(event.target.dataset.move);
});
viewer.addEventListener("keydown", (event) => {
  if (event.key.startsWith("Arrow") && event.target.type !== "radio") {
    event.preventDefault();
    move(event.key.slice(5).toLowerCase());
  }
});
viewer.addEventListener("close", () => shown && shown.focus());
