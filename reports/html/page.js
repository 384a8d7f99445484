// Sorting by a click on a header. Without this script the tables stand in the order in which they were made.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
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
}
