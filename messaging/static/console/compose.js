// The server counts the segments, with the code that sends; the preview is drawn here.
(() => {
  const form = document.getElementById("compose");
  const counter = form.querySelector(".sb-counter");
  const bubble = document.querySelector("[data-preview=text]");
  const from = document.querySelector("[data-preview=sender]");
  let waiting;
  let requests = 0;

  async function count() {
    const number = ++requests;
    const body = new URLSearchParams({ text: form.elements.text.value });
    const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const response = await fetch(form.dataset.measure, { method: "POST", body, headers }).catch(() => null);
    if (!response || !response.ok) return;
    const counted = await response.json();
    if (number !== requests) return; // superseded by a later request
    counter.dataset.fits = counted.fits;
    for (const part of counter.querySelectorAll("[data-part]")) part.textContent = counted[part.dataset.part];
  }

  form.elements.text.addEventListener("input", () => {
    bubble.textContent = form.elements.text.value || "Your text";
    clearTimeout(waiting);
    waiting = setTimeout(count, 150);
  });
  form.elements.sender.addEventListener("change", (event) => {
    from.textContent = event.target.selectedOptions[0].textContent;
  });
})();
