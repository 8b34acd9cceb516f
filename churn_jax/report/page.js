"use strict";
// The flip ledger: its rows are drawn from packed columns as they are wanted, sorted, filtered and
// saved. Without this script the page has the first rows, and a matrix is a table of links.
const element = (id) => document.getElementById(`ledger-${id}`);
const CHUNK = 200; // rows, as many as the page begins with

// What report/flips.py packed.
const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(plain).json();
};

const ledger = (columns, texts, { kinds, groups, total }) => {
  const table = element("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.dataset.column);
  const { ids, changes, pairs, names: classes, votes, labels, kinds: kindOf, gaps } = columns;
  const slices = columns.slices ?? [];
  const number = new Intl.NumberFormat("en");
  const pictures = new Map(
    [...body.rows]
      .map((row, i) => [ids[i], row.querySelector("img")?.src])
      .filter(([, source]) => source)
  );
  const every = ids.map((id, i) => i);
  const nothing = { kind: "", label: "", from: "", to: "", slice: "", text: "" };
  let asked = { ...nothing };
  let order = every; // all rows as they are sorted
  let shown = every; // those of them that are asked for
  let drawn = body.rows.length;

  // ---- what a row says
  const predicted = (group, i) => {
    const found = [];
    const flat = votes[group][i];
    for (let k = 0; k < flat.length; k += 2) found.push([flat[k], flat[k + 1]]);
    return found;
  };
  const said = (group, i) =>
    predicted(group, i)
      .map(([code, count]) => classes[code] + (groups[group][1] > 1 ? ` ×${count}` : ""))
      .join(", ");
  const columnsOf = {
    id: (i) => ids[i],
    text: (i) => texts[i] ?? "",
    kind: (i) => kinds[kindOf[i]][1],
    changes: (i) => `${((100 * changes[i]) / pairs).toFixed(0)} %`,
    gaps: (i) => (gaps[i] / 1000).toFixed(3),
    labels: (i) => classes[labels[i]],
  };
  const numeric = {
    kind: (i) => kindOf[i],
    changes: (i) => changes[i] / pairs,
    gaps: (i) => gaps[i] / 1000,
  };
  const text = (name, i) => (columnsOf[name] ? columnsOf[name](i) : said(+name, i));

  // ---- drawing
  const add = (parent, tag, content = "", role = "") => {
    const made = document.createElement(tag);
    if (role) made.className = role;
    made.append(content);
    parent.append(made);
    return made;
  };
  const drawVotes = (cell, group, i) => {
    cell.className = "votes";
    const found = predicted(group, i);
    const runs = groups[group][1];
    if (labels && runs > 1) {
      const right = found.find(([code]) => code === labels[i])?.[1] ?? 0;
      add(cell, "span", "", "share").style.setProperty("--right", `${Math.round((100 * right) / runs)}%`);
    }
    found.forEach(([code, count], k) => {
      if (k) cell.append(", ");
      if (labels) {
        const good = code === labels[i];
        add(cell, "span", good ? "✓" : "✗", good ? "mark-good" : "mark-bad");
        cell.append(" ");
      }
      cell.append(classes[code] + (runs > 1 ? ` ×${count}` : ""));
    });
  };
  const draw = (i) => {
    const row = document.createElement("tr");
    row.tabIndex = -1;
    for (const name of names) {
      if (name === undefined) {
        const cell = add(row, "td");
        if (pictures.has(ids[i])) {
          const image = add(cell, "img");
          image.src = pictures.get(ids[i]);
          image.alt = `example ${ids[i]}`;
        }
      } else if (columnsOf[name]) {
        const cell = add(row, name === "id" ? "th" : "td", text(name, i));
        if (name === "id") cell.scope = "row";
        if (name === "text") cell.className = "text";
      } else {
        drawVotes(add(row, "td"), +name, i);
      }
    }
    return row;
  };
  const drawMore = () => {
    body.append(...shown.slice(drawn, drawn + CHUNK).map(draw));
    drawn = Math.min(drawn + CHUNK, shown.length);
    tell();
  };
  const tell = (before = "") => {
    const all = `${number.format(ids.length)} ${ids.length === 1 ? "example" : "examples"}`;
    const count = shown.length === ids.length ? all : `${number.format(shown.length)} of ${all}`;
    const part = drawn < shown.length ? `, the first ${number.format(drawn)} shown` : " shown";
    const move = asked.from ? `: from ${asked.from} to ${asked.to}` : "";
    const lost = ids.length < total ? ` Of ${number.format(total)} that change these are here.` : "";
    element("status").textContent = `${before}${count}${part}${move}.${lost}`;
    element("more").hidden = drawn >= shown.length;
    element("more").textContent = `Show more of ${number.format(shown.length)}`;
    element("csv").disabled = shown.length === 0;
  };

  // ---- choosing
  let texts_to_search = null;
  const searchable = (i) => {
    texts_to_search ??= ids.map((id, k) =>
      [id, ...names.filter((name) => name && name !== "id").map((name) => text(name, k))]
        .join(" ")
        .toLowerCase()
    );
    return texts_to_search[i];
  };
  const says = (group, i, code) => votes[group][i].some((value, k) => k % 2 === 0 && value === code);
  const matches = () => {
    const place = (name) => (name === "" ? null : classes.indexOf(name));
    const kind = asked.kind === "" ? null : kinds.findIndex(([key]) => key === asked.kind);
    const [label, from, to] = [asked.label, asked.from, asked.to].map(place);
    const wanted = asked.text.trim().toLowerCase();
    const [by, part] = asked.slice === "" ? [] : asked.slice.split(" ").map(Number);
    const last = groups.length - 1;
    const moves = (i) =>
      last > 0
        ? says(0, i, from) && says(last, i, to)
        : says(0, i, from) && says(0, i, to);
    return order.filter(
      (i) =>
        (kind === null || kindOf[i] === kind) &&
        (label === null || labels[i] === label) &&
        (by === undefined || slices[by][2][i] === part) &&
        (from === null || moves(i)) &&
        (wanted === "" || searchable(i).includes(wanted))
    );
  };
  const show = (before = "") => {
    shown = matches();
    drawn = 0;
    body.replaceChildren();
    element("scroll").scrollTop = 0;
    drawMore();
    tell(before);
  };
  // Brings what is asked for and what the controls say together.
  const ask = (wanted) => {
    asked = { ...asked, ...wanted };
    for (const button of document.querySelectorAll("#ledger-kinds button"))
      button.setAttribute("aria-pressed", button.dataset.kind === asked.kind);
    for (const [id, key] of [["class", "label"], ["slice", "slice"], ["filter", "text"]])
      if (element(id) && element(id).value !== asked[key]) element(id).value = asked[key];
    show();
  };
  const sort = (name, down) => {
    for (const other of heads) other.removeAttribute("aria-sort");
    const head = heads[names.indexOf(name)];
    head?.setAttribute("aria-sort", down ? "descending" : "ascending");
    const { compare } = new Intl.Collator("en", { numeric: true });
    const keys = every.map(numeric[name] ?? ((i) => text(name, i)));
    const up = numeric[name] ? (a, b) => keys[a] - keys[b] : (a, b) => compare(keys[a], keys[b]);
    order = [...every].sort(down ? (a, b) => up(b, a) : up);
    show(head ? `Sorted by ${head.textContent.trim()}, ${down ? "descending" : "ascending"}. ` : "");
  };

  heads.forEach((head, k) => {
    head.querySelector("button")?.addEventListener("click", () =>
      sort(names[k], head.getAttribute("aria-sort") !== "descending")
    );
  });
  element("kinds")?.addEventListener("click", ({ target }) => {
    if (target.dataset.kind !== undefined) ask({ kind: target.dataset.kind });
  });
  element("filter").addEventListener("input", ({ target }) => ask({ text: target.value }));
  element("slice")?.addEventListener("change", ({ target }) => ask({ slice: target.value }));
  for (const event of ["input", "change"]) {
    // A class counts once its name is whole.
    element("class")?.addEventListener(event, ({ target }) => {
      if (target.value === "" || classes.includes(target.value)) ask({ label: target.value });
    });
  }
  element("all").addEventListener("click", () => ask(nothing));
  element("more").addEventListener("click", drawMore);
  // Scrolling to the end draws more, too.
  new IntersectionObserver(([seen]) => seen.isIntersecting && drawn && drawMore(), {
    root: element("scroll"),
  }).observe(element("more"));

  // Links to the flips of a kind, a class, a slice or a move: these and nothing else, and there.
  const sliceNamed = (by, name) => {
    const place = slices.findIndex(([of]) => of === by);
    return `${place} ${slices[place][1].indexOf(name)}`;
  };
  for (const link of document.querySelectorAll('a[href="#ledger"]')) {
    const { kind = "", class: label = "", slice, by, from = "", to = "", sort: key, order: way } = link.dataset;
    link.addEventListener("click", () => {
      if (key && names.includes(key)) sort(key, way !== "ascending");
      ask({ ...nothing, kind, label, from, to, slice: slice === undefined ? "" : sliceNamed(by, slice) });
      setTimeout(() => body.rows[0]?.focus()); // after the browser has gone to the section
    });
  }

  // ---- saving
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  element("csv").addEventListener("click", () => {
    const kept = heads.filter((head) => head.dataset.column !== undefined);
    const cell = (name, i) =>
      quoted(name !== "kind" && numeric[name] ? String(numeric[name](i)) : text(name, i));
    const lines = [
      kept.map((head) => quoted(head.textContent.trim())).join(","),
      ...shown.map((i) => kept.map((head) => cell(head.dataset.column, i)).join(",")),
    ];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
    link.download = "flips.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  element("controls").hidden = false;
  tell();
};

const begin = async () => {
  const read = (id) => element(id)?.textContent;
  const columns = await unpack(read("data"));
  const texts = read("texts") ? await unpack(read("texts")) : [];
  ledger(columns, texts, JSON.parse(read("about")));
  document.body.dataset.ready = performance.now().toFixed(0);
};
if (element("data") && typeof DecompressionStream === "function") begin();

// What is folded is printed, too.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
});

// The matrix is one stop of the tab key; arrow keys move within it.
const matrix = document.getElementById("moves-table");
if (matrix) {
  const links = [...matrix.querySelectorAll("a")];
  links.slice(1).forEach((link) => (link.tabIndex = -1));
  const place = (link) => [link.closest("tr").rowIndex, link.closest("td").cellIndex];
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  matrix.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.target.tagName !== "A") return;
    event.preventDefault();
    let [row, column] = place(event.target);
    let found = null;
    do {
      row += step[0];
      column += step[1];
      found = matrix.rows[row]?.cells[column]?.querySelector("a");
    } while (!found && matrix.rows[row]?.cells[column]);
    if (!found) return;
    event.target.tabIndex = -1;
    found.tabIndex = 0;
    found.focus();
  });
}
