/* What every page has: keys, the box that finds everything, menus, messages that follow an act. */
"use strict";

(() => {
  const visible = (element) => element && element.offsetParent !== null;
  const find = (id) => document.getElementById(id);
  const inField = (element) => element instanceof Element
    && element.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog[open]");

  /* --- Focus: the value of the field in question is selected ---------------------------------- */

  document.addEventListener("focusin", (event) => {
    if (event.target instanceof Element && event.target.matches("[data-select]")) event.target.select?.();
  });

  /* --- Menus: by a real button; Escape closes, and gives the focus back ----------------------- */

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    const open = document.querySelector("[data-menu][aria-expanded=true]");
    if (open) { open.click(); open.focus(); }
    for (const menu of document.querySelectorAll("details.pi-menu[open]")) {
      if (!menu.contains(document.activeElement)) continue;
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  /* --- Leaving a form with changes asks ------------------------------------------------------- */

  const changed = (form) => [...form.elements].some((field) => field.name && field.type !== "hidden" && (
    field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== (field.defaultValue ?? field.value)));
  let sending = false;
  document.addEventListener("submit", () => { sending = true; setTimeout(() => { sending = false; }, 3000); });
  window.addEventListener("beforeunload", (event) => {
    const unsaved = [...document.querySelectorAll("form[data-ask-leave], form.pi-cell")].some(changed);
    if (unsaved && !sending) event.preventDefault();
  });

  /* --- Messages ---------------------------------------------------------------------------- */

  /* An Undo in a message ends where the person is by then. */
  document.addEventListener("submit", (event) => {
    const there = event.target.elements?.there;
    if (there && event.target.matches(".pi-undo-now")) there.value = window.location.pathname + window.location.search;
  }, true);

  async function follow() {
    const message = document.querySelector("[data-follow]");
    if (!message) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(message.dataset.follow, { headers: { "HX-Request": "true" } });
        if (answer.ok) {
          window.htmx.swap(message, await answer.text(), { swapStyle: "outerHTML" });
          if (!document.querySelector("[data-follow]")) document.dispatchEvent(new CustomEvent("pi:done"));
        } else if (answer.status < 500) return;
      } catch { /* offline for a moment: the next time tries again */ }
    }
    setTimeout(follow, 700);
  }

  /* --- The box that finds products, imports and pages: Ctrl+K --------------------------------- */

  function openFinder() {
    const dialog = find("pi-find");
    if (!dialog || dialog.open) return;
    dialog.showModal();
    dialog.querySelector("input").select();
    lookUp();
  }

  let asked = 0;
  async function lookUp() {
    const dialog = find("pi-find");
    const text = dialog.querySelector("input").value;
    const mine = ++asked;
    try {
      const answer = await fetch(`${dialog.dataset.url}?q=${encodeURIComponent(text)}`, { headers: { "HX-Request": "true" } });
      if (mine !== asked || !answer.ok) return; /* another letter was typed since */
      find("pi-found").innerHTML = await answer.text();
      point(0);
    } catch { /* offline for a moment: the next letter tries again */ }
  }

  const options = () => [...document.querySelectorAll("#pi-found [role=option]")];
  function point(place) {
    const all = options();
    all.forEach((option, number) => option.setAttribute("aria-selected", String(number === place)));
    all[place]?.scrollIntoView({ block: "nearest" });
    const input = find("pi-find").querySelector("input");
    if (all[place]) input.setAttribute("aria-activedescendant", all[place].id);
    else input.removeAttribute("aria-activedescendant");
  }

  function setUpFinder(dialog) {
    let timer = null;
    dialog.querySelector("input").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(lookUp, 120); });
    dialog.addEventListener("keydown", (event) => {
      const all = options();
      const now = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && all.length) { event.preventDefault(); point((now + step + all.length) % all.length); }
      if (event.key === "Escape") { event.preventDefault(); dialog.close(); } /* not only the text */
      if (event.key === "Enter") {
        event.preventDefault();
        if (all[now]) window.location.href = all[now].dataset.href;
      }
    });
    dialog.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) window.location.href = option.dataset.href;
      else if (event.target === dialog) dialog.close();
    });
  }

  /* --- Keys: off in fields, and where the person has switched them off -------------------------- */

  let going = 0; /* when g was pressed: the next letter says where to */

  function single(event) {
    if (find("pi-keys")?.dataset.on !== "true" || inField(event.target) || document.querySelector(".pi-cell.htmx-request")) return;
    const place = Date.now() - going < 2000 && document.querySelector(`[data-go="${event.key}"]`);
    going = 0;
    if (place) { event.preventDefault(); window.location.href = place.getAttribute("href"); return; }
    if (event.key === "g") { going = Date.now(); return; }
    if (event.key === "?") { event.preventDefault(); find("pi-keys").showModal(); return; }
    if (event.key === "/") {
      const search = [find("pi-q"), document.querySelector("[role=search] input, #searchbar, .pi-search input")].find(visible);
      event.preventDefault();
      if (search) { search.focus(); search.select(); } else openFinder();
      return;
    }
    const key = new CustomEvent("pi:key", { detail: event.key, cancelable: true });
    document.dispatchEvent(key);
    if (key.defaultPrevented) event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      openFinder();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey) single(event);
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("[data-open-find]")) openFinder();
    if (event.target.closest("[data-open-keys]")) find("pi-keys").showModal();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });

  document.addEventListener("DOMContentLoaded", () => {
    const dialog = find("pi-find");
    if (dialog) setUpFinder(dialog);
    follow();
  });
})();
