"use strict";
// Sorts the flip ledger by a column and filters it by text. Without this script the page shows all.
const ledger = document.getElementById("ledger-table");
if (ledger) {
  const body = ledger.tBodies[0];
  const status = document.getElementById("ledger-status");
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  ledger.querySelectorAll("th button").forEach((button) => {
    const header = button.closest("th");
    button.addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") !== "descending";
      ledger.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) =>
        value(a, header.cellIndex).localeCompare(value(b, header.cellIndex), "en", { numeric: true });
      const rows = [...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b)));
      body.append(...rows);
      status.textContent = `Sorted by ${button.textContent}, ${down ? "descending" : "ascending"}.`;
    });
  });
  document.getElementById("ledger-filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    status.textContent = `${shown} examples shown.`;
  });
}
