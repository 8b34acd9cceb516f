"use strict";
// Sorts and filters the flip ledger and saves what is shown. Without this script the page shows all.
const ledger = document.getElementById("ledger-table");
if (ledger) {
  const body = ledger.tBodies[0];
  const heads = [...ledger.tHead.rows[0].cells];
  const element = (id) => document.getElementById(`ledger-${id}`);
  const column = (name) => heads.findIndex((head) => head.dataset.column === name);
  const [kindColumn, labelColumn] = [column("kind"), column("label")];
  const kinds = [...document.querySelectorAll("#ledger-kinds button")];
  const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent;
  let kind = "";

  const show = (before = "") => {
    const text = element("filter").value.trim().toLowerCase();
    const label = element("class")?.value ?? "";
    let shown = 0;
    for (const row of body.rows) {
      row.hidden =
        (kind !== "" && row.cells[kindColumn].dataset.kind !== kind) ||
        (label !== "" && row.cells[labelColumn].textContent !== label) ||
        !row.textContent.toLowerCase().includes(text);
      shown += row.hidden ? 0 : 1;
    }
    const all = body.rows.length;
    const count = shown === all ? `${all}` : `${shown} of ${all}`;
    element("status").textContent = `${before}${count} ${all === 1 ? "example" : "examples"} shown.`;
    element("csv").disabled = shown === 0;
  };
  const choose = (wanted) => {
    kind = wanted;
    for (const button of kinds) button.setAttribute("aria-pressed", button.dataset.kind === kind);
  };

  heads.forEach((head, i) => {
    const button = head.querySelector("button");
    button?.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) => value(a, i).localeCompare(value(b, i), "en", { numeric: true });
      body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
      show(`Sorted by ${button.textContent}, ${down ? "descending" : "ascending"}. `);
    });
  });
  for (const button of kinds) {
    button.addEventListener("click", () => {
      choose(button.dataset.kind);
      show();
    });
  }
  element("filter").addEventListener("input", () => show());
  element("class")?.addEventListener("change", () => show());

  // Links to the flips of a kind, or of the class that the link names: these, and nothing else.
  for (const link of document.querySelectorAll("a[data-class], a[data-kind]")) {
    const { class: named, kind: wanted } = link.dataset;
    link.addEventListener("click", () => {
      choose(kinds.length ? (wanted ?? "") : "");
      if (element("class")) element("class").value = named === undefined ? "" : link.textContent;
      element("filter").value = "";
      show();
    });
  }

  // What a cell says, without the marks of right and wrong; numbers in full.
  const plain = (cell) =>
    cell.dataset.value !== undefined && cell.dataset.kind === undefined
      ? cell.dataset.value
      : [...cell.childNodes]
          .map((node) => (node.className?.startsWith("mark-") ? "" : node.textContent))
          .join("")
          .replace(/\s+/g, " ")
          .trim();
  const quoted = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  element("csv").addEventListener("click", () => {
    const rows = [ledger.tHead.rows[0], ...[...body.rows].filter((row) => !row.hidden)];
    const kept = heads.map((head, i) => i).filter((i) => heads[i].querySelector("button"));
    const lines = rows.map((row) => kept.map((i) => quoted(plain(row.cells[i]))).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
    link.download = "flips.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
