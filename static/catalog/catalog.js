/* Product pages: edit in place, selection across pages, progress of a change set. */
"use strict";

(() => {
  const results = () => document.getElementById("results");

  /* --- Edit in place: a click on a cell, Enter saves, Escape leaves ------------------------ */

  function openRow(row, field) {
    if (!row?.dataset.rowUrl) return;
    const url = new URL(row.dataset.rowUrl, window.location.href);
    if (field) url.searchParams.set("edit", field);
    window.htmx.ajax("GET", url.pathname + url.search, { target: row, swap: "outerHTML" });
  }

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const leave = event.target.closest("[data-leave]");
    if (leave) { openRow(leave.closest("tr"), ""); return; }
    const edit = event.target.closest("[data-edit-row]");
    if (edit && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      openRow(edit.closest("tr"), "name");
      return;
    }
    const cell = event.target.closest("td[data-edit]");
    if (!cell || event.target.closest("a, input, button") || window.getSelection().toString()) return;
    openRow(cell.closest("tr"), cell.dataset.edit);
  });

  document.addEventListener("keydown", (event) => {
    const row = event.target instanceof Element && event.target.closest("tr.pi-editing");
    if (!row) return;
    if (event.key === "Escape") { event.preventDefault(); openRow(row, ""); }
    if (event.key === "Enter" && !event.shiftKey && event.target.tagName === "TEXTAREA") {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });

  /* --- Selection: kept for the filter in force, over its pages ------------------------------ */

  const key = () => `selection?${results()?.dataset.selection ?? ""}`;
  const read = () => new Set(JSON.parse(sessionStorage.getItem(key()) || "[]"));
  function write(picked) {
    if (picked.size) sessionStorage.setItem(key(), JSON.stringify([...picked]));
    else sessionStorage.removeItem(key());
  }

  function showSelection() {
    const form = document.getElementById("bulk-form");
    if (!form) return;
    const picked = read();
    const boxes = [...document.querySelectorAll("#products input[name=id]")];
    for (const box of boxes) {
      box.checked = picked.has(box.value);
      box.closest("tr").classList.toggle("pi-picked", box.checked);
    }
    const page = document.querySelector("[data-pick-page]");
    page.hidden = false;
    page.checked = boxes.length > 0 && boxes.every((box) => box.checked);
    page.indeterminate = !page.checked && boxes.some((box) => box.checked);
    const everything = form.elements.everything.checked;
    form.toggleAttribute("data-empty", !picked.size && !everything);
    form.elements.ids.value = [...picked].join(",");
    form.querySelector("[data-picked]").textContent = everything
      ? "Everything that matches is selected:"
      : `${picked.size.toLocaleString("en")} selected:`;
    form.querySelector("[data-unpick]").hidden = false;
  }

  function pick(boxes, on) {
    const picked = read();
    for (const box of boxes) {
      if (on) picked.add(box.value);
      else picked.delete(box.value);
    }
    write(picked);
    showSelection();
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement)) return;
    if (box.matches("#products input[name=id]")) pick([box], box.checked);
    if (box.matches("[data-pick-page]")) pick(document.querySelectorAll("#products input[name=id]"), box.checked);
    if (box.matches("#bulk-form [name=everything]")) showSelection();
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-unpick]")) return;
    document.getElementById("bulk-form").elements.everything.checked = false;
    write(new Set());
    showSelection();
  });

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "bulk-form") return;
    showSelection(); /* the hidden field has what other pages hold */
  });

  function forgetSelections() {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith("selection?")) sessionStorage.removeItem(name);
  }

  /* --- The filter form and the address say the same ------------------------------------------ */

  function followState() {
    if (!results()) return;
    results().closest("main").dataset.live = "";
    document.getElementById("product-ordering").value = results().dataset.ordering;
    showSelection();
  }

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.elt.id !== "product-filters") return;
    const given = event.detail.parameters;
    const columns = document.querySelectorAll("#product-filters [name=column]");
    if ([...columns].every((box) => box.checked)) delete given.column;
    for (const name of Object.keys(given)) if (given[name] === "") delete given[name];
    if (given.page_size === "50") delete given.page_size;
  });
  document.addEventListener("htmx:afterSettle", followState);
  document.addEventListener("htmx:sendError", () => tell("The server cannot be reached. Nothing was saved; try again."));
  document.addEventListener("htmx:responseError", (event) => tell(
    event.detail.xhr.status === 404
      ? "This product is not there any more: somebody deleted it."
      : `The server answered ${event.detail.xhr.status}. Nothing was saved; try again.`));

  function tell(sentence) {
    const box = document.createElement("p");
    box.className = "pi-alert pi-alert-error";
    box.setAttribute("role", "alert");
    box.textContent = sentence;
    document.getElementById("pi-main").prepend(box);
  }

  /* --- A change set that is carried out ---------------------------------------------------- */

  function followChange() {
    const panel = () => document.getElementById("change-panel");
    async function refresh() {
      if (document.hidden) return;
      try {
        const answer = await fetch(panel().dataset.panelUrl, { headers: { "HX-Request": "true" } });
        if (!answer.ok) return;
        const before = panel().dataset.announce;
        window.htmx.swap("#change-panel", await answer.text(), { swapStyle: "outerHTML" });
        const now = panel().dataset.announce;
        if (now !== before) document.getElementById("pi-announce").textContent = now;
        if (panel().dataset.final === "true") {
          clearInterval(timer);
          window.location.reload(); /* with the list of what was done */
        }
      } catch { /* offline for a moment: the next time tries again */ }
    }
    const timer = setInterval(refresh, 700);
  }

  document.addEventListener("DOMContentLoaded", () => {
    followState();
    if (document.getElementById("change-panel")) forgetSelections(); /* it was carried out */
    if (document.getElementById("change-panel")?.dataset.final === "false") followChange();
  });
})();
