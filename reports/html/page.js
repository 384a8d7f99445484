// Sorting by a click on a header, filtering by words, and numbers behind a figure as a file. Without this script the tables
// stand in the order in which they were made.
"use strict";
const element = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const makeSortable = (table) => {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = element("button", { type: "button", textContent: header.textContent });
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      const compare = (first, second) => {
        const a = key(first), b = key(second);
        if (a !== undefined && b !== undefined) return direction * (Number(a) - Number(b));
        if (a !== undefined || b !== undefined) return a === undefined ? 1 : -1;  // what has no number stays last
        return direction * first.cells[column].textContent.localeCompare(second.cells[column].textContent);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
};

const MIN_ROWS = 6;  // a shorter table is seen at a glance
const makeFilterable = (table) => {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < MIN_ROWS) return;
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const input = element("input", { type: "search", placeholder: "words that a row must hold", autocomplete: "off" });
  const told = element("output");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => texts.get(row).includes(word));
    told.value = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  });
  const label = element("label", {}, "Filter ", input);
  table.closest(".scroll").before(element("p", { className: "filter" }, label, " ", told));
};

const makeSavable = (details) => {
  const button = element("button", { type: "button", textContent: "Save as CSV" });
  button.addEventListener("click", () => {
    const content = new Blob([details.querySelector("pre").textContent], { type: "text/csv" });
    const link = element("a", { href: URL.createObjectURL(content), download: `${details.dataset.name}.csv` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
  details.querySelector("summary").after(button);
};

document.querySelectorAll("table.sortable").forEach((table) => {
  makeFilterable(table);
  makeSortable(table);
});
document.querySelectorAll("details.csv").forEach(makeSavable);
