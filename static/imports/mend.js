/* Refused records: each cell is kept and checked while it is typed, by the import's own rules. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("mend");
  if (!form) return;
  const told = document.getElementById("mend-told");
  const waiting = new Map(); /* timers, by the name of the cell */
  let sending = Promise.resolve(); /* one after the other: the last that is typed is the last kept */

  const cell = (record, column) => form.elements[`cell-${record}-${column}`];

  function show(row) {
    const line = form.querySelector(`tr[data-record="${row.id}"]`);
    if (!line) return;
    line.dataset.state = row.state;
    const why = [row.problem, ...row.cells.map((one) => one.problem)].filter(Boolean);
    line.querySelector("[data-why]").textContent = row.state === "mended" ? "Mended" : why.join(" ");
    for (const { column, problem, alike } of row.cells) {
      const field = cell(row.id, column);
      if (!field) continue;
      if (problem) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
      field.title = problem;
      const button = form.querySelector(`button[value="${row.id}-${column}"]`);
      button.hidden = !alike || !(problem || field.dataset.typed);
      button.querySelector("span").textContent = alike.toLocaleString("en");
    }
  }

  async function send(body) {
    body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      const news = await answer.json();
      if (!answer.ok) { told.textContent = news.detail || "It could not be kept."; return null; }
      news.rows.forEach(show);
      const ready = document.getElementById("mend-ready");
      ready.textContent = news.ready.toLocaleString("en");
      ready.closest("button").disabled = !news.ready;
      told.textContent = "Kept.";
      return news;
    } catch {
      told.textContent = "The connection was lost: the last cell is not kept. Type it again.";
      return null;
    }
  }

  function keep(field) {
    clearTimeout(waiting.get(field.name));
    waiting.delete(field.name);
    const was = form.elements[field.name.replace("cell-", "was-")];
    sending = sending.then(async () => {
      const value = field.value;
      if (value === was.value) return;
      const body = new FormData();
      body.set(field.name, value);
      body.set(was.name, was.value);
      field.dataset.typed = "true";
      if (await send(body)) was.value = value;
    });
    return sending;
  }

  form.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.name?.startsWith("cell-")) return;
    clearTimeout(waiting.get(field.name));
    document.getElementById("mend-ready").closest("button").disabled = false; /* it is kept before the import */
    waiting.set(field.name, setTimeout(() => keep(field), 300));
  });
  form.addEventListener("change", (event) => event.target.name?.startsWith("cell-") && keep(event.target));
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || !event.target.name?.startsWith("cell-")) return;
    event.preventDefault(); /* to the same cell of the next record */
    const column = event.target.name.split("-")[2];
    const next = event.target.closest("tr").nextElementSibling;
    const field = next && cell(next.dataset.record, column);
    if (field) { field.focus(); field.select(); } else event.target.blur();
  });
  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    event.preventDefault();
    if (button?.name !== "replace") return;
    const [record, column] = button.value.split("-");
    await keep(cell(record, column));
    const body = new FormData();
    body.set("replace", button.value);
    if (await send(body)) window.location.reload(); /* the others are on other pages as well */
  });
  /* What is still typed is kept before the import, or another page, takes over. */
  document.querySelectorAll("form[action$='/mend/import/']").forEach((act) => act.addEventListener("submit", async (event) => {
    if (!waiting.size) return;
    event.preventDefault();
    for (const name of [...waiting.keys()]) await keep(form.elements[name]);
    act.submit();
  }));
});
