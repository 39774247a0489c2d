"use strict";
// Tables that sort by a click on a header, hints where they can be scrolled, and
// buttons that copy a line. Without this script the page is complete, but stands still.
(() => {
  const figureOf = (cell) => {
    if (cell.dataset.value) return Number(cell.dataset.value);
    const found = cell.firstChild?.textContent.match(/-?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : NaN;
  };

  function compare(one, other, isNumeric) {
    if (!isNumeric) return one.textContent.localeCompare(other.textContent);
    const [a, b] = [figureOf(one), figureOf(other)];
    if (Number.isNaN(a) || Number.isNaN(b)) return 0;
    return a - b;
  }

  function sort(table, header, column) {
    const isUp = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const body = table.tBodies[0];
    const isEmpty = (row) => column > 0 && Number.isNaN(figureOf(row.cells[column]));
    const rows = [...body.rows].sort((one, other) => {
      // Rows without a figure stay below, whichever way is up.
      const empty = isEmpty(one) - isEmpty(other);
      const order = compare(one.cells[column], other.cells[column], column > 0);
      return empty || (isUp ? order : -order);
    });
    body.append(...rows);
  }

  // Rows of a grouped table belong under the row above them.
  for (const table of document.querySelectorAll("table.figures:not(.grouped)")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, header, column));
      header.append(button);
    });
  }

  const scrolled = [...document.querySelectorAll(".scroll")];
  const hint = (box) => {
    const left = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.parentElement.classList.toggle("more", left > 1);
  };
  for (const box of scrolled) {
    new ResizeObserver(() => hint(box)).observe(box);
    box.addEventListener("scroll", () => hint(box), { passive: true });
  }

  window.copyButton = (line) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const text = line.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        // A page opened as a file may have no clipboard: select, and copy as of old.
        getSelection().selectAllChildren(line.querySelector("code"));
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    line.append(button);
  };
  document.querySelectorAll(".paste").forEach(window.copyButton);
})();
