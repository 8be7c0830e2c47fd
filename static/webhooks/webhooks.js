/* The copy button of a new secret, and bodies laid out to be read. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-copy]").forEach((button) => {
    const source = document.querySelector(button.dataset.copy);
    const told = button.parentElement.querySelector("[data-copied]");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const selection = window.getSelection();
      selection.selectAllChildren(source);
      try {
        await navigator.clipboard.writeText(source.textContent);
        told.textContent = "Copied.";
      } catch { /* no permission, or no HTTPS */
        told.textContent = "It is selected: press Ctrl+C.";
      }
    });
  });
  document.querySelectorAll("[data-json]").forEach((body) => {
    try {
      body.textContent = JSON.stringify(JSON.parse(body.textContent), null, 2);
    } catch { /* shown as it is sent */ }
  });
});
