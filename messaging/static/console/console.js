// Loaded on every page of the console, right after htmx, whose inline styles and eval the Content-Security-Policy blocks.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;

// unfold opens its menus by clicks on plain elements. Make these buttons, for the keyboard and for screen readers.
(() => {
  const PLAIN = ["span", "div", "a:not([href])"].map((tag) => `${tag}[x-on\\:click]`).join();
  const NAMES = { dock_to_right: "Menu", unfold_more: "Account", add: "Add" };

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll(PLAIN)) {
      if (element.querySelector("a, button, input")) continue;
      element.tabIndex = 0;
      element.setAttribute("role", "button");
      for (const icon of element.querySelectorAll(".material-symbols-outlined")) icon.setAttribute("aria-hidden", "true");
      const text = element.textContent.trim();
      if (NAMES[text]) element.setAttribute("aria-label", NAMES[text]);
    }
  });
  document.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && event.target.matches?.(PLAIN)) {
      event.preventDefault();
      event.target.click();
    }
  });
})();

// Buttons that copy the text of the element named by `data-copy`. Where the browser allows no clipboard, the text is selected.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  getSelection().selectAllChildren(source);
  const copied = await navigator.clipboard?.writeText(source.textContent.trim()).then(() => true, () => false);
  button.querySelector("[data-label]").textContent = copied ? "Copied" : "Selected";
});
