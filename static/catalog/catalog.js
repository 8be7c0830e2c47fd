/* Product pages: cells edited in place, selection across pages, progress of a change set. */
"use strict";

(() => {
  const results = () => document.getElementById("results");
  const rows = () => [...document.querySelectorAll("#products tbody tr")];
  const box = (row) => row?.querySelector("input[name=id]");

  /* --- A cell: a click opens it, Enter saves, Tab saves and goes on, Escape leaves ----------- */

  let after = null; /* where the focus goes after a swap: a row's number, and a field to open */

  function openCell(row, field) {
    if (!row?.dataset.rowUrl) return;
    const url = new URL(row.dataset.rowUrl, window.location.href);
    if (field) url.searchParams.set("edit", field);
    window.htmx.ajax("GET", url.pathname + url.search, { target: row, swap: "outerHTML" });
  }

  const fieldsOf = (row) => [...row.querySelectorAll("td[data-edit]")].filter((cell) => cell.offsetParent);

  function submit(form, { next = "", quiet = false } = {}) {
    if (form.dataset.sent) return;
    form.dataset.sent = "true";
    form.elements.next.value = next;
    form.elements.quiet.value = quiet ? "1" : "";
    for (const field of form.querySelectorAll(".pi-input")) field.readOnly = true; /* until the answer is there */
    form.requestSubmit();
  }

  function neighbour(form, step) {
    const row = form.closest("tr");
    const cells = fieldsOf(row);
    const place = cells.indexOf(form.closest("td")) + step;
    if (cells[place]) { submit(form, { next: cells[place].dataset.edit }); return; }
    const all = rows();
    const other = all[all.indexOf(row) + Math.sign(step)];
    if (other) {
      const fields = fieldsOf(other);
      after = { id: other.dataset.id, field: fields[step > 0 ? 0 : fields.length - 1].dataset.edit };
    } else after = { id: row.dataset.id };
    submit(form);
  }

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const edit = event.target.closest("[data-edit-row]");
    if (edit && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      editRow(edit.closest("tr"));
      return;
    }
    const cell = event.target.closest("#products td[data-edit]");
    if (!cell || event.target.closest("a, input, button, select, textarea, form")) return;
    if (window.getSelection().toString() || cell.closest("tr.pi-editing")) return;
    openCell(cell.closest("tr"), cell.dataset.edit);
  });

  function editRow(row) {
    const first = fieldsOf(row).find((cell) => cell.dataset.edit !== "sku") ?? fieldsOf(row)[0];
    if (first) openCell(row, first.dataset.edit);
  }

  /* Another cell of the same row is clicked while one is open: it is what comes next. */
  document.addEventListener("mousedown", (event) => {
    const cell = event.target instanceof Element && event.target.closest("#products td[data-edit]");
    const form = cell && cell.closest("tr").querySelector("form.pi-cell");
    if (!form || cell.contains(form)) return;
    event.preventDefault();
    submit(form, { next: cell.dataset.edit });
  });

  document.addEventListener("keydown", (event) => {
    const form = event.target instanceof Element && event.target.closest("form.pi-cell");
    if (!form || form.dataset.sent) {
      if (form) event.preventDefault(); /* on its way: what is typed now belongs nowhere */
      return;
    }
    const row = form.closest("tr");
    if (event.key === "Escape") {
      event.preventDefault();
      after = { id: row.dataset.id };
      form.dataset.sent = "true";
      openCell(row, "");
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      after = { id: row.dataset.id };
      submit(form);
    } else if (event.key === "Tab" && !event.altKey && !event.ctrlKey) {
      event.preventDefault();
      neighbour(form, event.shiftKey ? -1 : 1);
    }
  });

  /* Sent once, whichever way: the swap that follows takes the focus out of the form. */
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form.pi-cell")) event.target.dataset.sent = "true";
  }, true);

  /* Who goes elsewhere has ended the cell: it is saved, and the focus stays where it went. */
  document.addEventListener("focusout", (event) => {
    const form = event.target instanceof Element && event.target.closest("form.pi-cell");
    if (!form || form.dataset.sent || !document.hasFocus() || form.contains(event.relatedTarget)) return;
    if (form.isConnected) submit(form, { quiet: true });
  });

  function reopen() { /* what was not answered can be tried again */
    for (const form of document.querySelectorAll("form.pi-cell[data-sent]")) {
      delete form.dataset.sent;
      for (const field of form.querySelectorAll(".pi-input")) field.readOnly = false;
    }
  }

  /* --- Selection: kept for the filter in force, over its pages ------------------------------ */

  /* Either what is ticked, or everything that matches but for what was unticked. */
  const key = () => `selection?${results()?.dataset.selection ?? ""}`;
  function read() {
    const { all = false, ids = [] } = JSON.parse(sessionStorage.getItem(key()) || "{}");
    return { all, ids: new Set(ids) };
  }
  function write({ all, ids }) {
    if (all || ids.size) sessionStorage.setItem(key(), JSON.stringify({ all, ids: [...ids] }));
    else sessionStorage.removeItem(key());
  }

  function showSelection() {
    const form = document.getElementById("bulk-form");
    if (!form) return;
    const { all, ids } = read();
    const boxes = rows().map(box);
    for (const one of boxes) {
      one.checked = ids.has(one.value) !== all;
      one.closest("tr").classList.toggle("pi-picked", one.checked);
    }
    const page = document.querySelector("[data-pick-page]");
    page.hidden = false;
    page.checked = boxes.length > 0 && boxes.every((one) => one.checked);
    page.indeterminate = !page.checked && boxes.some((one) => one.checked);
    const total = Number(results().dataset.total);
    /* How many match may still be counted: then it is said without the number. */
    const uncounted = all && Number.isNaN(total);
    const count = all ? total - ids.size : ids.size;
    form.elements.everything.checked = all;
    form.toggleAttribute("data-empty", !count && !uncounted);
    form.elements.ids.value = all ? "" : [...ids].join(",");
    form.elements.without.value = all ? [...ids].join(",") : "";
    form.querySelector("[data-picked]").textContent = uncounted
      ? `All that match${ids.size ? ` but ${ids.size.toLocaleString("en")}` : ""} selected:`
      : all && ids.size
      ? `${count.toLocaleString("en")} of ${total.toLocaleString("en")} selected:`
      : `${count.toLocaleString("en")} selected:`;
    form.querySelector("[data-unpick]").hidden = false;
  }

  function pick(boxes, on) {
    const picked = read();
    for (const one of boxes) {
      if (on !== picked.all) picked.ids.add(one.value);
      else picked.ids.delete(one.value);
    }
    if (picked.all && picked.ids.size >= Number(results().dataset.total)) picked.all = picked.ids.clear() ?? false;
    write(picked);
    showSelection();
  }

  let last = null; /* the box that was ticked last: a range with Shift begins there */
  let shift = false;
  document.addEventListener("click", (event) => { shift = event.shiftKey; }, true);

  function pickOne(one) {
    const boxes = rows().map(box);
    const [from, to] = [boxes.findIndex((other) => other.value === last), boxes.indexOf(one)];
    const range = shift && from >= 0 ? boxes.slice(Math.min(from, to), Math.max(from, to) + 1) : [one];
    last = one.value;
    pick(range, one.checked);
  }

  document.addEventListener("change", (event) => {
    const one = event.target;
    if (!(one instanceof HTMLInputElement)) return;
    if (one.matches("#products input[name=id]")) pickOne(one);
    if (one.matches("[data-pick-page]")) pick(rows().map(box), one.checked);
    if (one.matches("#bulk-form [name=everything]")) {
      write({ all: one.checked, ids: new Set() });
      showSelection();
    }
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-unpick]")) return;
    write({ all: false, ids: new Set() });
    showSelection();
    box(rows()[0])?.focus();
  });

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "bulk-form") return;
    showSelection(); /* the hidden fields have what other pages hold */
  });

  function forgetSelections() {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith("selection?")) sessionStorage.removeItem(name);
  }

  /* --- Keys in the list: j and k move, x ticks, e edits, b goes to the selection bar --------- */

  document.addEventListener("pi:key", (event) => {
    const all = rows();
    if (!all.length) return;
    const here = all.findIndex((row) => row.contains(document.activeElement));
    const go = (row) => { box(row).focus(); row.scrollIntoView({ block: "nearest" }); };
    const acts = {
      j: () => go(all[Math.min(here + 1, all.length - 1)]),
      k: () => go(all[Math.max(here - 1, 0)]),
      x: () => { const row = all[Math.max(here, 0)]; box(row).focus(); shift = false; box(row).click(); },
      e: () => { if (here >= 0) editRow(all[here]); },
      b: () => document.querySelector("#bulk-form:not([data-empty]) button")?.focus(),
    };
    if (acts[event.detail]) { acts[event.detail](); event.preventDefault(); }
  });

  /* --- Columns: their order is that of the form ------------------------------------------- */

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-move]");
    if (!button) return;
    event.preventDefault(); /* without scripts, the form does it */
    const item = button.closest("li");
    const other = button.dataset.move < 0 ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    if (button.dataset.move < 0) other.before(item);
    else other.after(item);
    button.focus();
    const place = [...item.parentElement.children].indexOf(item) + 1;
    const announce = document.getElementById("pi-announce");
    if (announce) announce.textContent = `${item.textContent.trim().split("\n")[0]} is column ${place}`;
  });

  /* --- The filter form and the address say the same ------------------------------------------ */

  function followState() {
    reopen();
    if (!results()) return;
    results().closest("main").dataset.scripted = "";
    document.getElementById("product-ordering").value = results().dataset.ordering;
    for (const field of document.querySelectorAll("[data-place-field]")) field.value = results().dataset.place;
    showSelection();
    const target = after && document.querySelector(`#products tr[data-id="${after.id}"]`);
    if (!target || target.querySelector("form.pi-cell")) { after = target ? null : after; return; }
    const { field } = after;
    after = null;
    box(target).focus();
    if (field) openCell(target, field);
  }

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.elt.id !== "product-filters") return;
    const given = event.detail.parameters;
    for (const name of Object.keys(given)) if (given[name] === "") delete given[name];
  });
  document.addEventListener("htmx:afterSettle", followState);
  document.addEventListener("htmx:sendError", () => {
    reopen();
    tell("The server cannot be reached. Nothing was saved; try again.");
  });
  document.addEventListener("htmx:responseError", (event) => {
    reopen();
    tell(
      event.detail.xhr.status === 404
        ? "This product is not there any more: somebody deleted it."
        : `The server answered ${event.detail.xhr.status}. Nothing was saved; try again.`);
  });

  function tell(sentence) {
    const told = document.createElement("p");
    told.className = "pi-alert pi-alert-error";
    told.setAttribute("role", "alert");
    told.textContent = sentence;
    document.getElementById("pi-told").replaceChildren(told);
  }

  /* What a worker did is in the list at once. */
  document.addEventListener("pi:done", () => {
    if (!results()) return;
    const url = window.location.pathname + window.location.search;
    window.htmx.ajax("GET", url, { target: "#results", swap: "outerHTML" });
  });

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
    /* An act on the selection has begun: it is not selected any more. */
    if (document.querySelector("[data-follow]") || document.getElementById("change-panel")) forgetSelections();
    followState();
    if (document.getElementById("change-panel")?.dataset.final === "false") followChange();
  });
})();
