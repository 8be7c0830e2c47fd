/* The matching page: what follows from a choice is shown at once, and nothing typed gets lost. */
"use strict";

(() => {
  const TYPING = 300; /* ms after the last key */
  const form = () => document.getElementById("mapping");
  const sent = new Map(); /* by id: a part's HTML as the server last sent it */
  let asked = null;
  let timer = null;
  let unsaved = false;
  let latest = null; /* what was shown last; a part that was typed into takes it later */

  const partsOf = (root) => [...root.querySelectorAll("[data-part]")];

  function note(root) {
    for (const part of partsOf(root)) {
      sent.set(part.id, part.outerHTML);
      if (part.dataset.rows) for (const row of rowsOf(part)) sent.set(row.id, row.outerHTML);
    }
  }

  const rowsOf = (part) => [...part.querySelectorAll("[id^=map-row-]")];

  /* What somebody types into stays; a click on it is no reason to. */
  const isTyping = (element) =>
    element.contains(document.activeElement) &&
    document.activeElement.matches("textarea, input:not([type=radio], [type=checkbox])");

  function replace(old, fresh) {
    const html = fresh.outerHTML;
    const others = old.dataset.header !== fresh.dataset.header; /* other columns */
    if (sent.get(old.id) === html || (isTyping(old) && !others)) return;
    sent.set(old.id, html);
    const open = [...old.querySelectorAll("details[id][open]"), ...(old.matches("details[open]") ? [old] : [])];
    const node = document.importNode(fresh, true);
    for (const one of open) {
      const same = node.id === one.id ? node : node.querySelector(`#${CSS.escape(one.id)}`);
      if (same) same.open = true;
    }
    const scrolled = old.querySelector(".map-records")?.scrollTop;
    old.replaceWith(node);
    if (scrolled) node.querySelector(".map-records")?.scrollTo({ top: scrolled });
  }

  function show(fresh) {
    const focused = document.activeElement?.id;
    for (const part of partsOf(fresh)) {
      const old = document.getElementById(part.id);
      if (!old) { /* a part that was not there: all is another file now */
        form().replaceWith(document.importNode(fresh, true));
        note(form());
        setUp();
        break;
      }
      const same = ["rows", "header"].every((name) => part.dataset[name] === old.dataset[name]);
      if (same && rowsOf(part).length) {
        const before = new Map(rowsOf(old).map((row) => [row.id, row]));
        for (const row of rowsOf(part)) if (before.has(row.id)) replace(before.get(row.id), row);
      } else replace(old, part);
    }
    for (const old of partsOf(form())) {
      if (old.isConnected && !fresh.querySelector(`#${CSS.escape(old.id)}`)) old.remove();
    }
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  function tell(element) {
    document.getElementById("map-gone")?.remove();
    if (element) form().prepend(element);
  }

  function sentence(text) {
    const box = document.createElement("p");
    box.id = "map-gone";
    box.className = "pi-alert pi-alert-error";
    box.setAttribute("role", "alert");
    box.textContent = text;
    return box;
  }

  /* A button that makes something first has its own address; the page that follows is the same. */
  async function recompute(button) {
    clearTimeout(timer);
    timer = null;
    asked?.abort();
    const mine = new AbortController();
    asked = mine;
    form().setAttribute("aria-busy", "true");
    try {
      const body = new FormData(form());
      if (button) body.set(button.name, button.value);
      const answer = await fetch(button ? button.formAction : form().dataset.previewUrl, {
        method: "POST",
        body,
        headers: { "HX-Request": "true" },
        signal: mine.signal,
      });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine.signal.aborted) return;
      const fresh = page.getElementById("mapping");
      const gone = page.getElementById("map-gone");
      if (fresh) { tell(null); latest = fresh; show(fresh); }
      else if (gone) { unsaved = false; tell(document.importNode(gone, true)); }
      else tell(sentence(`The server answered ${answer.status}. Your choices are kept on this page; try again.`));
    } catch (error) {
      if (error.name !== "AbortError") tell(sentence("The server cannot be reached. Your choices are kept on this page; try again."));
    } finally {
      if (asked === mine) { asked = null; form().removeAttribute("aria-busy"); }
    }
  }

  function setUp() {
    const button = document.getElementById("map-show"); /* each choice shows what follows from it */
    button.hidden = true;
  }

  const remembered = (element) => ["supplier", "format_name"].includes(element.name);

  document.addEventListener("change", (event) => {
    if (!form()?.contains(event.target)) return;
    unsaved = true;
    if (!remembered(event.target)) recompute();
  });
  document.addEventListener("input", (event) => {
    if (!form()?.contains(event.target)) return;
    unsaved = true;
    if (remembered(event.target) || !event.target.matches("textarea, input:not([type=radio], [type=checkbox])")) return;
    clearTimeout(timer);
    timer = setTimeout(recompute, TYPING);
  });
  document.addEventListener("keydown", (event) => {
    const field = event.target;
    if (event.key !== "Enter" || !form()?.contains(field) || !field.matches("input")) return;
    event.preventDefault();
    if (remembered(field)) document.getElementById("map-continue").click();
    else recompute(); /* a rule is written, and the import does not go on by that */
  });
  document.addEventListener("focusout", (event) => {
    if (!form()?.contains(event.target)) return;
    setTimeout(() => { if (latest && !asked && !timer) show(latest); });
  });
  document.addEventListener("submit", (event) => {
    if (event.target === form()) unsaved = false;
  });
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("#mapping button[name=make]");
    if (!button) return;
    event.preventDefault();
    unsaved = true;
    recompute(button);
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest('#map-asked a[href^="#"]');
    const target = link && document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    if (target.matches("details")) target.open = true;
    target.scrollIntoView({ block: "center" });
    (target.matches("select, input") ? target : target.querySelector("select, input"))?.focus({ preventScroll: true });
  });

  document.addEventListener("DOMContentLoaded", () => {
    if (!form()) return;
    note(form());
    setUp();
  });
})();
