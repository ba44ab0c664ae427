"use strict";
// Controls that need a script are made by it: without one the page shows everything and has none of them.
{
  const LONG = 8; // rows: a longer table can be filtered
  const make = (name, properties) => Object.assign(document.createElement(name), properties);

  // --- tables: a click on a heading sorts, a second one the other way round

  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();

  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, "en", { numeric: true });
  };

  const sort = (table, column) => {
    const headings = [...table.tHead.rows[0].cells];
    const order = headings[column].ariaSort === "ascending" ? "descending" : "ascending";
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].ariaSort = order;
    const rows = [...table.tBodies[0].rows];
    const told = rows.filter((row) => !["", "–"].includes(value(row, column))); // nothing comes last, always
    const silent = rows.filter((row) => !told.includes(row));
    told.sort((a, b) => compare(value(a, column), value(b, column)));
    if (order === "descending") told.reverse();
    table.tBodies[0].append(...told, ...silent);
  };

  const makeSortable = (table) => {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = make("button", { type: "button", title: "Sort by this column" });
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column));
      heading.append(button);
    });
  };

  const makeFilter = (table) => {
    const rows = [...table.tBodies[0].rows];
    const label = make("label", { className: "filter", textContent: "Filter " });
    const input = make("input", { type: "search", placeholder: `${rows.length} rows` });
    const count = make("output", {});
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
      }
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = input.value.trim() ? `${shown} of ${rows.length} rows` : "";
    });
    label.append(input);
    const bar = make("p", { className: "tools" });
    bar.append(label, count);
    table.closest(".scroll").before(bar);
  };

  for (const table of document.querySelectorAll("table.data")) {
    makeSortable(table);
    if (table.tBodies[0].rows.length > LONG) makeFilter(table);
  }

  // --- sections: what is not asked first is closed; a link opens what it leads to, and paper all

  const sections = [...document.querySelectorAll("section > details")];
  document.querySelectorAll("details.shut").forEach((section) => (section.open = false));
  const contents = document.querySelector("nav.contents");
  if (contents && sections.length) {
    const button = make("button", { type: "button", className: "fold" });
    const closed = () => sections.some((section) => !section.open);
    const name = () => (button.textContent = `${closed() ? "Open" : "Close"} all sections`);
    button.addEventListener("click", () => {
      const open = closed();
      sections.forEach((section) => (section.open = open));
    });
    sections.forEach((section) => section.addEventListener("toggle", name));
    name();
    contents.append(button);
  }

  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    for (let one = target?.querySelector(":scope > details") ?? target; one; one = one.parentElement) {
      if (one.matches("details")) one.open = true;
    }
    target?.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)));
}
